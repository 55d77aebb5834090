"""`scrapy probe` as a user calls it: against the simulator, well and in trouble."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marketarchive.archive.reader import ArchiveReader
from marketarchive.venues import venues
from tests.e2e.harness import ENVIRONMENT, ROOT, SCRAPY, Output, Simulator, command, run, simulator
from tests.spiders_under_test import spiders
from tests.waiting import until

pytestmark = pytest.mark.process

STEM = "polymarket_public_sources_probe_v1"


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("truth"), "--start", "2026-11-20T10:01:00Z") as running:
        yield running


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One whose time runs up to twenty times as fast: for pages that load, and pauses before attempts."""
    with simulator(tmp_path_factory.mktemp("truth"), "--speed", "20") as running:
        yield running


@pytest.fixture(autouse=True)
def no_fault_left(venue: Simulator) -> Iterator[None]:
    yield
    venue.order()


def arguments(venue: Simulator, out: Path, *given: str) -> list[str]:
    return [*SCRAPY, "probe", *given, "-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={venue.url}"]


def probe(
    venue: Simulator, out: Path, *given: str, of: str = "polymarket"
) -> subprocess.CompletedProcess[str]:
    return run(arguments(venue, out, of, *given), 300)


def report(out: Path, venue: str = "polymarket") -> Any:
    return json.loads((out / "probes" / f"{venue}_public_sources_probe_v1.json").read_text())


def results(out: Path) -> dict[str, bool]:
    return {check["name"]: check["passed"] for check in report(out)["checks"]}


def test_it_passes_reports_and_archives_every_answer(venue: Simulator, tmp_path: Path) -> None:
    done = probe(venue, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert max(map(len, lines[:-2])) <= 100  # the last two are paths
    assert lines[-3:] == [
        "passed",
        str(tmp_path / "probes" / f"{STEM}.json"),
        str(tmp_path / "probes" / f"{STEM}.md"),
    ]

    document = report(tmp_path)
    assert document["passed"]
    assert document["simulated"]
    assert all(results(tmp_path).values())
    assert document["found"] == {key: document[key] for key in ("active_market", "live_book")}
    assert all(document["found"].values())
    assert len(results(tmp_path)) == 49
    assert document["limits"]["documented_per_10s"]["clob_books"] == 500
    books = {"name": "clob_books", "amount": 500, "window_s": 10.0, "unit": "requests"}
    assert books in document["limits"]["documented"]
    assert document["limits"]["seen"] == {"requests": 40, "statuses": {"200": 38, "404": 2}, "headers": {}}
    latency = document["latency_ms"]["clob_book"]
    assert latency["answers"] == 4
    assert 0 <= latency["min"] <= latency["median"] <= latency["max"]  # 0: the simulator's time stood
    assert document["latency_ms"]["all"]["max"] > 0
    book = next(check for check in document["checks"] if check["name"] == "clob_book")
    assert book["fields"]["timestamp"]["time"] == ["milliseconds since 1970, as text"]
    assert book["headers"]["server"] == "cloudflare"

    # raw first: the very bytes that the simulator sent, in a run that verifies
    archive = Output(tmp_path)
    archived = archive.lines("probe", "response")
    sent = [line["sha256"] for line in venue.served()[-40:]]
    assert [line["sha256"] for line in sorted(archived, key=lambda line: line["seq"])] == sent
    seqs = {line["seq"] for line in archive.lines("probe") if "seq" in line}
    assert {check["seq"] for check in document["checks"]} <= seqs == set(range(1, len(seqs) + 1))
    assert archive.manifest()["summary"]["exit_code"] == 0
    checked = command("verify", tmp_path, "--books")
    assert checked.returncode == 0, checked.stdout

    # for people
    page = (tmp_path / "probes" / f"{STEM}.md").read_text()
    for heading in ("How are markets discovered?", "Sockets", "Limits", "Latency", "Times", "Fields"):
        assert f"\n## {heading}\n" in page
    assert document["active_market"] in page


def test_all_venues_of_perpetuals_at_once(venue: Simulator, tmp_path: Path) -> None:
    done = run(arguments(venue, tmp_path, "--perps", "--json"), 300)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)["venues"]
    assert set(told) == {name for name, each in venues().items() if each.perps is not None}
    for name, each in told.items():
        assert (each["passed"], each["exit_code"]) == (True, 0)
        assert str(tmp_path / "probes" / f"{name}_public_sources_probe_v1.json") in each["report"]
        assert report(tmp_path, name)["passed"]


