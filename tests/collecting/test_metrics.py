"""The endpoint for Prometheus: its figures are those of the stats and the ledger, and it stops nobody."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args

import pytest

from marketarchive.archive.ledger import Ledger
from marketarchive.collecting.metric_figures import METRICS
from marketarchive.collecting.metrics import Metrics, metrics_port
from marketarchive.collecting.run import Run
from marketarchive.exceptions import ConfigurationError
from marketarchive.items import Frames, Gap, GapReason
from marketarchive.scope import Scope
from tests.archive.writing import VENUE, HandClock, frames, open_run, writer
from tests.collecting.letters import Letters
from tests.collecting.scraping import Scrape, scrape
from tests.collecting.streams import at_work
from tests.spiders_under_test import project_settings

RULES = Path(__file__).parents[2] / "deploy" / "monitoring" / "marketarchive.rules.yml"


@asynccontextmanager
async def endpoints() -> AsyncIterator[Callable[[Run], Metrics]]:
    """Makes an endpoint on a free port that measures a run; it outlives the run."""
    made: list[Metrics] = []

    def measure(run: Run) -> Metrics:
        made.append(Metrics(run.process.writer, 0))
        made[0].add(run)
        return made[0]

    try:
        yield measure
    finally:
        for metrics in made:
            await asyncio.to_thread(metrics.close)


async def look(metrics: Metrics) -> Scrape:
    assert metrics.url is not None
    return await asyncio.to_thread(scrape, metrics.url)


async def received(spider: Letters, count: int) -> None:
    """Give a run so many messages of data and one gap, as its spider and pipelines do, onto the disk."""
    run, now = spider.run, spider.run.clock.now_ns()
    batch = tuple((now, run.next_seq("stream"), b"ab") for _ in range(count))
    run.archive.write(Frames("polymarket", "stream", "c1", batch))
    run.stats.inc_value("frames/stream", count)
    run.note_good("frames/good/stream", "stream", now, count)
    gap = run.gap("stall", "venue", now - 1, now, Scope("polymarket", "stream"))
    assert isinstance(gap, Gap)
    run.archive.write(gap)
    run.stats.inc_value("records/gaps")
    run.stats.inc_value("responses/polymarket/clob_books/503", 2)
    run.stats.inc_value("requests/polymarket/clob_books", 2)
    run.stats.inc_value("latency_us/polymarket/clob_books", 250_000)
    await asyncio.wrap_future(run.archive.flush())


async def test_figures_are_those_of_the_stats_and_at_the_end_of_the_ledger(tmp_path: Path) -> None:
    async with endpoints() as measure:
        async with at_work(Letters, tmp_path) as spider:
            metrics = measure(spider.run)
            await received(spider, 7)
            found = await look(metrics)
            feed = {"venue": "polymarket", "feed": "stream"}
            assert found.one("marketarchive_frames_total", **feed) == 7
            assert found.one("marketarchive_good_messages_total", **feed) == 7
            assert found.one("marketarchive_lines_total", **feed, kind="frame") == 7
            assert found.one("marketarchive_gaps_total", **feed, reason="stall") == 1
            assert found.one("marketarchive_rows_total", series="gaps") == 1
            endpoint = {"venue": "polymarket", "endpoint": "clob_books"}
            assert found.one("marketarchive_requests_total", **endpoint) == 2
            assert found.one("marketarchive_responses_total", **endpoint, status_class="5xx") == 2
            assert found.one("marketarchive_response_latency_seconds_total", **endpoint) == 0.25
            age = found.one("marketarchive_feed_data_age_seconds", **feed, role="main")
            assert age is not None
            assert 0 <= age < 600
            run = {"spider": "letters", "venue": "polymarket", "run": spider.run.archive.run}
            assert [run.items() <= dict(labels).items() for labels in found.of("marketarchive_run_info")] == [
                True
            ]
        metrics.end(spider.run)
        ended = await look(metrics)

    [entry] = [each for each in Ledger(tmp_path).entries() if each.kind == "segment"]
    kinds = {dict(key)["kind"]: value for key, value in ended.of("marketarchive_lines_total").items()}
    assert kinds == entry["counts"]
    assert sum(kinds.values()) == entry["lines"]
    assert ended.one("marketarchive_written_bytes_total", **feed) == entry["bytes"]
    assert ended.one("marketarchive_segments_sealed_total", **feed) == 1
    assert ended.one("marketarchive_runs_ended_total", spider="letters", exit_code="0") == 1
    assert ended.one("marketarchive_frames_total", **feed) == 7
    assert not ended.of("marketarchive_run_info")
    assert not ended.of("marketarchive_feed_data_age_seconds"), "nothing is awaited of what is finished"


async def test_what_alerts_count_is_exported_before_it_happens(tmp_path: Path) -> None:
    """Prometheus sees no increase in a series that begins with its first value."""
    awaited = {
        "marketarchive_gaps_total": ("reason", set(get_args(GapReason))),
        "marketarchive_books_total": ("verdict", {"failed"}),
        "marketarchive_runs_ended_total": ("exit_code", {"1", "2", "3", "4"}),
    }
    assert set(re.findall(r"increase\((\w+)", RULES.read_text(encoding="utf-8"))) == set(awaited)
    async with endpoints() as measure, at_work(Letters, tmp_path) as spider:
        metrics = measure(spider.run)
        first = await look(metrics)
        for name, (label, values) in awaited.items():
            assert set(first.of(name).values()) == {0}
            assert values <= first.values(name, label)
        await received(spider, 1)
        second = await look(metrics)
    gaps = {"venue": "polymarket", "feed": "stream"}
    assert second.one("marketarchive_gaps_total", **gaps, reason="stall") == 1
    assert second.one("marketarchive_gaps_total", **gaps, reason="hash") == 0


async def test_a_feed_whose_run_failed_is_still_awaited(tmp_path: Path) -> None:
    async with endpoints() as measure:
        async with at_work(Letters, tmp_path) as spider:
            metrics = measure(spider.run)
            spider.run.error = RuntimeError("a fault")
        metrics.end(spider.run)
        found = await look(metrics)
        feed = {"venue": "polymarket", "feed": "stream", "role": "main"}
        assert found.one("marketarchive_feed_data_age_seconds", **feed) is not None
        assert found.one("marketarchive_runs_ended_total", spider="letters", exit_code="1") == 1


@pytest.mark.parametrize("is_answered", [True, False])
async def test_a_step_ahead_that_was_undone_hides_no_silence(tmp_path: Path, is_answered: bool) -> None:
    clock = HandClock()
    async with endpoints() as measure, at_work(Letters, tmp_path) as spider:
        spider.run.clock = clock

        async def age(metrics: Metrics) -> float | None:
            feed = {"venue": "polymarket", "feed": "stream", "role": "main"}
            return (await look(metrics)).one("marketarchive_feed_data_age_seconds", **feed)

        def receive() -> None:
            spider.run.note_good("frames/good/stream", "stream", clock.now_ns())

        clock.step_s(86_400)
        metrics = measure(spider.run)
        receive()
        assert await age(metrics) == 0
        clock.step_s(-86_400)
        if is_answered:
            receive()
        assert await age(metrics) == 0
        clock.pass_s(6 * 3600)
        assert await age(metrics) == 6 * 3600


async def test_an_event_loop_that_does_not_answer_hides_no_figure_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketarchive.collecting.metrics.ANSWER_S", 0.05)
    async with endpoints() as measure, at_work(Letters, tmp_path) as spider:
        metrics = measure(spider.run)
        assert metrics.url is not None
        answers: list[Scrape] = []
        asking = threading.Thread(target=lambda: answers.append(scrape(str(metrics.url))))
        asking.start()
        asking.join()  # the loop is held meanwhile
        [found] = answers
        assert not found.of("marketarchive_run_info")
        assert found.one("marketarchive_writer_failed") == 0
        delay = found.one("marketarchive_event_loop_delay_seconds")
        assert delay is not None
        assert delay >= 0.05


async def test_it_listens_on_one_address_of_this_machine_alone(tmp_path: Path) -> None:
    async with endpoints() as measure, at_work(Letters, tmp_path) as spider:
        url = measure(spider.run).url
        assert url is not None
        port = int(url.split(":")[2].split("/")[0])
        socket.create_connection(("127.0.0.1", port)).close()
        with pytest.raises(ConnectionRefusedError):  # who listens everywhere takes it
            socket.create_connection(("127.0.0.2", port))


async def test_all_that_is_declared_is_exported(tmp_path: Path) -> None:
    async with endpoints() as measure, at_work(Letters, tmp_path) as spider:
        metrics = measure(spider.run)
        names = {family.name for family in await asyncio.to_thread(lambda: list(metrics.collect()))}
    assert names == {metric.name for metric in METRICS}
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    markets = {"market", "token", "slug", "asset", "key", "url"}
    assert not [metric for metric in METRICS if markets & set(metric.labels)]


def test_a_count_never_falls_while_segments_are_sealed(tmp_path: Path) -> None:
    with writer(tmp_path, HandClock(), flush_s=0.001, segment_bytes=300) as made:
        run = open_run(made)
        fallen: list[tuple[tuple[int, int, int], tuple[int, int, int]]] = []
        is_over = threading.Event()

        def watch() -> None:
            before = (0, 0, 0)
            while not is_over.wait(0.0005):
                for totals in run.totals():
                    now = (totals.bytes, totals.sealed, totals.counts["frame"])
                    if any(late < early for early, late in zip(before, now, strict=True)):
                        fallen.append((before, now))
                    before = now

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            for _ in range(12):
                run.write(frames(run, b'{"a":1}', b'{"b":2}'))
                run.flush().result(60)
            run.close("finished", {}).result(60)
        finally:
            is_over.set()
            watching.join()
        [totals] = run.totals()
    assert not fallen
    entries = [each for each in Ledger(tmp_path).entries() if each.kind == "segment"]
    assert totals.sealed == len(entries) > 5
    assert totals.bytes == sum(each["bytes"] for each in entries)
    assert totals.counts == sum((Counter(each["counts"]) for each in entries), Counter())
    assert (totals.venue, totals.feed) == (VENUE, "stream")


def test_a_port_that_is_taken_stops_no_collector(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, writer(tmp_path) as made:
        port = other.getsockname()[1]
        with caplog.at_level(logging.WARNING):
            metrics = Metrics(made, port)
        metrics.close()
        assert metrics.url is None
    assert f"Metrics are not served: 127.0.0.1:{port}: Address already in use" in caplog.text
    assert "collecting goes on" in caplog.text


@pytest.mark.parametrize("given", ["x", "-1", "65536", 1.5e9])
def test_what_is_no_port_is_refused(given: object) -> None:
    with pytest.raises(ConfigurationError, match=r"METRICS_PORT=.* is not a port: 0"):
        metrics_port(project_settings(METRICS_PORT=given))


@pytest.mark.parametrize(("given", "port"), [(None, None), ("", None), ("0", 0), (9464, 9464)])
def test_no_port_is_no_endpoint(given: object, port: int | None) -> None:
    assert metrics_port(project_settings(METRICS_PORT=given)) == port


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert metrics_port(project_settings()) is None
    with pytest.raises(ConfigurationError, match=r"pip install 'marketarchive\[metrics\]'"):
        metrics_port(project_settings(METRICS_PORT=9464))
