"""What there is of Gemini: shapes of the current API; recordings are of generations that nothing reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.venues.gemini.socket import decode
from marketarchive.venues.market_messages import BookMessage, QuoteMessage, TradeMessage

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "gemini"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the recordings are not at {SAMPLES}")


def test_frames_have_their_shape() -> None:
    """The shapes are of documents and samples, not recorded; the first line is what is sent."""
    _, *lines = (SAMPLES / "SHAPE_ws_gemini_com_frames.jsonl").read_bytes().splitlines()
    told: list[object] = []
    for line in lines:
        try:
            told += [type(each) for each in decode(line, 1).messages]
        except ParseError as error:
            told.append(error.item)
    assert told == [QuoteMessage, BookMessage, TradeMessage, "Frame"]


@pytest.mark.parametrize(
    "name", ["v1_marketdata_btcusd_topofbook_2026-09-26.tsv", "v2_marketdata_l2_GRTUSD_2021-06-24.raw"]
)
def test_recordings_of_archived_generations(name: str) -> None:
    assert (SAMPLES / name).is_file()
    pytest.skip(f"{name}: an archived generation of the API; the collector has no decoder of it")
