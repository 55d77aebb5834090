"""What a spider of perpetuals may be asked for."""

from __future__ import annotations

import pytest

from marketarchive.exceptions import ArgumentError
from marketarchive.times import from_iso
from marketarchive.venues.perps import PERIODS_S
from tests.spiders_under_test import spiders

NAMES = sorted(name for name in spiders() if name.endswith("_perps"))


@pytest.mark.parametrize("name", NAMES)
def test_the_past_of_some_assets(name: str) -> None:
    given = {"assets": "btc,ETH", "start": "2026-11-01", "end": "2026-11-08T00:00:00+00:00", "period": "1h"}
    arguments = spiders()[name].check_arguments(given)
    assert arguments.assets == ("BTC", "ETH")
    assert arguments.others == {
        "start": from_iso("2026-11-01T00:00:00Z"),
        "end": from_iso("2026-11-08T00:00:00Z"),
        "period": PERIODS_S["1h"],
    }


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"assets": "NONE"}, "has perpetuals of BTC"),
        ({"period": "2h"}, "is not one of 30m, 1h, 8h, 1d"),
        ({"start": "yesterday"}, "is not a time like"),
        ({"start": "2026-11-08", "end": "2026-11-01"}, "is before start"),
        ({"interval": "1m", "start": "2026-11-01"}, "requests history"),
        ({"interval": "1m", "period": "8h"}, "requests history"),
        ({"duration": "1h"}, "needs an interval"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_what_makes_no_sense_is_refused(name: str, given: dict[str, str], why: str) -> None:
    with pytest.raises(ArgumentError, match=why):
        spiders()[name].check_arguments(given)
