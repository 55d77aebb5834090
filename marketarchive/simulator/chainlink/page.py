"""The HTML of a stream's page.

Readers of the real page relied on its text labels and on `__NEXT_DATA__`. No saved copy of the page was
found, so everything else (tags, attributes, the order of parts) is made up, and nothing to rely on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from marketarchive.simulator.chainlink.reports import SimReport, decimal, stamp
from marketarchive.simulator.chainlink.streams import Stream, stream_data

SCRIPT_PATH = "/_next/static/chunks/stream-page.js"

# faults in the page, `after` milliseconds (wall clock) after it was loaded
_CRASHES = {
    "loop": "setTimeout(function () { for (;;) {} }, %(after)d);",
    "blank": "setTimeout(function () { location.href = 'about:blank'; }, %(after)d);",
    "throw": "setTimeout(function () { window.fetch = function () { "
    "throw new Error('Application error: a client-side exception has occurred'); }; }, %(after)d);",
}
_LEAK = (
    "window.kept = []; setInterval(function () { "
    "window.kept.push(new Uint8Array(%(bytes)d).fill(1)); }, 1000);"
)
_DASH = "–"


def render(
    stream: Stream,
    request: str,
    faults: Mapping[str, Mapping[str, Any]],
    carried: Sequence[tuple[int, SimReport]] | None,
) -> bytes:
    """Return the HTML of a stream's page.

    request: slug in the URL; faults: options by kind, of those that hit the page; carried: (milliseconds from
    now, report) for a page that contains its own reports, None for a page that requests them.
    """
    data = {
        "props": {"pageProps": {"streamData": stream_data(stream)}, "__N_SSP": True},
        "page": "/streams/[slug]",
        "query": {"slug": request},
        "buildId": "simulated",
        "isFallback": False,
        "gssp": True,
    }
    scripts = [f'<script id="__NEXT_DATA__" type="application/json">{_inline(data)}</script>']
    if carried is not None:
        rows = [
            [after, stamp(report), *(decimal(value) for _, value in report.values)]
            for after, report in carried
        ]
        scripts.append(f'<script id="stream-reports" type="application/json">{_inline(rows)}</script>')
    scripts.extend(f"<script>{text}</script>" for text in _broken(faults))
    scripts.append(f'<script src="{SCRIPT_PATH}" defer></script>')
    return _PAGE.format(name=stream.title, dash=_DASH, scripts="".join(scripts)).encode()


def _inline(document: Any) -> str:
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")


def _broken(faults: Mapping[str, Mapping[str, Any]]) -> list[str]:
    found = []
    if crash := faults.get("page_crash"):
        found.append(_CRASHES[crash["how"]] % {"after": 1000 * crash["after_s"]})
    if leak := faults.get("page_leak"):
        found.append(_LEAK % {"bytes": 2**20 * leak["mb_per_s"]})
    return found


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,">
<title>{name} Data Stream | Chainlink</title></head><body><div id="__next">
<h1>{name}</h1>
<div><span>Mid-price</span><span data-value="benchmark">{dash}</span></div>
<div><span>Bid price</span><span data-value="bid">{dash}</span></div>
<div><span>Ask price</span><span data-value="ask">{dash}</span></div>
<div role="tooltip"><p data-value="time">{dash}</p>
<p>Bid: <span data-value="bid">{dash}</span></p>
<p>Mid-price: <span data-value="benchmark">{dash}</span></p>
<p>Ask: <span data-value="ask">{dash}</span></p></div>
</div>{scripts}</body></html>
"""

NOT_FOUND = (
    b"<!DOCTYPE html><html><head><title>404: This page could not be found</title></head>"
    b"<body><h1>404</h1><h2>This page could not be found.</h2></body></html>"
)
