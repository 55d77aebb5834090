"""What is asked of SearXNG, and what becomes of its answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import ParseError
from marketarchive.items import Headline
from marketarchive.venues.answers import Answered, Failure
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.searxng.answers import judge, parse
from marketarchive.venues.searxng.queries import QUERY_MAX, endpoint, query_text, search
from tests.properties import examples

ROUTE = endpoint(30)
QUERY = search(ROUTE, "lake freeze", "polymarket", "0xabc")


def page(*results: Any, silent: Any = (), **more: Any) -> bytes:
    return json.dumps({"query": "q", "results": results, "unresponsive_engines": silent, **more}).encode()


def result(title: Any = "Ice is coming", url: Any = "https://www.herald.example/1", **more: Any) -> Any:
    return {"title": title, "url": url, "engine": "bing news", "engines": ["bing news"], **more}


def parsed(payload: bytes, params: Any = None) -> Parsed:
    received = Received.answer("searxng", "news", QUERY, 200, payload, 1_795_255_300_000_000_000, 7)
    return parse(received if params is None else msgspec.structs.replace(received, params=params))


def headlines(payload: bytes) -> list[Headline]:
    return [item for item in parsed(payload).items if isinstance(item, Headline)]


def judged(payload: bytes, status: int = 200) -> Failure | None:
    return judge(Answered(QUERY, status, {}, payload, 0))


@pytest.mark.parametrize(
    ("title", "subtitle", "text"),
    [
        ("Will the lake freeze over this winter?", None, "the lake freeze over this winter"),
        (
            "Highest temperature in NYC on Nov 30?",
            "82 or above",
            "Highest temperature in NYC on Nov 30 82 or above",
        ),
        ("Will it be 82 or above?", "82 or Above", "it be 82 or above"),
        ("  Hawks \n vs.  Lions ", None, "Hawks vs. Lions"),
        ("!!g :de <3 what ?next", None, "g de 3 what next"),
        ("U.S. GDP: over 3%?", None, "U.S. GDP: over 3%"),
        ("???", None, ""),
    ],
)
def test_a_title_becomes_a_search(title: str, subtitle: str | None, text: str) -> None:
    assert query_text(title, subtitle) == text


@examples(200)
@given(st.text(), st.none() | st.text())
def test_a_search_is_short_and_no_word_of_it_is_an_operator(title: str, subtitle: str | None) -> None:
    text = query_text(title, subtitle)
    assert len(text) <= QUERY_MAX
    assert not any(word[0] in "!:<?" for word in text.split())
    assert text == " ".join(text.split())


def test_the_request_says_for_which_market_it_is() -> None:
    assert QUERY.url == "https://searxng.example/search"
    assert QUERY.params == {
        "q": "lake freeze",
        "format": "json",
        "categories": "news",
        "platform": "polymarket",
        "market": "0xabc",
    }


def test_a_headline_has_its_source_and_its_claimed_date() -> None:
    [found] = headlines(page(result(publishedDate="2026-11-20T01:14:05")))
    assert (found.platform, found.market_id, found.seq) == ("polymarket", "0xabc", 7)
    assert (found.headline, found.source) == ("Ice is coming", "herald.example")
    assert found.published_at == datetime(2026, 11, 20, 1, 14, 5, tzinfo=UTC)


@pytest.mark.parametrize("date", [None, "", "yesterday", "2026-13-01"])
def test_what_is_no_date_is_no_claim(date: str | None) -> None:
    [found] = headlines(page(result(publishedDate=date)))
    assert found.published_at is None


def test_a_headline_stands_once_however_often_it_is_listed() -> None:
    found = headlines(
        page(result(), result(engine="yahoo news"), result("Another title"), result(url="http://x"))
    )
    assert [(each.headline, each.url) for each in found] == [
        ("Ice is coming", "https://www.herald.example/1"),
        ("Another title", "https://www.herald.example/1"),
        ("Ice is coming", "http://x"),
    ]


def test_a_bad_result_costs_itself_alone() -> None:
    found = parsed(page(result(title=3), {"url": "https://x"}, result(title=" "), result(url=None), result()))
    assert len(found.items) == 1
    assert [error.item for error in found.errors] == ["Headline"] * 3


@pytest.mark.parametrize("payload", [b"<html></html>", b"{}", b'{"results": 3}', b"\xff"])
def test_what_is_no_page_of_results_is_refused(payload: bytes) -> None:
    with pytest.raises(ParseError):
        parsed(payload)
    assert judged(payload) is None


def test_an_answer_to_no_market_is_refused() -> None:
    with pytest.raises(ParseError, match="names no market"):
        parsed(page(result()), {"q": "x"})


def test_a_403_says_which_setting_is_missing() -> None:
    failure = judged(b"<h1>Forbidden</h1>", 403)
    assert failure is not None
    assert (failure.reason, failure.retryable) == ("blocked", False)
    assert "json under search.formats in its settings.yml" in failure.detail


def test_a_page_without_results_counts_only_where_an_engine_answered() -> None:
    assert judged(page()) is None
    assert judged(page(result(), silent=[["qwant news", "timeout"]])) is None
    failure = judged(page(silent=[["bing news", "timeout"], ["qwant news", "CAPTCHA"]]))
    assert failure is not None
    assert (failure.reason, failure.cause, failure.retryable) == ("disconnect", "upstream", False)
    assert failure.detail == "no search engine answered (bing news: timeout, qwant news: CAPTCHA)"


@pytest.mark.parametrize(("status", "retryable"), [(429, True), (500, True), (400, False)])
def test_other_statuses_mean_what_they_usually_do(status: int, retryable: bool) -> None:
    failure = judged(b"", status)
    assert failure is not None
    assert failure.retryable is retryable
