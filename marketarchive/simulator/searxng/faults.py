"""Faults of the simulated SearXNG: what only the server itself can do.

- searxng_html_only: json is not among its formats (403)
- searxng_engines_down: no engine answers: a page without results that names them
- searxng_repeats: each result stands in the page twice
"""

from __future__ import annotations

from marketarchive.simulator.faults import Kind

_ROUTES = "searxng.example/*"

FAULTS = {
    "searxng_html_only": Kind({}, route=_ROUTES),
    "searxng_engines_down": Kind({}, route=_ROUTES),
    "searxng_repeats": Kind({}, route=_ROUTES),
}
