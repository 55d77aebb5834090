"""Metrics, monitors and checks of whole runs on the simulated venue."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from marketarchive.collecting.metric_figures import METRICS
from tests.collecting.scraping import Scrape, scrape
from tests.e2e.forking import Forked
from tests.e2e.harness import (
    ENVIRONMENT,
    SCRAPY,
    Output,
    Simulator,
    crawl,
    crawl_command,
    crawling,
    run,
    simulator,
    stop,
)
from tests.waiting import until

pytestmark = pytest.mark.e2e

BOOKS = ("assets=BTC", "durations=5m", "ahead=10m", "interval=1s")
GAMMA = ("gamma_series", "gamma_events_keyset")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> object:
    with simulator(tmp_path_factory.mktemp("truth"), "--speed", "20") as venue:
        yield venue


def endpoint(log: Path) -> str:
    """The address that a collector logs."""
    found = until(
        lambda: log.exists() and re.search(r"Metrics: (http://127\.0\.0\.1:\d+/metrics)", log.read_text())
    )
    assert found
    return str(found[1])


def test_one_endpoint_serves_all_crawlers_of_a_process(world: Simulator, tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    settings = {"OUTPUT_DIR": out, "SIMULATOR_URL": world.url, "METRICS_PORT": 0, "LOG_FILE": log}
    words = ["scrapy", "collect", "updown", "--assets", "BTC", "--no-pages"]
    words += [word for name, value in settings.items() for word in ("-s", f"{name}={value}")]
    with Path("/dev/null").open("w") as nowhere:
        collecting = Forked(words, ENVIRONMENT, stderr=nowhere)
    try:
        url = endpoint(log)
        wanted = {"polymarket_stream", "polymarket_reference"}

        def both() -> Scrape | None:
            found = scrape(url)
            frames = {dict(labels)["feed"] for labels in found.of("marketarchive_frames_total")}
            has_rows = "polymarket_btc" in found.values("marketarchive_rows_total", "series")
            return found if has_rows and frames >= {"stream", "reference"} else None

        first = until(both)
        assert first is not None
        assert wanted <= first.values("marketarchive_run_info", "spider")
        second = scrape(url)
        stop(collecting)
    finally:
        collecting.kill()
        collecting.wait()
    assert collecting.returncode == 0
    assert {name for name, _ in first.samples} <= {metric.exported for metric in METRICS} | {
        name for name, _ in first.samples if name.startswith(("process_", "python_"))
    }
    counters = {metric.exported for metric in METRICS if metric.kind == "counter"}
    for (name, labels), value in first.samples.items():
        if name in counters:
            assert second.samples[name, labels] >= value
    archive = Output(out)
    for labels, value in second.of("marketarchive_lines_total").items():
        feed, kind = dict(labels)["feed"], dict(labels)["kind"]
        assert 0 < value <= len(archive.lines(feed, kind)), (feed, kind)
    for labels, value in second.of("marketarchive_stream_lag_seconds").items():
        assert 0 <= value < 60, labels
    age = second.one("marketarchive_feed_data_age_seconds", venue="polymarket", feed="stream", role="main")
    assert age is not None
    assert age < 60


def test_what_was_asked_and_answered_equals_the_manifest(world: Simulator, tmp_path: Path) -> None:
    """Nothing is asked any more once the venue takes no answers: the figures then stay as they are."""
    out, log = tmp_path / "out", tmp_path / "log"
    arguments = ("assets=BTC", "durations=5m", "ahead=10m", "interval=1h")
    with crawling(
        world.url, out, "polymarket_orderbook", *arguments, METRICS_PORT=0, LOG_FILE=log
    ) as process:
        url = endpoint(log)
        until(lambda: scrape(url).values("marketarchive_responses_total", "endpoint") >= set(GAMMA))
        found = scrape(url)
        stop(process)
    [manifest] = Output(out).manifests()
    summary = manifest["summary"]
    for name in GAMMA:
        labels = {"venue": "polymarket", "endpoint": name}
        asked = found.one("marketarchive_requests_total", **labels)
        assert asked == summary["requests"][f"polymarket/{name}"]
        answered = found.one("marketarchive_responses_total", **labels, status_class="2xx")
        assert answered == summary["responses"][f"polymarket/{name}/200"]
    [markets] = [each for each in manifest["raw"] if each["feed"] == "markets"]
    feed = {"venue": "polymarket", "feed": "markets"}
    assert found.one("marketarchive_good_messages_total", **feed) == markets["counts"]["response"]


def test_monitors_pass_a_sound_run_and_name_what_is_wrong_with_another(
    world: Simulator, tmp_path: Path
) -> None:
    sound = crawl(world.url, tmp_path / "sound", "polymarket_markets", "assets=BTC", SPIDERMON_ENABLED=1)
    assert sound.code == 0
    assert sound.log.count("[Spidermon] 6 monitors in") == 1
    assert "[Spidermon] FAILED" not in sound.log
    assert "Traceback" not in sound.log
    with world.ordered({"kind": "status", "route": "clob.polymarket.com/books", "status": 403}):
        refused = crawl(
            world.url,
            tmp_path / "refused",
            "polymarket_orderbook",
            *BOOKS,
            "duration=4s",
            SPIDERMON_ENABLED=1,
        )
    assert refused.code != 0
    assert "[Spidermon] FAILED" in refused.log
    for words in ("FAIL: Exit/", "FAIL: Data/its feed has data", "FAIL: Answers/"):
        assert words in refused.log
    assert "FAIL: Loss/all that was received" not in refused.log


def test_a_wrong_port_is_exit_code_2_before_anything_is_made(world: Simulator, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(crawl_command(world.url, out, "polymarket_markets", METRICS_PORT="http"))
    assert done.returncode == 2
    assert "METRICS_PORT='http' is not a port" in done.stderr
    assert not out.exists()


def test_a_watch_shows_a_block_each_time_until_it_is_interrupted(tmp_path: Path) -> None:
    shown = Forked(
        ["scrapy", "status", "--watch", "--interval", "50ms", "-s", f"OUTPUT_DIR={tmp_path}"],
        ENVIRONMENT | {"SCRAPY_PROJECT": "default"},
        subprocess.PIPE,
    )
    try:
        assert shown.stdout is not None
        blocks = 0
        while blocks < 3:
            line = shown.stdout.readline()
            assert line, "it has ended"
            blocks += "Nothing is archived here yet" in line
        shown.send_signal(signal.SIGINT)
        shown.stdout.read()
        assert shown.wait(60) == 0
    finally:
        shown.kill()
        shown.wait()
        if shown.stdout is not None:
            shown.stdout.close()
    assert not list(tmp_path.iterdir())


def test_a_check_of_a_living_run_is_one_line_of_json(world: Simulator, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with crawling(world.url, out, "polymarket_orderbook", *BOOKS) as process:
        until(lambda: list(out.glob("records/polymarket_btc-*")))
        sound = check(world, out)
        with world.ordered({"kind": "status", "route": "clob.polymarket.com/books", "status": 404}):
            until(lambda: check(world, out, "--max-age", "20s")[0])
            stale = check(world, out, "--max-age", "20s")
        process.kill()
        process.wait()
        dead = check(world, out)
    code, document = sound
    assert (code, document["ok"], document["runs_alive"]) == (0, True, 1)
    [problem] = stale[1]["problems"]
    assert (problem["kind"], problem["venue"], problem["feed"]) == ("stale_feed", "polymarket", "orderbook")
    assert problem["limit_s"] == 22
    assert dead[0] == 1
    assert [each["kind"] for each in dead[1]["problems"]] == ["dead_run"]


def check(world: Simulator, out: Path, *options: str) -> tuple[int, Any]:
    words = [
        *SCRAPY,
        "status",
        "--check",
        *options,
        "-s",
        f"OUTPUT_DIR={out}",
        "-s",
        f"SIMULATOR_URL={world.url}",
    ]
    done = run([*words, "-s", "METRICS_PORT="])
    [line] = done.stdout.splitlines()
    return done.returncode, json.loads(line)
