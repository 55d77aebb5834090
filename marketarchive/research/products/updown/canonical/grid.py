"""Rows of the canonical dataset, on a grid with a cell for each second; pure: columns in, a table out.

An input falls into the cell of the first second at whose end it was known. The newest input of a cell
counts, and holds in the following cells until another comes or until it is too old.

Places are row indices of inputs or numbers of cells; -1 is none. Every array has one more element at its
end, which -1 selects: NaN, 0 or -1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marketarchive.research.products.updown.canonical.cells import filled, newest
from marketarchive.research.products.updown.canonical.columns import Clock, written
from marketarchive.research.products.updown.canonical.reading import VERDICTS
from marketarchive.research.products.updown.canonical.received import (
    OF_PRICES,
    OF_QUOTES,
    OF_TOPS,
    US,
    ReceivedColumns,
    seconds_of,
)

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[tuple[int], np.dtype[Any]]


_AT: dict[Clock, str] = {"observation": "event_us", "received": "received_us"}
"""Clock -> column with the time from which an input counts, us."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Tables from which rows are made; times are us since the epoch, but for `start_s`.

    `rounds`  market_id, asset, start_s, duration, strike, settlement, outcome (1 Up, 0 Down),
              strike_received_us, spot_no, twap_no (numbers of instruments), up, down (numbers of tokens)
    `prices`  instrument (a number), event_us, received_us, value, bid, ask, source and, by the clock of
              receipt, is_first (of all reports of one observation)
    `tops`    token (a number), event_us, received_us, run, seq, index, position, bid, ask, source, is_proof
              (a REST snapshot: the book had not changed from event_us until received_us),
              verified (an index into VERDICTS)
    `market_gaps`   market_no (a row of `rounds`), stream (pm, cl), from_us, to_us: recorded gaps that concern
              a market
    `covered` market_no, from_s, to_s (both included): instants at which both books were known
    `references`  asset, sec (since the epoch), mid, source: of spot exchanges
    """

    rounds: pa.Table
    prices: ReceivedColumns
    tops: ReceivedColumns
    market_gaps: pa.Table
    covered: pa.Table
    references: pa.Table


@dataclass(frozen=True, slots=True)
class _Seconds:
    """Columns of the rows to be made; each array has an element per row."""

    round: Array  # index of its round
    t: Array  # second of the round, from 0
    sec: Array  # Unix second
    start: Array  # Unix second at which its round starts
    place: Array  # index of the second among those of all rounds


class Grid:
    """Grid of the seconds t = 0..duration of some rounds, one round after another."""

    def __init__(self, inputs: Inputs, clock: Clock, carry_s: int) -> None:
        import numpy as np

        self._rounds = inputs.rounds
        self._clock = clock
        self._start = _ints(inputs.rounds, "start_s")[:-1]
        self._lengths = _ints(inputs.rounds, "duration")[:-1] + 1
        self._begins = np.cumsum(self._lengths) - self._lengths  # where each round's seconds begin
        times = (self._start, self._lengths, self._begins)
        self._prices = _Prices(inputs.prices, inputs.rounds, times, clock, carry_s)
        self._is_in_gap = self._in_gaps(inputs.market_gaps)
        is_missing = np.zeros(len(self._is_in_gap), bool)
        if clock == "observation":  # of gaps and proofs nobody knew at the second
            is_missing = self._in_gaps(inputs.market_gaps.filter(_is_of("pm")), begun=1)
        self._books = _Books(
            inputs.tops, inputs.rounds, times, clock, carry_s, self._covered(inputs.covered), is_missing
        )
        self._references = _References(inputs.references, inputs.rounds)

    def rows(self, first: int = 0, last: int | None = None) -> pa.Table:
        """Return the rows of the rounds `first` <= index < `last`, by round and second; by default of all."""
        import numpy as np
        import pyarrow as pa

        mine = slice(first, last)
        rounds = self._rounds.slice(first, None if last is None else last - first)
        each = np.repeat(np.arange(len(self._lengths))[mine], self._lengths[mine])
        place = np.arange(len(each)) + self._begins[mine][:1].sum()
        t = place - self._begins[each]
        start = self._start[each]
        at = _Seconds(each, t, start + t, start, place)
        of_rounds = each - first
        strike = _floats(rounds, "strike")[of_rounds]
        known_us = _ints(rounds, "strike_received_us", missing=-1)[of_rounds]
        if self._clock == "received":
            is_known = (known_us >= 0) & (known_us <= at.sec * US)
            strike, known_us = np.where(is_known, strike, np.nan), np.where(is_known, known_us, -1)
        out = self._prices.at(at) | self._books.at(at)
        delta = out["cl_mid"] - strike
        out |= {
            "time": pa.array(at.sec * US),
            "t": t,
            "tau": self._lengths[each] - 1 - t,
            **{name: _repeated(rounds[name], of_rounds) for name in ("market_id", "asset")},
            "K": strike,
            "settlement": _floats(rounds, "settlement")[of_rounds],
            "Y": rounds["outcome"].combine_chunks().take(pa.array(of_rounds)),
            "delta": delta,
            "delta_bps": 1e4 * delta / np.where(strike == 0, np.nan, strike),
            "delta_twap": out["cl_twap"] - strike,
            **self._references.at(at),
            "K_received_at": pa.array(known_us, mask=known_us < 0),
            "gap": self._is_in_gap[place],
        }
        return pa.table([_typed(out[field.name], field.type) for field in written()], schema=written())

    def _in_gaps(self, market_gaps: pa.Table, begun: int = 0) -> Array:
        """Return per row whether a gap touches its second.

        begun: number of seconds to leave out at the beginning of each gap.
        """
        number = _ints(market_gaps, "market_no")[:-1]
        first = _ints(market_gaps, "from_us")[:-1] // US + begun
        return self._marked(number, first, -(-_ints(market_gaps, "to_us")[:-1] // US))

    def _covered(self, covered: pa.Table) -> Array:
        number = _ints(covered, "market_no")[:-1]
        return self._marked(number, _ints(covered, "from_s")[:-1], _ints(covered, "to_s")[:-1])

    def _marked(self, number: Array, from_s: Array, to_s: Array) -> Array:
        """Return per row whether its second is within a span of its round, both ends included.

        number: round of each span; from_s, to_s: ends of each span, Unix seconds.
        """
        import numpy as np

        begin, start = self._begins[number], self._start[number]
        last = self._lengths[number] - 1
        first = np.clip(from_s - start, 0, last + 1)
        end = np.clip(to_s - start + 1, first, last + 1)
        change = np.zeros(self._lengths.sum() + 1, np.int64)
        np.add.at(change, begin + first, 1)
        np.add.at(change, begin + end, -1)
        return np.cumsum(change)[:-1] > 0


class _Prices:
    """Newest prices per instrument and second; the cells of an instrument are consecutive."""

    def __init__(
        self,
        prices: ReceivedColumns,
        rounds: pa.Table,
        times: tuple[Array, Array, Array],
        clock: Clock,
        carry_s: int,
    ) -> None:
        import numpy as np

        self._columns, self._sources, self._carry_s = prices.columns, prices.sources, carry_s
        start, lengths, _ = times
        self._numbers = {name: _ints(rounds, f"{name}_no", missing=-1) for name in ("spot", "twap")}
        self._first = start.min(initial=2**62)
        last = (start + lengths - 1).max(initial=0)
        self._span = max(0, int(last - self._first + 1))
        self._sec = sec = seconds_of(prices.columns[_AT[clock]])
        cells = self._span * (1 + max(int(each.max(initial=-1)) for each in self._numbers.values()))
        cell = np.maximum(sec - self._first, 0)
        cell += prices.columns["instrument"].astype(np.int64) * self._span
        is_in = (sec <= last) & (cell < cells)
        is_in[-1] = False
        reported = np.flatnonzero(is_in & prices.columns.get("is_first", True))
        parts = np.isfinite(prices.columns["bid"]).astype(np.int64) + np.isfinite(prices.columns["ask"])
        quotes = np.flatnonzero(is_in & (parts > 0))
        self._newest = newest(cells, cell, reported, prices.columns, OF_PRICES)
        self._quoted = newest(cells, cell, quotes, {**prices.columns, "parts": parts}, OF_QUOTES)
        self._filled = filled(self._newest)

    def at(self, seconds: _Seconds) -> dict[str, Any]:
        import numpy as np

        of, sec = self._columns, self._sec
        of_spot = self._held("spot", seconds)
        spot, quote = self._newest[of_spot], self._quoted[of_spot]
        twap = self._newest[self._held("twap", seconds)]
        quote = np.where(sec[quote] == sec[spot], quote, -1)  # the first cell also holds what is older
        return {
            "cl_mid": of["value"][spot],
            "cl_bid": of["bid"][quote],
            "cl_ask": of["ask"][quote],
            "cl_ffill": _known(seconds.sec > sec[spot], spot >= 0),
            "cl_twap": of["value"][twap],
            "cl_twap_ffill": _known(seconds.sec > sec[twap], twap >= 0),
            "cl_source": _text(np.where(spot < 0, -1, of["source"][spot]), self._sources),
            "cl_lag": _lags(of, spot),
        }

    def _held(self, name: str, seconds: _Seconds) -> Array:
        """Return per row the cell with the price of its round's instrument, -1 if none is recent enough.

        name: "spot" or "twap".
        """
        import numpy as np

        begin = self._numbers[name][seconds.round] * self._span
        found = self._filled[np.where(begin < 0, -1, begin + seconds.sec - self._first)]
        age = seconds.sec - self._sec[self._newest[found]]
        return np.where((found >= begin) & (age <= self._carry_s), found, -1)


class _References:
    """Reference prices from spot exchanges, by asset and second."""

    def __init__(self, references: pa.Table, rounds: pa.Table) -> None:
        import numpy as np

        assets = {asset: number for number, asset in enumerate(rounds["asset"].unique().to_pylist())}
        self._asset = np.array([assets[asset] for asset in rounds["asset"].to_pylist()], np.int64)
        seconds = _ints(references, "sec")[:-1]
        self._first, last = seconds.min(initial=2**62), seconds.max(initial=-1)
        self._span = max(0, int(last - self._first + 1)) if len(seconds) else 0
        self._places = np.full(self._span * len(assets) + 1, -1)
        of = np.array([assets.get(asset, -1) for asset in references["asset"].to_pylist()], np.int64)
        mine = np.flatnonzero(of >= 0)
        self._places[of[mine] * self._span + seconds[mine] - self._first] = mine
        self._mid = _floats(references, "mid")
        source = references["source"].combine_chunks().dictionary_encode()
        self._sources = source.dictionary.to_pylist()
        self._source = np.append(source.indices.to_numpy(), -1)

    def at(self, seconds: _Seconds) -> dict[str, Any]:
        import numpy as np

        second = seconds.sec - self._first
        is_in = (second >= 0) & (second < self._span)
        cell = np.where(is_in, self._asset[seconds.round] * self._span + second, -1)
        place = self._places[cell]
        return {"ref_mid": self._mid[place], "ref_source": _text(self._source[place], self._sources)}


class _Books:
    """Newest best prices per token and second; all cells of Up come before those of Down."""

    def __init__(
        self,
        tops: ReceivedColumns,
        rounds: pa.Table,
        times: tuple[Array, Array, Array],
        clock: Clock,
        carry_s: int,
        is_covered: Array,
        is_missing: Array,
    ) -> None:
        import numpy as np

        self._columns, self._sources, self._carry_s = tops.columns, tops.sources, carry_s
        self._is_covered, self._is_missing = is_covered, is_missing
        start, lengths, begins = times
        second = np.arange(len(is_covered)) - np.repeat(begins - start, lengths)
        known = np.maximum.accumulate(np.where(is_covered, np.arange(len(is_covered)), -1))
        self._known = np.where(known >= np.repeat(begins, lengths), second[known], 0)
        self._count = count = int(lengths.sum())
        self._sec = sec = seconds_of(tops.columns[_AT[clock]])
        sides = [_ints(rounds, name, missing=-1)[:-1] for name in ("up", "down")]
        token = tops.columns["token"]
        tokens = 1 + max(int(each.max(initial=-1)) for each in (*sides, token))
        first_cell, begin_s, end_s = (np.full(tokens + 1, -1) for _ in range(3))
        for number, of_round in enumerate(sides):
            first_cell[of_round] = number * count + begins
            begin_s[of_round], end_s[of_round] = start, start + lengths - 1
        first_cell[-1] = end_s[-1] = -1
        cell = np.maximum(sec - begin_s[token], 0)
        cell += first_cell[token]
        is_in = sec <= end_s[token]
        is_in[-1] = False
        self._newest = newest(2 * count, cell, np.flatnonzero(is_in), tops.columns, OF_TOPS)
        self._filled = filled(self._newest)
        # a value ages from when it was last known to be unchanged
        event, received = tops.columns["event_us"], tops.columns["received_us"]
        requested = np.flatnonzero(is_in & tops.columns["is_proof"])
        proof = newest(2 * count, cell, requested, tops.columns, ("event_us", "received_us"))
        cells = np.flatnonzero(proof >= 0)
        cells = cells[event[proof[cells]] == event[self._newest[cells]]]
        self._proven = np.zeros(2 * count + 1, np.int64)
        self._proven[cells] = received[proof[cells]] // US

    def at(self, seconds: _Seconds) -> dict[str, Any]:
        import numpy as np

        of, sec, sources = self._columns, self._sec, self._sources
        up, down = (self._side(number, seconds) for number in (0, 1))
        out: dict[str, Any] = {}
        for name, side in (("up", up), ("down", down)):
            bid, ask = of["bid"][side.top], of["ask"][side.top]
            out |= {f"pm_{name}_bid": bid, f"pm_{name}_ask": ask}
            out |= {f"pm_{name}_mid": (bid + ask) / 2, f"pm_{name}_spread": ask - bid}
        out["sum_bids"] = out["pm_up_bid"] + out["pm_down_bid"]
        out["sum_asks"] = out["pm_up_ask"] + out["pm_down_ask"]

        event, source = of["event_us"], of["source"]
        has_up, has_down = up.top >= 0, down.top >= 0
        is_known = has_up | has_down
        is_old = up.is_old | down.is_old
        is_proven = ~((up.is_old & ~up.is_quiet) | (down.is_old & ~down.is_quiet))
        is_observed = self._is_covered[seconds.place] | (is_proven & ~self._is_missing[seconds.place])
        is_early = (has_up & (sec[up.top] < seconds.start)) | (has_down & (sec[down.top] < seconds.start))
        newer = np.where(has_up & ~(has_down & (event[down.top] > event[up.top])), up.top, down.top)
        of_up = np.where(has_up, source[up.top], source[down.top])
        of_down = np.where(has_down, source[down.top], source[up.top])
        both = [one if one == other else f"{one}, {other}" for one in sources for other in sources]
        verdict = np.maximum(
            np.where(has_up, of["verified"][up.top], -1), np.where(has_down, of["verified"][down.top], -1)
        )
        return out | {
            "pm_verified": _text(verdict, VERDICTS),
            "pm_ffill": _known(~is_observed, is_known),
            "pm_quiet": _known(is_old & is_observed, is_known),
            "preopen": _known(is_early, is_known),
            "pm_lag": _lags(of, newer),
            "pm_source": _text(np.where(is_known, of_up * len(sources) + of_down, -1), both),
        }

    def _side(self, number: int, seconds: _Seconds) -> _HeldSide:
        """Return the best prices of Up (`number` 0) or Down (1) that hold at each row's second."""
        import numpy as np

        cell = number * self._count + seconds.place
        found = self._filled[cell]
        found = np.where(found >= cell - seconds.t, found, -1)
        top = self._newest[found]
        proven = np.maximum(self._proven[found], self._known[seconds.place])
        is_held = (top >= 0) & (seconds.sec <= np.maximum(self._sec[top], proven) + self._carry_s)
        top = np.where(is_held, top, -1)
        return _HeldSide(top, is_held & (seconds.sec > self._sec[top]), is_held & (proven >= seconds.sec))


