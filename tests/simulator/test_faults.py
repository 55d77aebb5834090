from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from marketarchive.exceptions import ConfigurationError
from marketarchive.simulator import faults
from marketarchive.simulator.binance import faults as binance_faults
from marketarchive.simulator.bitstamp import faults as bitstamp_faults
from marketarchive.simulator.chainlink import faults as chainlink_faults
from marketarchive.simulator.faults import KINDS, ON_UPGRADE, Fault, Kind, kinds, load_faults, read_faults
from marketarchive.simulator.kalshi import faults as kalshi_faults
from marketarchive.simulator.searxng import faults as searxng_faults

BOOK = "clob.polymarket.com/book"


def fault(**given: Any) -> Fault:
    (read,) = read_faults(json.dumps([{"kind": "hang", **given}]), "test")
    return read


def due(each: Fault, count: int, elapsed_s: float = 0.0, route: str = BOOK, method: str = "GET") -> list[int]:
    return [number for number in range(1, count + 1) if each.is_due(method, route, elapsed_s)]


def test_after_every_and_count_choose_among_the_matching() -> None:
    assert due(fault(), 3) == [1, 2, 3]
    assert due(fault(after=2, count=2), 6) == [3, 4]
    assert due(fault(every=3), 7) == [1, 4, 7]
    assert due(fault(after=1, every=2, count=2), 9) == [2, 4]
    assert due(fault(count=0), 3) == []


def test_only_the_route_the_method_and_the_window_are_hit() -> None:
    books = fault(route="clob.polymarket.com/book*", method="POST", from_s=10, to_s=20)
    assert due(books, 1, 15, BOOK + "s", "POST") == [1]
    assert due(books, 1, 15, BOOK + "s", "GET") == []
    assert due(books, 1, 15, "gamma-api.polymarket.com/markets", "POST") == []
    assert due(books, 1, 9.9, BOOK, "POST") == []
    assert due(books, 1, 20, BOOK, "POST") == []
    assert books.seen == books.hits == 1


def test_only_the_query_is_hit() -> None:
    one = fault(query="*feedId=0xa*")
    hit = [one.is_due("GET", BOOK, 0.0, query) for query in ("abiIndex=0&feedId=0xab", "feedId=0xb", "")]
    assert hit == [True, False, False]
    assert fault().is_due("GET", BOOK, 0.0, "anything=1")


@pytest.mark.parametrize(
    ("kind", "hit"),
    [("page_stale", "data.chain.link/api/x"), ("page_no_json", "data.chain.link/streams/btc-usd")],
)
def test_faults_of_pages_hit_pages_only(kind: str, hit: str) -> None:
    one = fault(kind=kind)
    other = {"data.chain.link/api/x", "data.chain.link/streams/btc-usd", BOOK} - {hit}
    assert not any(one.is_due("GET", route, 0.0) for route in other)
    assert one.is_due("GET", hit, 0.0)
    assert one.seen == 1
    assert not fault(kind=kind, route="data.chain.link/*/other").is_due("GET", hit, 0.0)


def test_a_fault_remembers_when_it_began() -> None:
    lag = fault(kind="page_lag", seconds=5)
    assert [lag.reported(10), lag.reported(20)] == [{"seconds": 5, "since_ns": 10}] * 2


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "is not JSON"),
        ("{}", "does not hold a list"),
        ("[5]", "fault 1 is not an object"),
        ('[{"kind":"hang"},{"kind":"fire"}]', "fault 2: kind 'fire' is unknown; kinds: bad_gzip, big"),
        ('[{"kind":"hang","rout":"x"}]', "unknown key 'rout'; hang takes: after, count"),
        ('[{"kind":"hang","seconds":1}]', "unknown key 'seconds'"),
        ('[{"kind":"status"}]', "status needs 'status'"),
        ('[{"kind":"status","status":"429"}]', "status='429' is not of type int"),
        ('[{"kind":"drop","at":"noon"}]', "at='noon' is none of start, body"),
        ('[{"kind":"hang","every":0}]', "every=0 is not a number"),
        ('[{"kind":"hang","count":true}]', "count=True"),
        ('[{"kind":"hang","route":5}]', "route=5 is not a text"),
        ('[{"kind":"hang","from_s":-1}]', "from_s=-1"),
        ('[{"kind":"page_crash","how":"json"}]', "how='json' is none of loop, blank, throw"),
        ('[{"kind":"page_lag"}]', "page_lag needs 'seconds'"),
        ('[{"kind":"hang","query":5}]', "query=5 is not a text"),
        ('[{"kind":"ws_topic_gone"}]', "ws_topic_gone needs 'topic'"),
        ('[{"kind":"ws_close","code":"1013"}]', "code='1013' is not of type int"),
        ('[{"kind":"ws_drop","market":"x"}]', "unknown key 'market'; ws_drop takes: after, count, event"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(document: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_faults(document, "faults.json")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text('[{"kind":"big","bytes":5}]')
    assert load_faults(tmp_path / "f.json")[0].options == {"bytes": 5}
    with pytest.raises(ConfigurationError, match=r"nothing\.json cannot be read"):
        load_faults(tmp_path / "nothing.json")


OF_VENUES = [binance_faults, bitstamp_faults, chainlink_faults, kalshi_faults, searxng_faults]


@pytest.mark.parametrize("module", [faults, *OF_VENUES])
def test_every_kind_is_described(module: ModuleType) -> None:
    declared: Mapping[str, Kind] = getattr(module, "FAULTS", KINDS)
    prefixes = ("ws", "page", "kalshi", "binance", "searxng")
    described = set(re.findall(rf"\b(?:{'|'.join(prefixes)})_[a-z]+(?:_[a-z]+)*", module.__doc__ or ""))
    assert {kind for kind in declared if kind.partition("_")[0] in prefixes} == described


def test_kinds_of_simulated_venues_are_found() -> None:
    assert set(kinds()) == {*KINDS, *(kind for module in OF_VENUES for kind in module.FAULTS)}
    assert set(KINDS) >= ON_UPGRADE
