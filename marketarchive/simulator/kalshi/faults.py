"""Kinds of faults that the simulated Kalshi carries out itself.

- kalshi_copies: the answer is a copy up to `seconds` old, as from a cache in front of the venue; the header
  Age states how old, unless `age` is false
- kalshi_needs_key: a public route requires a signature (401)
- kalshi_short_pages: a page has at most `rows` rows, whatever was requested
- kalshi_empty_page: a page has no rows, but a cursor to the next page
- kalshi_first_page_again: the cursor is ignored, and the first page returned again
"""

from __future__ import annotations

from marketarchive.simulator.faults import Kind

_ROUTES = "*kalshi.com/trade-api/v2/*"

FAULTS = {
    "kalshi_copies": Kind({"seconds": int, "age": bool}, {"seconds": 15, "age": True}, route=_ROUTES),
    "kalshi_needs_key": Kind({}, route=_ROUTES),
    "kalshi_short_pages": Kind({"rows": int}, {"rows": 25}, route=_ROUTES),
    "kalshi_empty_page": Kind({}, route=_ROUTES),
    "kalshi_first_page_again": Kind({}, route=_ROUTES),
}
