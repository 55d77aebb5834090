"""Effects of an injected fault on a venue's response."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from marketarchive.simulator.faults import Fault
from marketarchive.simulator.messages import Reply

CHECKPOINT = (
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head>"
    b"<body>Checking your browser before accessing the site.</body></html>"
)
CHALLENGE = b"""<!DOCTYPE html><html lang="en"><head><link rel="icon" href="data:,">
<title>Vercel Security Checkpoint</title></head>
<body><h1 id="header-text">We're verifying your browser</h1><p>Vercel Security Checkpoint</p><script>
if (sessionStorage.getItem("tried")) {
  document.getElementById("header-text").textContent = "Failed to verify your browser. Code 11";
} else {
  setTimeout(function () { sessionStorage.setItem("tried", "1"); location.reload(); }, 2000);
}
</script></body></html>"""
"""Body of a firewall's challenge. It reloads itself once: a browser that is accepted by then sees the
page."""
_CHALLENGED_HOST = "data.chain.link"
MAINTENANCE = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body>Back soon.</body></html>"

_LISTS = ("markets", "events", "data")
_HTML = "text/html; charset=utf-8"
# the first number of a kind that readers validate, with or without quotes
_NUMBERS = [
    re.compile(rb'"(%s)":("?)-?[0-9.]+("?)' % names) for names in (rb"price|spread", rb"volume|liquidity")
]


def change(reply: Reply, fault: Fault, cursor: str, host: str = "") -> Reply:
    """Return the response as the fault changes it.

    Faults of the transport or of the clock leave it unchanged. cursor: the cursor that the request carried;
    host: of the request.
    """
    match fault.kind:
        case "status":
            return _status(reply, **fault.options)
        case "checkpoint":
            return _checkpoint(reply, host)
        case "html":
            return replace(reply, body=MAINTENANCE, content_type=_HTML)
        case "big":
            return replace(reply, body=_padded(fault.options["bytes"]))
        case "truncate" if fault.options["how"] == "json":
            return replace(reply, body=reply.body[: len(reply.body) * 2 // 3])
        case "nan":
            return _with_number(reply, b"NaN")
        case "negative":
            return _with_number(reply, b"-0.01")
        case "crossed":
            return _edited(reply, _crossed)
        case "missing":
            return _edited(reply, lambda document: _without(document, fault.options["field"]))
        case "duplicate":
            return _with_duplicate(reply)
        case "wrong_hash":
            zeros = b'"hash":"' + b"0" * 40 + b'"'
            return replace(reply, body=re.sub(rb'"hash":"[0-9a-f]{40}"', zeros, reply.body, count=1))
        case "empty_page":
            return _edited(reply, _emptied)
        case "cursor_loop":
            return _edited(reply, lambda document: _looped(document, cursor))
    return reply


def _status(reply: Reply, status: int, retry_after: int | None, body: str | None) -> Reply:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    text = json.dumps({"error": f"status {status}"}) if body is None else body
    return replace(reply, status=status, body=text.encode(), headers=headers)


def _checkpoint(reply: Reply, host: str) -> Reply:
    """Return the challenge of a firewall instead of the response: 403, or 429 without Retry-After.

    The host decides which.
    """
    if host != _CHALLENGED_HOST:
        return replace(reply, status=403, body=CHECKPOINT, content_type=_HTML)
    headers = {
        "Server": "Vercel",
        "Cache-Control": "private, no-store, max-age=0",
        "X-Vercel-Mitigated": "challenge",
    }
    return Reply(CHALLENGE, 429, _HTML, headers)


def _padded(size: int) -> bytes:
    """Return a JSON document of `size` bytes."""
    head, tail = b'{"data":[],"pad":"', b'"}'
    return head + b"x" * max(0, size - len(head) - len(tail)) + tail


def _with_number(reply: Reply, value: bytes) -> Reply:
    """Replace the first number in the response by `value`, in quotes if it had quotes."""
    for pattern in _NUMBERS:
        body, found = pattern.subn(rb'"\1":\g<2>' + value + rb"\3", reply.body, count=1)
        if found:
            return replace(reply, body=body)
    return reply


def _with_duplicate(reply: Reply) -> Reply:
    """Repeat the first member of the first row, so that its key occurs twice with different values."""
    twice = rb'{"\1":"twice","\1":"\2"'
    return replace(reply, body=re.sub(rb'\{"(market|id|condition_id)":"([^"]*)"', twice, reply.body, count=1))


def _edited(reply: Reply, edit: Callable[[Any], Any]) -> Reply:
    """Apply `edit` to the response's JSON document; a response that is no JSON is returned unchanged."""
    try:
        document = json.loads(reply.body)
    except ValueError:
        return reply
    return replace(reply, body=json.dumps(edit(document), separators=(",", ":"), ensure_ascii=False).encode())


def _first_row(document: Any) -> dict[str, Any]:
    """Return the row that an edit changes: the first of the document's list, else the document itself."""
    if isinstance(document, dict):
        page = next((document[name] for name in _LISTS if name in document and "id" not in document), None)
        document = document if page is None else page
    if isinstance(document, list):
        document = document[0] if document else None
    return document if isinstance(document, dict) else {}


def _crossed(document: Any) -> Any:
    row = _first_row(document)
    if row.get("bids") and row.get("asks"):
        bid, ask = row["bids"][-1], row["asks"][-1]
        bid["price"], ask["price"] = ask["price"], bid["price"]
    return document


def _without(document: Any, field: str | None) -> Any:
    """Remove a field from a document's first row; None: the first field that identifies the row."""
    row = _first_row(document)
    names = [field] if field else ["asset_id", "conditionId", "condition_id", "slug"]
    row.pop(next((name for name in names if name in row), ""), None)
    return document


def _emptied(document: Any) -> Any:
    """Remove the rows of a page, but keep its cursor."""
    if isinstance(document, list):
        return []
    return (
        document | {name: [] for name in _LISTS if name in document}
        if isinstance(document, dict)
        else document
    )


def _looped(document: Any, cursor: str) -> Any:
    """Set the next cursor to the one that led to this page, so that paging loops."""
    if not isinstance(document, dict):
        return document
    return document | {"next_cursor": cursor or document.get("next_cursor") or "bG9vcA=="}
