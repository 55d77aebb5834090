"""What a gap is about: written, read back, and asked whether it concerns something."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marketarchive.scope import Scope

WHOLE = Scope("kraken", "stream")
C1 = Scope("kraken", "stream", connection="c1")
KEYS = Scope("kraken", "stream", ("a", "b"), "c1", kind="token")
REQUEST = Scope("kraken", "stream", endpoint="books")
LOOKUP = Scope("kraken", "stream", ("a",), endpoint="books", kind="lookup")


@pytest.mark.parametrize(
    ("scope", "document"),
    [
        (WHOLE, {"venue": "kraken", "feed": "stream"}),
        (C1, {"connection": "c1"}),
        (KEYS, {"connection": "c1", "tokens": ["a", "b"]}),
        (LOOKUP, {"endpoint": "books", "asked_for": ["a"]}),
        (Scope("kraken", "stream", ("t:x",), "c1", kind="symbol"),
         {"connection": "c1", "topics": ["t"], "symbol": "x"}),
        (Scope("kraken", "stream", ("t:x", "t:y"), kind="symbol"),
         {"subjects": ["t:x", "t:y"], "kind": "symbol"}),
        (Scope("kraken", "stream", ("m",), endpoint="books", kind="market"),
         {"endpoint": "books", "markets": ["m"]}),
        (Scope("kraken", "stream", ("BTC",), "btc-usd", kind="page"), {"page": "btc-usd", "asset": "BTC"}),
        (Scope("kraken", "stream", ("PF_XBTUSD",), kind="ticker"),
         {"subjects": ["PF_XBTUSD"], "kind": "ticker"}),
        (Scope("kraken", "stream", kind="records"), {"records": True}),
    ],
)  # fmt: skip
def test_a_scope_is_written_and_read_back(scope: Scope, document: dict[str, Any]) -> None:
    assert scope.as_dict() == document
    assert Scope.read("kraken", "stream", json.loads(json.dumps(document))) == scope


@pytest.mark.parametrize(
    ("document", "subjects", "kind"),
    [
        ({"connection": "c1", "markets": ["m"], "token": "a"}, ("a",), "token"),
        ({"topics": ["t", "u"], "symbol": "x"}, ("t:x", "u:x"), "symbol"),
        ({"symbol": "x"}, ("x",), "symbol"),
        ({"endpoint": "markets", "slug": "m", "closed": "true"}, ("m",), "market"),
        ({"endpoint": "markets", "slug": ["m", "n"]}, ("m", "n"), "market"),
        ({"feed": "stream"}, (), ""),
        ('{"markets":["payload"]}', ("payload",), "market"),
        ("{", (), ""),
        ([1], (), ""),
        ({"markets": ["m", 5], "connection": 7}, ("m",), "market"),
    ],
)
def test_schema_1_is_read(document: Any, subjects: tuple[str, ...], kind: str) -> None:
    found = Scope.read("v", "f", document)
    assert (found.subjects, found.kind) == (subjects, kind)


def test_another_venue_or_feed_is_never_concerned() -> None:
    for scope in (WHOLE, C1, KEYS):
        assert scope.concerns("kraken", "stream", ["a"], ["c1"])
        assert not scope.concerns("polymarket", "stream", ["a"], ["c1"])
        assert not scope.concerns("kraken", "orderbook", ["a"], ["c1"])


@pytest.mark.parametrize(
    ("scope", "names", "connections", "expected"),
    [
        (WHOLE, [], None, True),
        (C1, ["a"], ["c2"], False),
        (C1, ["a"], None, True),  # nobody knows where it was sent
        (KEYS, ["b"], ["c2"], True),  # lost everywhere, whichever connection it was lost on
        (KEYS, ["c"], ["c1"], False),
        (REQUEST, ["a"], None, True),
        (REQUEST, ["a"], ["c1"], False),
        (LOOKUP, ["a"], None, False),
        (LOOKUP, ["a"], ["c1"], False),
    ],
)
def test_what_it_concerns(
    scope: Scope, names: list[str], connections: list[str] | None, *, expected: bool
) -> None:
    assert scope.concerns("kraken", "stream", names, connections) is expected