def test_sockets_are_listened_to_and_archived_as_a_streams(venue: Simulator, tmp_path: Path) -> None:
    before = len(venue.connections(event="opened"))
    assert probe(venue, tmp_path).returncode == 0
    document, archive = report(tmp_path), Output(tmp_path)
    market, reference, *others = document["sockets"]
    assert {each["state"] for each in others} == {"not used by this version"}
    for number, socket in enumerate((market, reference), 1):
        assert (socket["state"], socket["close_code"], socket["closed_by"]) == ("heard", 1000, "us")
        lines = [line for line in archive.lines("probe") if line.get("connection") == f"c{number}"]
        frames = [
            message.payload
            for message in ArchiveReader(tmp_path).messages("polymarket", "probe", kinds=("frame",))
            if message.envelope["connection"] == f"c{number}"
        ]
        assert len(frames) == socket["messages"] >= 3
        sent = [frame["sha256"] for frame in venue.frames(connection=before + number, sent=True)]
        received = [hashlib.sha256(payload).hexdigest() for payload in frames]
        assert received == sent[: len(received)]  # in the order of sending, from the first one on
        told = {line["event"]: line for line in lines if line["kind"] == "connection"}
        assert list(told) == ["opened", "closed"]
        *subscriptions, heartbeat = socket["sent"]
        assert told["opened"]["subscribe"] == [*map(json.loads, subscriptions), heartbeat]
        assert told["closed"]["close_code"] == 1000
    passed = results(tmp_path)
    assert passed["market_channel_books"]
    assert passed["rtds_crypto_prices_twap_sixty"]
    fields = next(each for each in document["checks"] if each["name"] == "market_channel_books")["fields"]
    assert fields["[].timestamp"]["time"] == ["milliseconds since 1970, as text"]
    page = (tmp_path / "probes" / f"{STEM}.md").read_text()
    assert "closed by us with 1000" in page
    assert archive.gaps() == []


def test_sockets_that_do_not_tell_what_they_should_do_not_fail_it(venue: Simulator, tmp_path: Path) -> None:
    venue.order(
        {"kind": "ws_close", "route": "ws-subscriptions-clob*", "code": 1013, "reason": "slow consumer"},
        {"kind": "ws_topic_gone", "topic": "crypto_prices_twap_thirty"},
    )
    done = probe(venue, tmp_path)
    assert done.returncode == 0, done.stdout
    evidence = {
        check["name"]: check["evidence"] for check in report(tmp_path)["checks"] if not check["passed"]
    }
    assert set(evidence) == {
        "market_channel",
        "market_channel_books",
        "market_channel_ping",
        "rtds_crypto_prices_twap_thirty",
    }
    assert evidence["market_channel"] == "closed by the venue, code 1013 slow consumer"
    assert evidence["rtds_crypto_prices_twap_thirty"] == "no update within 5 s: the topic is absent"
    assert "passed, but look at what failed: market_channel" in done.stdout
    [gap] = Output(tmp_path).gaps()
    assert (gap["reason"], gap["scope"]["endpoint"]) == ("disconnect", "market_channel")


def test_a_socket_that_is_refused_is_a_failed_check(venue: Simulator, tmp_path: Path) -> None:
    venue.order(
        {"kind": "checkpoint", "route": "ws-subscriptions-clob*"},
        {"kind": "status", "route": "ws-live-data*", "status": 429, "retry_after": 7},
    )
    done = probe(venue, tmp_path)
    assert done.returncode == 0, done.stdout
    document = report(tmp_path)
    failed = {check["name"]: check for check in document["checks"] if not check["passed"]}
    assert {name: check["status"] for name, check in failed.items()} == {"market_channel": 403, "rtds": 429}
    assert failed["rtds"]["headers"]["retry-after"] == "7"
    assert document["not_asked"]["rtds_crypto_prices"] == "the socket did not open"
    assert [socket["state"] for socket in document["sockets"][:2]] == ["no connection"] * 2
    output = Output(tmp_path)
    assert {gap["reason"] for gap in output.gaps()} == {"blocked", "rate_limited"}
    refusals = [line for line in output.lines("probe", "response") if line["status"] in (403, 429)]
    assert b"Just a moment" in output.payload(refusals[0])


def test_failures_beside_the_essential_are_named_and_do_not_fail_it(venue: Simulator, tmp_path: Path) -> None:
    venue.order(
        {"kind": "status", "route": "data-api.polymarket.com/v2/trades", "status": 404},
        {"kind": "status", "route": "*/markets/keyset", "status": 429, "retry_after": 120},
        {"kind": "hang", "route": "clob.polymarket.com/time"},
    )
    done = probe(venue, tmp_path, "-s", "DOWNLOAD_TIMEOUT=1")
    assert done.returncode == 0, done.stdout
    failed = {name for name, passed in results(tmp_path).items() if not passed}
    assert failed == {
        "clob_time",
        "gamma_markets_keyset",
        "gamma_markets_keyset_closed",
        "gamma_markets_closed_last",
        "gamma_market_by_slug",
        "gamma_market_unknown",
        "data_trades",
        *(f"round_{asset}_{each}" for asset in ("btc", "eth", "sol", "xrp") for each in ("5m", "15m")),
    }
    assert "passed, but look at what failed: clob_time" in done.stdout
    document = report(tmp_path)
    evidence = {check["name"]: check["evidence"] for check in document["checks"]}
    assert "TimeoutError" in evidence["clob_time"]
    assert "status 429" in evidence["gamma_markets_keyset"]
    assert (
        evidence["gamma_markets_keyset_closed"] == "not sent (rate_limited)"
    )  # asked to wait, and left alone
    assert document["limits"]["seen"]["headers"] == {"retry-after": ["gamma_markets_keyset: 120"]}
    reasons = {gap["reason"] for gap in Output(tmp_path).gaps()}
    assert reasons == {"stall", "rate_limited", "disconnect"}


