"""The rows of the canonical dataset, on a grid with a cell for each second. Pure: tables in, a table out.

An input falls into the cell of the first second at whose end it was known. Of a cell's inputs the newest
counts; it holds in the cells after it until another comes, or until it is too old.

Places are numbers of rows of the inputs, or of cells; -1 is none, and every array has one more element at its
end to say so: NaN, 0 or -1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marketarchive.research.canonical.columns import Clock, schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[tuple[int], np.dtype[Any]]

US = 1_000_000


@dataclass(frozen=True, slots=True)
class Inputs:
    """What rows are made of. Times are us since the epoch, but for `start_s`.

    `rounds`  market_id, asset, start_s, duration, strike, settlement, outcome (1 Up, 0 Down),
              strike_received_us, spot, twap (numbers of instruments), up, down (numbers of tokens)
    `prices`  instrument, at_us (when it counts), event_us, received_us, value, bid, ask, source, is_first (of
              all that was told of one observation)
    `tops`    token, at_us, event_us, received_us, run, seq, index, position, bid, ask, source, is_proof (a
              whole book that the venue was asked for: it had not changed from event_us until received_us)
    `holes`   market_no (a row of `rounds`), from_us, to_us: recorded gaps that concern a market
    """

    rounds: pa.Table
    prices: pa.Table
    tops: pa.Table
    holes: pa.Table


@dataclass(frozen=True, slots=True)
class _Side:
    """At each second: the place of the best prices of a token that hold, whether they are from an earlier
    second, and whether they were proven unchanged since.
    """

    top: Array
    is_old: Array
    is_quiet: Array


class Grid:
    """The seconds t = 0..duration of some rounds, one round after another."""

    def __init__(self, inputs: Inputs, clock: Clock, carry_s: int) -> None:
        import numpy as np

        self._inputs = inputs
        self._clock = clock
        self._carry_s = carry_s
        self._start = _ints(inputs.rounds, "start_s")[:-1]
        lengths = _ints(inputs.rounds, "duration")[:-1] + 1
        self._begins = np.cumsum(lengths) - lengths  # where each round's seconds begin
        self._round = np.repeat(np.arange(len(lengths)), lengths)
        self._begin = self._begins[self._round]
        self._t = np.arange(len(self._round)) - self._begin
        self._tau = lengths[self._round] - 1 - self._t
        self._sec = self._start[self._round] + self._t

    def rows(self) -> pa.Table:
        """By round and second."""
        import numpy as np
        import pyarrow as pa

        rounds = self._inputs.rounds
        strike = _floats(rounds, "strike")[self._round]
        known_us = _ints(rounds, "strike_received_us", missing=-1)[self._round]
        if self._clock == "received":
            is_known = (known_us >= 0) & (known_us <= self._sec * US)
            strike, known_us = np.where(is_known, strike, np.nan), np.where(is_known, known_us, -1)
        out = self._prices() | self._books()
        delta = out["cl_mid"] - strike
        out |= {
            "t": self._t,
            "tau": self._tau,
            "market_id": _text(self._round, rounds["market_id"].to_pylist()),
            "asset": _text(self._round, rounds["asset"].to_pylist()),
            "K": strike,
            "settlement": _floats(rounds, "settlement")[self._round],
            "Y": rounds["outcome"].combine_chunks().take(pa.array(self._round)),
            "delta": delta,
            "delta_bps": 1e4 * delta / np.where(strike == 0, np.nan, strike),
            "ref_mid": pa.nulls(len(delta)),
            "ref_source": pa.nulls(len(delta)),
            "K_received_at": pa.array(known_us, mask=known_us < 0),
            "gap": self._in_holes(),
        }
        return pa.table([_typed(out[each.name], each.type) for each in schema()], schema=schema())

    def _prices(self) -> dict[str, Any]:
        import numpy as np

        prices = self._inputs.prices
        event, received = _ints(prices, "event_us"), _ints(prices, "received_us")
        value, bid, ask = (_floats(prices, name) for name in ("value", "bid", "ask"))
        source, sources = _codes(prices, "source")
        sec = -(-_ints(prices, "at_us") // US)
        first, last = self._sec.min(initial=2**62), self._sec.max(initial=0)
        span = max(0, int(last - first + 1))
        numbers = {
            name: _ints(self._inputs.rounds, name, missing=-1)[self._round] for name in ("spot", "twap")
        }
        cells = span * (1 + max(int(each.max(initial=-1)) for each in numbers.values()))
        cell = _ints(prices, "instrument") * span + np.maximum(sec - first, 0)
        is_in = (sec <= last) & (cell < cells)
        is_in[-1] = False

        told = _Cells(cells, cell, np.flatnonzero(is_in & _flags(prices, "is_first")))
        newest = told.newest((event, -received, -value, source))
        parts = np.isfinite(bid).astype(np.int64) + np.isfinite(ask)
        quotes = _Cells(cells, cell, np.flatnonzero(is_in & (parts > 0)))
        quoted = quotes.newest((event, parts, -received, bid, ask))
        filled = _filled(newest)

        def held(name: str) -> Array:
            """The cells of which the rows' prices of an instrument are."""
            begin = numbers[name] * span
            found = filled[np.where(begin < 0, -1, begin + self._sec - first)]
            return np.where((found >= begin) & (self._sec - sec[newest[found]] <= self._carry_s), found, -1)

        of_spot = held("spot")
        spot, quote, twap = newest[of_spot], quoted[of_spot], newest[held("twap")]
        quote = np.where(sec[quote] == sec[spot], quote, -1)  # the first cell also holds what is older
        return {
            "cl_mid": value[spot],
            "cl_bid": bid[quote],
            "cl_ask": ask[quote],
            "cl_ffill": _known(self._sec > sec[spot], spot >= 0),
            "cl_twap": value[twap],
            "cl_twap_ffill": _known(self._sec > sec[twap], twap >= 0),
            "cl_source": _text(np.where(spot < 0, -1, source[spot]), sources),
            "cl_lag": _lags(event, received)[spot],
        }

    def _books(self) -> dict[str, Any]:
        import numpy as np

        tops = self._inputs.tops
        event, received = _ints(tops, "event_us"), _ints(tops, "received_us")
        bid, ask = _floats(tops, "bid"), _floats(tops, "ask")
        source, sources = _codes(tops, "source")
        sec = -(-_ints(tops, "at_us") // US)
        up, down = self._sides(event, received, sec)
        out: dict[str, Any] = {}
        for name, side in (("up", up), ("down", down)):
            of_bid, of_ask = bid[side.top], ask[side.top]
            out |= {f"pm_{name}_bid": of_bid, f"pm_{name}_ask": of_ask}
            out |= {f"pm_{name}_mid": (of_bid + of_ask) / 2, f"pm_{name}_spread": of_ask - of_bid}
        out["sum_bids"] = out["pm_up_bid"] + out["pm_down_bid"]
        out["sum_asks"] = out["pm_up_ask"] + out["pm_down_ask"]

        has_up, has_down = up.top >= 0, down.top >= 0
        is_known = has_up | has_down
        is_carried = (up.is_old & ~up.is_quiet) | (down.is_old & ~down.is_quiet)
        is_quiet = (up.is_old & up.is_quiet) | (down.is_old & down.is_quiet)
        start = self._start[self._round]
        is_early = (has_up & (sec[up.top] < start)) | (has_down & (sec[down.top] < start))
        newer = np.where(has_up & ~(has_down & (event[down.top] > event[up.top])), up.top, down.top)
        of_up = np.where(has_up, source[up.top], source[down.top])
        of_down = np.where(has_down, source[down.top], source[up.top])
        both = [one if one == other else f"{one}, {other}" for one in sources for other in sources]
        return out | {
            "pm_ffill": _known(is_carried, is_known),
            "pm_quiet": _known(is_quiet & ~is_carried, is_known),
            "preopen": _known(is_early, is_known),
            "pm_lag": _lags(event, received)[newer],
            "pm_source": _text(np.where(is_known, of_up * len(sources) + of_down, -1), both),
        }

    def _sides(self, event: Array, received: Array, sec: Array) -> tuple[_Side, _Side]:
        """Up and Down. All cells of the one come before those of the other."""
        import numpy as np

        tops, count = self._inputs.tops, len(self._sec)
        sides = [_ints(self._inputs.rounds, name, missing=-1)[:-1] for name in ("up", "down")]
        token = _ints(tops, "token")
        tokens = 1 + max(int(each.max(initial=-1)) for each in (*sides, token))
        first_cell, begin_s, end_s = (np.full(tokens + 1, -1) for _ in range(3))
        for number, of_round in enumerate(sides):
            first_cell[of_round] = number * count + self._begins
            begin_s[of_round], end_s[of_round] = self._start, self._start + self._tau[self._begins]
        first_cell[-1] = end_s[-1] = -1
        cell = first_cell[token] + np.maximum(sec - begin_s[token], 0)
        is_in = sec <= end_s[token]
        is_in[-1] = False

        told = _Cells(2 * count, cell, np.flatnonzero(is_in))
        newest = told.newest(_order(tops, event, received))
        asked = _Cells(2 * count, cell, np.flatnonzero(is_in & _flags(tops, "is_proof")))
        proof = asked.newest((event, received))
        # a value ages from when it was last known to be unchanged
        proven = np.where((proof >= 0) & (event[proof] == event[newest]), received[proof] // US, 0)
        filled = _filled(newest)

        def side(number: int) -> _Side:
            found = filled[:-1][number * count : (number + 1) * count]
            found = np.where(found >= number * count + self._begin, found, -1)
            top = newest[found]
            is_held = (top >= 0) & (self._sec <= np.maximum(sec[top], proven[found]) + self._carry_s)
            top = np.where(is_held, top, -1)
            return _Side(top, is_held & (self._sec > sec[top]), is_held & (proven[found] >= self._sec))

        return side(0), side(1)

    def _in_holes(self) -> Array:
        import numpy as np

        holes = self._inputs.holes
        number = _ints(holes, "market_no")[:-1]
        begin, start = self._begins[number], self._start[number]
        last = self._tau[begin]
        first = np.clip(_ints(holes, "from_us")[:-1] // US - start, 0, last + 1)
        end = np.clip(-(-_ints(holes, "to_us")[:-1] // US) - start + 1, first, last + 1)
        change = np.zeros(len(self._sec) + 1, np.int64)
        np.add.at(change, begin + first, 1)
        np.add.at(change, begin + end, -1)
        return np.cumsum(change)[:-1] > 0


class _Cells:
    """Which inputs, `places`, fall into which cell."""

    def __init__(self, count: int, cell: Array, places: Array) -> None:
        self._count = count
        self._cell = cell
        self._places = places

    def newest(self, keys: Iterable[Array]) -> Array:
        """The place of each cell's input with the greatest keys, the first key first."""
        import numpy as np

        places = self._places
        filled = np.count_nonzero(np.bincount(self._cell[places]))
        for key in keys:
            if len(places) == filled:
                break
            cell, value = self._cell[places], np.nan_to_num(key[places], nan=-np.inf)
            greatest = np.full(self._count, value.min(initial=0))
            np.maximum.at(greatest, cell, value)
            places = places[value == greatest[cell]]
        found = np.full(self._count + 1, -1)
        found[self._cell[places]] = places
        return found


def _filled(newest: Array) -> Array:
    """Per cell the last one up to it that has something."""
    import numpy as np

    filled = np.maximum.accumulate(np.where(newest >= 0, np.arange(len(newest)), -1))
    filled[-1] = -1
    return filled


def _order(tops: pa.Table, event: Array, received: Array) -> Iterable[Array]:
    """By what the newest is told; most of it is hardly ever needed."""
    yield event
    yield received
    yield _codes(tops, "run")[0]
    yield from (_ints(tops, name) for name in ("seq", "index", "position"))
    yield from (_floats(tops, name) for name in ("bid", "ask"))
    yield _codes(tops, "source")[0]


def _lags(event: Array, received: Array) -> Array:
    """Seconds."""
    lags = (received - event) / 1e6
    lags[-1] = float("nan")
    return lags


def _ints(table: pa.Table, name: str, missing: int = 0) -> Array:
    import numpy as np
    import pyarrow as pa

    values = table[name].cast(pa.int64()).fill_null(missing).to_numpy()
    return np.append(values, missing)


def _floats(table: pa.Table, name: str) -> Array:
    import numpy as np

    return np.append(table[name].to_numpy(), np.nan)


def _flags(table: pa.Table, name: str) -> Array:
    import numpy as np

    return np.append(table[name].to_numpy(), False)


def _codes(table: pa.Table, name: str) -> tuple[Array, list[str]]:
    """Texts as their places among all that occur, in alphabetical order."""
    import numpy as np

    encoded = table[name].combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    known = sorted(texts)
    rank = np.array([known.index(each) for each in texts], dtype=np.int64)
    return np.append(rank[encoded.indices.to_numpy()], 0), known


def _known(values: Array, is_known: Array) -> pa.Array:
    """Null where it is not known."""
    import pyarrow as pa

    return pa.array(values, mask=~is_known)


def _text(codes: Array, texts: list[str]) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()))


def _typed(values: Any, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    given = values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)
    return given.cast(kind)
