"""`scrapy report` of a simulated recording with gaps, looked at in a real Chromium.

Without one (`apt-get install chromium`, extra `browser`) the tests that look are skipped.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image
from scrapy.settings import Settings

from marketarchive import Archive
from marketarchive.collecting.pages.chromium import check_browser, launch_options
from marketarchive.exceptions import ConfigurationError
from tests.e2e.harness import command
from tests.e2e.recordings import copy_of, recorded_with_faults

pytestmark = pytest.mark.e2e

CHARTS = ("coverage", "gaps", "depth", "verified")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of(recorded_with_faults, tmp_path_factory)


@pytest.fixture(scope="module")
def made(recorded: Path) -> dict[str, Any]:
    done = command("report", recorded, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


class Shown(NamedTuple):
    """The page in a browser, what it said on its console, and what it asked for."""

    page: Any
    console: list[str]
    requests: list[str]


@pytest.fixture(scope="module")
def shown(made: dict[str, Any]) -> Iterator[Shown]:
    try:
        check_browser(Settings())
    except ConfigurationError as error:
        pytest.skip(str(error))
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options(Settings()))
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        found = Shown(page, [], [])
        page.on("console", lambda message: found.console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: found.console.append(str(error)))
        page.on("request", lambda request: found.requests.append(request.url))
        page.goto(Path(made["path"]).as_uri())
        page.wait_for_selector("body[data-drawn]", timeout=60_000)
        yield found
        browser.close()


def embedded(path: str, name: str) -> Any:
    """A JSON document of the page."""
    text = Path(path).read_text()
    [found] = re.findall(rf'<script type="application/json" id="{name}">(.*?)</script>', text)
    return json.loads(found)


def test_a_file_and_its_manifest_are_left(recorded: Path, made: dict[str, Any]) -> None:
    path = Path(made["path"])
    assert path.parent == recorded / "reports"
    assert path.name == "report-2026-08-06T2350Z-2026-08-07T0010Z.html"
    assert path.stat().st_size == made["bytes"] < 3_000_000
    manifest = json.loads((recorded / made["manifest"]).read_text())
    assert manifest["outputs"][0]["path"] == f"reports/{path.name}"
    assert {each["path"].split("/")[0] for each in manifest["inputs"]} == {"research", "tables"}
    assert command("verify", recorded).returncode == 0


def test_what_is_drawn_is_what_the_tables_say(recorded: Path, made: dict[str, Any]) -> None:
    archive, charts = Archive(recorded), embedded(made["path"], "charts")
    table = archive.coverage(feed="stream")
    names = ("observed", "quiet", "gapped", "unknown")
    bars = {
        (row["kind"], row["asset"], row["from"]): row
        for row in charts["coverage"]["data"]["values"]
        if row["kind"].startswith("Order books")
    }
    for name in names:
        drawn = sum(int(row[name].split(" ")[0].replace(",", "")) for row in bars.values())
        assert drawn == table[f"{name}_s"].sum(), name
    assert table["gapped_s"].sum() > 20
    gaps = archive.gaps()
    assert len(gaps) == len(charts["gaps"]["data"]["values"]) > 1
    assert {"disconnect", "stall"} <= {row["reason"] for row in charts["gaps"]["data"]["values"]}
    assert f"{len(gaps)} recorded gaps (section 3)" in made["reasons"]
    assert made["verdict"] == "care"


def test_a_round_is_drawn_as_the_dataset_has_it(recorded: Path, made: dict[str, Any]) -> None:
    rounds = embedded(made["path"], "rounds")
    assert {each["asset"] for each in rounds} == {"BTC", "ETH"}
    whole = next(each for each in rounds if each["verdict"] == "reproduced")
    rows = Archive(recorded).canonical(market=whole["id"])
    assert (whole["step"], len(whole["price"])) == (1, len(rows))
    drawn = [each if each is None else whole["base"] + each / whole["scale"] for each in whole["price"]]
    for mine, theirs in zip(drawn, rows["cl_mid"].tolist(), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-6)
    assert [state == "c" for state in whole["seen"]] == [flag == 1 for flag in rows["cl_ffill"]]
    assert any(each["gaps"] for each in rounds)


def test_nothing_is_fetched_and_nothing_goes_wrong(made: dict[str, Any], shown: Shown) -> None:
    assert shown.requests == [Path(made["path"]).as_uri()]
    assert shown.console == []


@pytest.mark.parametrize("name", [*CHARTS, "round"])
def test_a_chart_is_drawn(shown: Shown, name: str) -> None:
    image = Image.open(io.BytesIO(shown.page.query_selector(f"#{name} svg").screenshot())).convert("RGB")
    counted: Sequence[tuple[int, Any]] | None = image.getcolors(image.width * image.height)
    assert counted is not None
    colors = sorted(counted, reverse=True)
    assert image.width > 800
    assert image.height > 60
    assert len(colors) > 20
    assert colors[0][0] < 0.98 * image.width * image.height


def test_the_round_that_was_observed_best_is_drawn_first(made: dict[str, Any], shown: Shown) -> None:
    rounds = embedded(made["path"], "rounds")
    first = next(each for each in rounds if each["id"] in shown.page.inner_text("#round-note"))
    assert first["observed_share"] == max(each["observed_share"] for each in rounds)
    rows = first["seen"].count("o") + sum(state in "oq" for state in first["books"])
    assert first["observed_share"] == pytest.approx(rows / (len(first["seen"]) * 2))


def test_it_says_that_it_is_simulated(shown: Shown) -> None:
    assert shown.page.inner_text(".simulated").startswith("SIMULATED")
    assert shown.page.title().endswith("(simulated)")


def test_gaps_are_shaded_and_carried_values_look_different(shown: Shown) -> None:
    page = shown.page
    picked = page.evaluate(
        """() => JSON.parse(document.getElementById("rounds").textContent)
            .find((each) => each.asset === "BTC" && each.gaps.length).id"""
    )
    page.select_option("#round-asset", "BTC")
    page.select_option("#round-market", picked)
    page.wait_for_function(f"document.getElementById('round-note').textContent.startsWith('{picked}')")
    page.wait_for_function("document.querySelectorAll('#round path[fill=\"#c93a31\"]').length > 0")
    assert page.query_selector('#round path[stroke-dasharray="3,3"]') is not None


def test_another_round_gives_another_chart(shown: Shown) -> None:
    page = shown.page
    page.select_option("#round-asset", "BTC")
    page.wait_for_function("document.getElementById('round-title').textContent.startsWith('BTC')")
    title, chart = (page.inner_html(name) for name in ("#round-title", "#round"))
    page.select_option("#round-asset", "ETH")
    page.wait_for_function("document.getElementById('round-title').textContent.startsWith('ETH')")
    page.wait_for_function("(before) => document.getElementById('round').innerHTML !== before", arg=chart)
    of_asset, way = page.inner_html("#round-title"), "after"
    assert of_asset != title
    if page.is_disabled("#round-after"):
        way = "before"
    page.click(f"#round-{way}")
    page.wait_for_function(
        "(before) => document.getElementById('round-title').innerHTML !== before", arg=of_asset
    )
    assert re.search(r"(ends|outcome).*, (official|not resolved).*; \w+", page.inner_text("#round-title"))


def test_charts_fit_a_narrow_window_and_grow_again(shown: Shown) -> None:
    page = shown.page
    widths = """() => [...document.querySelectorAll("section")]
        .map((each) => [each.id, each.scrollWidth - each.clientWidth])"""
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_function("[...document.querySelectorAll('svg')].every((each) => each.clientWidth < 380)")
    assert [each for each in page.evaluate(widths) if each[1] > 0] == []
    narrow = page.evaluate("[...document.querySelectorAll('svg')].map((each) => each.clientWidth)")
    assert min(narrow) > 200
    page.set_viewport_size({"width": 1280, "height": 800})
    page.wait_for_function("[...document.querySelectorAll('svg')].every((each) => each.clientWidth > 800)")
    assert [each for each in page.evaluate(widths) if each[1] > 0] == []
    assert shown.console == []


def test_part_of_it_can_be_asked_for(recorded: Path, tmp_path: Path) -> None:
    file = tmp_path / "btc.html"
    some = ("--assets", "btc", "--since", "2026-08-07T00:00", "--until", "2026-08-07T00:05")
    done = command("report", recorded, *some, "--output", str(file))
    assert done.returncode == 0, done.stderr
    assert f"made     {file}" in done.stdout
    assert "2026-08-07 00:00 to 2026-08-07 00:05, UTC; only BTC" in file.read_text()
    assert {each["asset"] for each in embedded(str(file), "rounds")} == {"BTC"}
    bars = embedded(str(file), "charts")["coverage"]["data"]["values"]
    assert {each["asset"] for each in bars} == {"BTC"}
    assert {each["from"] for each in bars} == {"2026-08-07 00:00"}


def test_a_failed_validation_is_a_defect_in_the_head(recorded: Path, made: dict[str, Any]) -> None:
    assert command("validate", recorded).returncode in (0, 1)
    path = recorded / "research" / "VALIDATION_REPORT.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "state": "fail"}))
    done = command("report", recorded, "--json", "--output", str(recorded.parent / "failed.html"))
    told = json.loads(done.stdout)
    assert told["verdict"] == "defect"
    assert "the last `validate` failed (below)" in told["reasons"]
    text = (recorded.parent / "failed.html").read_text()
    assert "scrapy validate: fail" in text
    assert document["checks"][0]["title"] in text
