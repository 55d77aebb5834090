"""The simulated SearXNG answers like one, from headlines that are listed after they were published."""

from __future__ import annotations

import json
from typing import Any

from marketarchive.simulator.messages import Reply, SimRequest
from marketarchive.simulator.searxng import ENGINES, HOST, LATEST_S, PAGE, REACH_S, Searxng
from marketarchive.times import SECOND

NOW = 1_795_255_300  # 2026-11-21T10:01:40Z


def ask(at: int = NOW, *, faults: Any = None, seed: int = 1, **query: str) -> Reply:
    request = SimRequest("GET", HOST, "/search", tuple(query.items()), faults=faults or {})
    return Searxng(seed).answer(request, at * SECOND)


def rows(at: int = NOW, **query: str) -> list[dict[str, Any]]:
    request = SimRequest("GET", HOST, "/search", (("q", "lake"), ("format", "json"), *query.items()))
    found: list[dict[str, Any]] = json.loads(Searxng(1).answer(request, at * SECOND).body)["results"]
    return found


def test_an_answer_depends_on_seed_question_and_time_only() -> None:
    assert ask(q="lake", format="json") == ask(q="lake", format="json")
    assert ask(q="lake", format="json") != ask(q="bridge", format="json")
    assert ask(q="lake", format="json") != ask(seed=2, q="lake", format="json")


def test_headlines_are_listed_after_they_were_published() -> None:
    stories = list(Searxng(1).stories("lake", NOW - REACH_S, NOW))
    assert len(stories) > 10
    assert all(story.published < story.listed <= story.published + LATEST_S + 1800 for story in stories)
    listed = {(each["url"], each["title"]) for page in range(1, 20) for each in rows(pageno=str(page))}
    newest = {story.url: story.title for story in stories if story.listed <= NOW}
    assert listed == set(newest.items())


def test_some_titles_change_while_their_page_stays() -> None:
    titles: dict[str, set[str]] = {}
    for story in Searxng(1).stories("lake", NOW - REACH_S, NOW):
        titles.setdefault(story.url, set()).add(story.title)
    assert {len(each) for each in titles.values()} == {1, 2}


def test_pages_hold_ten_and_follow_one_another() -> None:
    first, second = rows(), rows(pageno="2")
    assert len(first) == PAGE
    assert [each["publishedDate"] for each in first + second] == sorted(
        (each["publishedDate"] for each in first + second), reverse=True
    )
    assert set(first[0]["engines"]) <= set(ENGINES)
    assert ask(q="lake", format="json", pageno="0").status == 400


def test_without_json_among_its_formats_it_forbids() -> None:
    refusal = ask(faults={"searxng_html_only": {}}, q="lake", format="json")
    assert (refusal.status, refusal.content_type) == (403, "text/html; charset=utf-8")
    assert ask(faults={"searxng_html_only": {}}, q="lake").status == 200


def test_without_a_question_it_says_so() -> None:
    reply = ask(format="json")
    assert (reply.status, json.loads(reply.body)) == (400, {"error": "No query"})


def test_silent_engines_are_named() -> None:
    page = json.loads(ask(faults={"searxng_engines_down": {}}, q="lake", format="json").body)
    assert page["results"] == []
    assert [name for name, _ in page["unresponsive_engines"]] == list(ENGINES)


def test_results_can_stand_twice() -> None:
    page = json.loads(ask(faults={"searxng_repeats": {}}, q="lake", format="json").body)["results"]
    assert page[::2] == page[1::2] == rows()
