"""Faults of the stream pages: what only the venue itself can do.

The first two hit requests to its endpoint (/api/*), the others the page itself (/streams/*). Their seconds
after loading are of the wall:

- page_lag: the endpoint is `seconds` further behind than it is anyway
- page_stale: the endpoint repeats what it knew when the fault first hit
- page_no_json: the page has its next 15 minutes of reports inside and asks the endpoint for nothing
- page_crash: `after_s` seconds after it was loaded the page hangs in a loop, goes to about:blank or
  stops at an error (`how`: loop, blank, throw); a script can neither close nor crash its own page
- page_leak: the page keeps `mb_per_s` more megabytes each second
"""

from __future__ import annotations

from marketarchive.simulator.faults import Kind

_PAGES = "data.chain.link/streams/*"
_ENDPOINTS = "data.chain.link/api/*"

FAULTS = {
    "page_lag": Kind({"seconds": float}, route=_ENDPOINTS),
    "page_stale": Kind({}, route=_ENDPOINTS),
    "page_no_json": Kind({}, route=_PAGES),
    "page_crash": Kind(
        {"how": str, "after_s": float},
        {"how": "loop", "after_s": 5.0},
        route=_PAGES,
        choices={"how": ("loop", "blank", "throw")},
    ),
    "page_leak": Kind({"mb_per_s": float}, {"mb_per_s": 50.0}, route=_PAGES),
}
