"""Faults of the simulated Kalshi: what only the venue itself can do.

- kalshi_copies: the answer is a copy of up to `seconds` ago, with the Age that says so, as a cache in
  front of the venue gives it; `age` false leaves the header out
- kalshi_needs_key: a route says that it has to be signed (401)
- kalshi_short_pages: a page has at most `rows`, whatever was requested
- kalshi_empty_page: a page has no rows, its cursor goes on
- kalshi_first_page_again: the cursor is ignored: the first page is answered again
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
