from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.simulator.polymarket.rounds import (
    ASSET_LIST,
    EASTERN,
    Ids,
    Role,
    SimRounds,
    end_of,
    is_start,
    series_id,
    starts,
)
from marketarchive.venues.polymarket import updown

DAYS = ["2026-11-21", "2026-03-08", "2026-11-01"]  # an ordinary one, and both changes of clocks


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("duration", updown.DURATIONS)
def test_every_second_belongs_to_exactly_one_round(duration: str, day: str) -> None:
    low = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) - 86400
    found = list(starts(duration, low, low + 3 * 86400))
    assert len(found) >= 3
    for start, following in pairwise(found):
        assert end_of(duration, start) == following
        assert is_start(duration, start)
        assert not is_start(duration, start + 1)


def test_long_rounds_lie_on_the_eastern_grid() -> None:
    summer = datetime(2026, 8, 21, 16, tzinfo=UTC)
    winter = datetime(2026, 11, 21, 17, tzinfo=UTC)
    for noon in (summer, winter):
        second = int(noon.timestamp())
        assert is_start("1d", second)
        assert is_start("4h", second)
        assert datetime.fromtimestamp(second, EASTERN).hour == 12
        assert not is_start("4h", int((noon + timedelta(hours=1)).timestamp()))


@given(
    st.integers(),
    st.sampled_from(["condition", "up", "down"]),
    st.sampled_from(ASSET_LIST),
    st.sampled_from(updown.DURATIONS),
    st.integers(0, 2**32 - 1),
)
def test_an_id_leads_back_to_its_round(seed: int, role: Role, asset: str, duration: str, start: int) -> None:
    key = (asset, duration, start)
    made = Ids(seed).make(role, key)
    assert len(made) == 32
    assert Ids(seed).read(made) == (role, key)
    assert Ids(seed + 1).read(made) is None
    assert Ids(seed).read(made[::-1]) is None
    assert Ids(seed).read(made[:31]) is None


@pytest.mark.parametrize(
    ("duration", "start", "twap_s", "source"),
    [
        ("5m", "2026-08-06T23:55:00", None, "streams/btc-usd"),
        ("5m", "2026-08-07T00:00:00", 30, "streams/btc-usd-twap-30s-streams"),
        ("5m", "2026-08-14T00:00:00", 60, "streams/btc-usd-twap-60s-streams"),
        ("15m", "2026-08-07T00:00:00", 60, "streams/btc-usd-twap-60s-streams"),
        ("1h", "2026-11-21T10:00:00", None, "trade/BTC_USDT"),
    ],
)
def test_rules_are_dated(duration: str, start: str, twap_s: int | None, source: str) -> None:
    at = int(datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp())
    made = SimRounds(1).make("BTC", duration, at)
    assert made.twap_s == twap_s
    assert made.resolution_source.endswith(source)


@pytest.mark.parametrize("duration", updown.DURATIONS)
@pytest.mark.parametrize("asset", ASSET_LIST)
def test_slugs_and_numbers_are_what_readers_expect(asset: str, duration: str) -> None:
    rounds = SimRounds(1)
    for start in list(starts(duration, 1_795_255_200, 1_795_255_200 + 10 * 86400))[:6]:
        made = rounds.make(asset, duration, start)
        assert updown.of_slug(made.slug) == (asset, duration)
        assert updown.of_series(made.group.series_slug or "") == (asset, duration)
        assert made.group.series_id == series_id(asset, duration)
        assert 86_000 < start - made.listed_at <= 86_400
        assert made.closed_at is not None
        assert 15 <= made.closed_at - made.end <= 27
        assert rounds.numbered(made.number) == made
        assert rounds.numbered(made.number + 40) != made
    assert rounds.numbered(5) is None