@dataclass(frozen=True, slots=True)
class _HeldSide:
    """Best prices of Up or Down that hold at each row's second; each array has an element per row."""

    top: Array  # index into the best prices, -1 for none
    is_old: Array  # whether they are from an earlier second
    is_quiet: Array  # whether they were proven unchanged up to this second


def _is_of(stream: str) -> Any:
    import pyarrow.compute as pc

    return pc.field("stream") == stream


def _lags(columns: Mapping[str, Array], places: Array) -> Array:
    """Return receipt minus observation of the inputs at `places` in seconds, NaN for place -1."""
    import numpy as np

    lags = (columns["received_us"][places] - columns["event_us"][places]) / 1e6
    return np.where(places >= 0, lags, np.nan)


def _ints(table: pa.Table, name: str, missing: int = 0) -> Array:
    import numpy as np
    import pyarrow as pa

    values = table[name].cast(pa.int64()).fill_null(missing).to_numpy()
    return np.append(values, missing)


def _floats(table: pa.Table, name: str) -> Array:
    import numpy as np

    return np.append(table[name].to_numpy(), np.nan)


def _known(values: Array, is_known: Array) -> pa.Array:
    """Return booleans as an Arrow array of int8, null where not `is_known`."""
    import pyarrow as pa

    return pa.array(values.view("i1"), mask=~is_known)


def _text(codes: Array, texts: Sequence[str]) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()))


def _repeated(column: pa.ChunkedArray, places: Array) -> pa.Array:
    import pyarrow as pa

    return column.combine_chunks().dictionary_encode().take(pa.array(places))


def _typed(values: Any, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    given = values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)
    return given if given.type == kind else given.cast(kind)
