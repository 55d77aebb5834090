"""What the simulated stream pages send has the keys and kinds of values of what is known of the real ones."""

from __future__ import annotations

import json
import re
import statistics
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from marketarchive.simulator.chainlink.streams import BY_SLUG
from marketarchive.times import SECOND, from_iso
from tests.conformance.test_simulated_shapes import shape
from tests.simulator.chainlink.requesting import HISTORY, SPOT, fetch, live, pages
from tests.simulator.requesting import NOW, json_of

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "chainlink"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the recordings are not at {SAMPLES}")


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


def next_data(html: str) -> Any:
    found = re.search(r'<script id="__NEXT_DATA__"[^>]*>(.*?)</script>', html)
    assert found is not None
    return json.loads(found[1])


def reports() -> list[dict[str, Any]]:
    text = (SAMPLES / "live_reports_btcusd_2026-03-22T2007Z.ndjson").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_answers_of_the_endpoint() -> None:
    [recorded] = {
        shape(node)
        for node in sample("SHAPE_live_data_engine_response.json")["data"]["allStreamValuesGenerics"]["nodes"]
    }
    assert {shape(node) for node in live(SPOT)} == {recorded}
    assert {node["attributeName"] for node in live(SPOT)} == {"benchmark", "bid", "ask"}


def test_candles() -> None:
    name = "allStreamValuesGeneric1Minutes"
    [recorded] = sample("SHAPE_historical_data_engine_response.json")["data"][name]["nodes"]
    answer = json_of(fetch(HISTORY, {"feedId": BY_SLUG[SPOT].feed_id, "abiIndex": "0", "timeRange": "1D"}))
    assert list(answer["data"]) == [name]
    for node in answer["data"][name]["nodes"][:9]:
        assert shape(node) == shape(recorded)
        assert len(node["bucket"]) == len(recorded["bucket"])
        assert skeleton(node["candlestick"]) == skeleton(recorded["candlestick"])


def skeleton(candlestick: str) -> str:
    text = re.sub(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}(\.[0-9]+)?\+00", "T", candlestick)
    return re.sub(r"val:[0-9]+(\.[0-9]+)?", "val:V", text)


def test_the_blob_of_the_page() -> None:
    recorded = sample("nextdata_streamData_BTCUSD_2026-03-21_trimmed.json")
    html = fetch("/streams/btc-usd").body.decode()
    ours = next_data(html)["props"]["pageProps"]["streamData"]
    for part in ("extraConfig", "streamMetadata"):
        assert shape(ours[part], in_order=False) == shape(recorded[part], in_order=False)
    assert ours["streamMetadata"]["feedId"] == recorded["streamMetadata"]["feedId"]
    assert ours["extraConfig"]["slug"] == sample("context_btcusd_2026-03-22.json")["resolved_page_slug"]
    assert len(ours["streamMetadata"]["oracles"]) == len(recorded["streamMetadata"]["oracles"])
    known = (SAMPLES / "SHAPE_stream_page_next_data.html").read_text()
    assert re.findall("<title>.*</title>", html) == re.findall("<title>.*</title>", known)


def test_labels_are_where_readers_looked_for_them() -> None:
    html = fetch("/streams/btc-usd").body.decode().replace("–", "$91,363.17")
    text = re.sub("<[^>]*>", "", html.split("<body>")[1])
    for pattern in (r"Mid-price[\s:]*\$?", r"Bid[\s:]*price[\s:]*\$?", r"Ask[\s:]*price[\s:]*\$?"):
        found = re.search(rf"{pattern}([\d,]+(?:\.[\d]+)?)", text, re.IGNORECASE)
        assert found is not None
        assert found[1] == "91,363.17"


def test_reports_come_and_spread_as_recorded() -> None:
    recorded = reports()
    times = [from_iso(each["valid_from"]) for each in recorded]
    ours = list(pages().reports.observed(BY_SLUG[SPOT], NOW, NOW + 25 * SECOND))
    gaps = [(after - before) / SECOND for before, after in pairwise(times)]
    mean = (ours[-1].observed_us - ours[0].observed_us) / 1e6 / (len(ours) - 1)
    assert mean == pytest.approx(statistics.mean(gaps), abs=0.05)
    spread = statistics.median((each["ask"] - each["bid"]) / each["price"] for each in recorded)
    own = statistics.median((each.ask - each.bid) / each.mid for each in ours)
    assert own == pytest.approx(spread, rel=0.5)
