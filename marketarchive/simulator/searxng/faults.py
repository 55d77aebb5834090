"""Kinds of faults that the simulated SearXNG carries out itself.

- searxng_html_only: the server does not offer JSON (403)
- searxng_engines_down: no search engine responds; the page has no results, and names the engines
- searxng_repeats: a page contains each result twice
"""

from __future__ import annotations

from marketarchive.simulator.faults import Kind

_ROUTES = "searxng.example/*"

FAULTS = {
    "searxng_html_only": Kind({}, route=_ROUTES),
    "searxng_engines_down": Kind({}, route=_ROUTES),
    "searxng_repeats": Kind({}, route=_ROUTES),
}
