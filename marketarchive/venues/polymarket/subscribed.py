"""Keys that a text subscribes or unsubscribes: connection lines of schema 1 have only the texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from marketarchive.nesting import is_shallow


def keys(texts: Sequence[Any]) -> tuple[str, ...]:
    """Return the tokens or topics in the texts that a connection line repeats, each as sent or decoded."""
    return tuple(name for text in texts for name in _named(text))


def _named(text: Any) -> Iterator[str]:
    if isinstance(text, str):
        if not is_shallow(text.encode()):
            return
        try:
            text = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return  # a PING, or what no reader can say anything about
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
