"""Kinds of faults that the simulated stream pages carry out themselves.

The first two hit requests to the page's endpoint (/api/*), the others the page itself (/streams/*). Their
seconds are of the wall clock:

- page_lag: the endpoint serves reports `seconds` later than it does anyway
- page_stale: the endpoint repeats the reports that it had when the fault first hit
- page_no_json: the page contains its next 15 minutes of reports, and requests nothing from the endpoint
- page_crash: `after_s` seconds after it was loaded, the page hangs in a loop, goes to about:blank or
  stops at an error (`how`: loop, blank, throw); a script can neither close nor crash its own page
- page_leak: the page allocates `mb_per_s` more megabytes each second
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