def test_without_a_book_it_fails_and_says_so(venue: Simulator, tmp_path: Path) -> None:
    venue.order(
        {"kind": "html", "route": "clob.polymarket.com/books"},
        {"kind": "truncate", "route": "clob.polymarket.com/book", "how": "json"},
    )
    done = probe(venue, tmp_path)
    assert done.returncode == 1
    assert "FAILED: no live book with a sound hash" in done.stdout
    assert report(tmp_path)["missing"] == ["live book with a sound hash"]
    assert Output(tmp_path).manifest()["summary"]["finish_reason"] == "probe_failed"


def test_refused_everywhere_is_exit_code_4(venue: Simulator, tmp_path: Path) -> None:
    venue.order({"kind": "checkpoint"})
    done = probe(venue, tmp_path)
    assert done.returncode == 4, done.stdout
    assert "refused every request" in done.stdout
    assert report(tmp_path)["exit_code"] == 4
    assert {gap["reason"] for gap in Output(tmp_path).gaps()} == {"blocked"}
    assert b"Just a moment" in b"".join(
        Output(tmp_path).payload(line) for line in Output(tmp_path).lines("probe", "response")
    )


def test_pages_are_looked_at_and_a_checkpoint_is_reported_not_evaded(
    quick: Simulator, tmp_path: Path
) -> None:
    done = probe(quick, tmp_path / "seen", of="chainlink")
    assert (done.returncode, done.stderr) == (0, "")
    assert "its prices need a browser" in " ".join(done.stdout.split())
    document = report(tmp_path / "seen", "chainlink")
    names = {check["name"] for check in document["checks"] if check["passed"]}
    assert names == {f"{what}_{asset}" for what in ("page", "live") for asset in ("btc", "eth", "sol", "xrp")}
    assert (document["missing"], document["sockets"]) == ([], [])
    assert len(Output(tmp_path / "seen").lines("probe", "response")) == len(document["checks"])
    assert command("verify", tmp_path / "seen").returncode == 0

    with quick.ordered({"kind": "checkpoint", "route": "data.chain.link/*"}):
        done = probe(quick, tmp_path / "blocked", of="chainlink")
    assert done.returncode == 0, done.stdout
    document = report(tmp_path / "blocked", "chainlink")
    [check] = document["checks"]
    assert (check["passed"], check["status"]) == (False, 429)
    assert check["evidence"].startswith("blocked: status 429, a checkpoint")
    assert "blocked, so not requested again" in document["not_asked"]["page_eth"]
    page = (tmp_path / "blocked" / "probes" / "chainlink_public_sources_probe_v1.md").read_text()
    assert "Can the pages be looked at without a browser?" in page


def test_without_an_answer_from_the_pages_it_fails_without_a_traceback(
    quick: Simulator, tmp_path: Path
) -> None:
    routes = ("robots.txt", "data.chain.link*")
    with quick.ordered(*({"kind": "drop", "at": "start", "route": route} for route in routes)):
        done = probe(quick, tmp_path, of="chainlink")
    assert done.returncode == 1, done.stdout
    [line] = done.stderr.splitlines()
    assert f"[scrapy.downloadermiddlewares.robotstxt] ERROR: Error downloading <GET {quick.url}/data" in line
    assert "FAILED: nothing answered: check this machine's network" in " ".join(done.stdout.split())
    assert command("verify", tmp_path).returncode == 0


def test_ended_by_a_signal_it_seals_and_reports_nothing(venue: Simulator, tmp_path: Path) -> None:
    venue.order({"kind": "latency", "route": "clob.polymarket.com/time", "seconds": 1.0})
    process = subprocess.Popen(
        arguments(venue, tmp_path, "polymarket"), cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: list(tmp_path.glob("manifests/polymarket_probe-*.lock")))
        until(lambda: requested_the_time(venue))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=300)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == 1
    assert "stopped before every check was made" in said
    assert not (tmp_path / "probes").exists()
    assert command("verify", tmp_path).returncode == 0


def requested_the_time(venue: Simulator) -> bool:
    """Whether the request that is held back has arrived."""
    with urllib.request.urlopen(f"{venue.url}/_faults", timeout=60) as answer:
        return bool(json.load(answer)[0]["hits"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["nasdaq"], f"nasdaq cannot be probed; use {', '.join(sorted(venues()))}"),
        (["-s", "MASTER_URL=mysql://x"], "mysql is not supported"),
    ],
)
def test_a_wrong_argument_is_exit_code_2(
    venue: Simulator, tmp_path: Path, given: list[str], message: str
) -> None:
    done = run(arguments(venue, tmp_path, *given), 300)
    assert done.returncode == 2
    assert message in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


def test_it_is_no_spider_of_the_list() -> None:
    assert {name for name in spiders() if "probe" in name} == set()
