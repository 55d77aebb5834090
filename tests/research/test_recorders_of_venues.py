"""Two lossy recorders of spot exchanges, of Kalshi, and of polled books are one without loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from marketarchive import Archive
from marketarchive.simulator.kalshi import Kalshi
from marketarchive.times import SECOND
from marketarchive.venues.kalshi import socket
from marketarchive.venues.kalshi.tickers import ticker_of
from tests.archive.writing import NOON
from tests.research.exchange_day import ExchangeDay
from tests.research.kalshi.test_coverage import polled
from tests.research.making import Answer, Hole, book, collect, many
from tests.research.test_brti import ALL, DAYS, WORLDS, seconds, symbols
from tests.research.test_recorders import TRACKED, contents

END = 20
OUTAGES = ((6, 8), (13, 15))
"""Of the one recorder, of the other one: connections ended, and others began."""
TICKERS = [ticker_of(f"KX{asset}15M", NOON + 900 * SECOND) for asset in ("BTC", "XRP")]


def kalshi_day() -> ExchangeDay:
    return ExchangeDay("kalshi", socket.WIRE, lambda now: Kalshi(1).session(), feed="stream")


SENT: dict[str, tuple[Callable[[], ExchangeDay], Sequence[str]]] = {
    **{venue: (day, symbols(ALL[venue], ["BTC", "ETH"])) for venue, day in DAYS.items()},
    "kalshi": (kalshi_day, TICKERS),
}


def whole(root: Path, venue: str) -> None:
    """What one recorder without loss has."""
    make, markets = SENT[venue]
    one = make()
    one.open("c1", markets, 0)
    one.send("c1", 0, END)
    one.close("c1", END)
    one.write(root)


def lossy(root: Path, venue: str, outage: tuple[float, float]) -> str:
    make, markets = SENT[venue]
    begin, end = outage
    one = make()
    one.open("c1", markets, 0)
    one.send("c1", 0, begin)
    one.close("c1", begin)
    one.open("c2", markets, end)
    one.gap(begin, end, markets)
    one.send("c2", end, END)
    one.close("c2", END)
    return one.write(root)


@pytest.mark.process
@pytest.mark.parametrize("venue", SENT)
def test_two_lossy_recorders_of_a_socket_are_one_without_loss(tmp_path: Path, venue: str) -> None:
    """But for the snapshots of a second subscription, which its recorder alone was sent."""
    single, double = tmp_path / "single", tmp_path / "double"
    whole(single, venue)
    runs = [lossy(double, venue, outage) for outage in OUTAGES]
    one, two = Archive(single), Archive(double)
    for name in ("book_changes", "trades"):
        assert contents(two, name) == contents(one, name), name
    for name in ("books", "quotes"):
        assert contents(one, name) <= contents(two, name), name
    assert len(two.trades()) > 0
    assert set(two.quotes(columns="verified")["verified"]) <= {"ok", "not_available"}
    for name in ("book_changes", "quotes"):
        frame = getattr(two, name)()
        assert not frame["gap_before"].any(), name
        assert frame.attrs["gaps"] == (), name
    assert len(two.gaps()) == 2
    assert two.coverage()["gapped_s"].sum() == 0
    found = two.recorders().set_index("run").loc[runs]
    assert (found["missed"] > 0).all()
    assert (found["gapped_s"] == found["closed_s"]).all()
    assert (found["gapped_s"] == 2 * len(SENT[venue][1])).all()


def test_the_index_of_two_lossy_recorders_is_that_of_one_without_loss(tmp_path: Path) -> None:
    """A book in its recorder's gap does not count, and the other one's does."""
    single, double = tmp_path / "single", tmp_path / "double"
    for venue in WORLDS:
        whole(single, venue)
        lossy(double, venue, OUTAGES[0])
    alone = seconds(double, 1, END, needed=1)
    assert [second for second, each in alone.items() if len(each.index.venues) < 2] == [6, 7, 8]
    for venue in WORLDS:
        lossy(double, venue, OUTAGES[1])
    found = seconds(double, 1, END)
    assert {second: each.index for second, each in found.items()} == {
        second: each.index for second, each in seconds(single, 1, END).items()
    }
    assert not any(each.unproven for each in found.values())


def both(second: int) -> bytes:
    """Both books of a market as they changed last at a second."""
    return many(*(book(token, timestamp=str(NOON // 10**6 + second * 1000)) for token in "12"))


def test_two_lossy_recorders_of_polled_books_are_one_without_loss(tmp_path: Path) -> None:
    """Answers within the same second are the same; what both missed is missing."""
    single, double = tmp_path / "single", tmp_path / "double"

    def polls(lost: range, delay: float, root: Path) -> str:
        answers = [
            Answer(
                many(*(book(token, timestamp=str(NOON // 10**6 + at * 1000)) for token in "12")), at + delay
            )
            for at in range(END)
            if at not in lost
        ]
        hole = [Hole(lost.start, lost.stop - 0.1, {"endpoint": "/books"})] if lost else []
        return collect(root, sorted([*answers, *hole], key=_moment), tracked=TRACKED)

    polls(range(0), 0.2, single)
    first, second = polls(range(3, 7), 0.2, double), polls(range(6, 9), 0.5, double)
    one, two = Archive(single), Archive(double)
    books, lossless = two.books(), one.books()
    kept = lossless[lossless["event_time"].dt.second != 6]
    assert books[["event_time", "token"]].values.tolist() == kept[["event_time", "token"]].values.tolist()
    assert books.loc[books["gap_before"], "event_time"].dt.second.tolist() == [7, 7]
    assert {(gap["from"][17:19], gap["to"][17:19]) for gap in books.attrs["gaps"]} == {
        ("06", "07"),
        ("06", "06"),
    }
    assert [day["gapped_s"] for day in two.coverage().to_dict("records")] == [1]
    found = two.recorders().set_index("run")
    assert found["missed"].loc[[first, second]].tolist() == [2 * 3, 2 * 2]


def _moment(line: Answer | Hole) -> float:
    return line.at if isinstance(line, Answer) else line.end


def test_two_recorders_of_kalshis_polled_books_are_one(tmp_path: Path) -> None:
    single, double = tmp_path / "single", tmp_path / "double"
    answers = [(at, f"0.51{at:02d}", "0") for at in range(END)]
    polled(single, *answers)
    polled(double, *(each for each in answers if each[0] not in (2, 3)))
    polled(double, *(each for each in answers if each[0] not in (5, 6, 7)))
    one, two = Archive(single), Archive(double)
    for name in ("books", "quotes"):
        assert contents(two, name) == contents(one, name), name
    assert two.coverage()["observed_s"].tolist() == one.coverage()["observed_s"].tolist() == [END]
    assert sorted(two.recorders()["missed"]) == [2, 3]
