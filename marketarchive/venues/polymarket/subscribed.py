"""Reader of the keys that a sent text subscribes, for connection lines of schema 1, which have texts only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from marketarchive.json_lines import NOT_JSON
from marketarchive.nesting import is_shallow


def keys(texts: Sequence[Any]) -> tuple[str, ...]:
    """Return the tokens or topics named in the texts of a connection line, each text as sent or decoded."""
    return tuple(name for text in texts for name in _named(text))


def _named(text: Any) -> Iterator[str]:
    if isinstance(text, str):
        if not is_shallow(text.encode()):
            return
        try:
            text = msgspec.json.decode(text)
        except NOT_JSON:
            return  # a PING, or a text of unknown form
    if not isinstance(text, dict):
        return
    for token in _listed(text.get("assets_ids")):
        if isinstance(token, str):
            yield token
    for wanted in _listed(text.get("subscriptions")):
        if isinstance(wanted, dict) and isinstance(wanted.get("topic"), str):
            yield wanted["topic"]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
