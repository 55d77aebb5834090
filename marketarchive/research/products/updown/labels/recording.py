"""Labels from another recorder's folder: its rounds, a price feed, and a manifest with checksums.

`*-markets-*.jsonl.gz`: one market a line (slug, asset, interval_sec, condition_id, start_sec, end_sec,
resolved, outcome_prices in the order Up, Down, strike_value, and `raw`, the catalogue's own row).
`<ASSET>USD-prices-*.csv.gz`: Chainlink spot, one tick a line (feed_ts_ms, value, full_accuracy_value as an
integer of 10**-18, server_ts_ms, recv_ms); `<ASSET>USD-twap60s-prices-*.csv.gz`: its mean of 60 s. Files of
other names in the manifest are ignored.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec

from marketarchive.exceptions import ArgumentError, CorruptError, ParseError
from marketarchive.json_lines import DAMAGED_GZIP, NOT_JSON
from marketarchive.nesting import is_shallow
from marketarchive.research.labels.label import SPLIT, Label
from marketarchive.research.products.updown.labels.labels import MarketWindow, Tick, label, wanted
from marketarchive.research.products.updown.labels.market_facts import of_items, windows
from marketarchive.venues.exact import e18
from marketarchive.venues.messages import Received
from marketarchive.venues.polymarket import gamma
from marketarchive.venues.polymarket.endpoints import MARKETS
from marketarchive.venues.polymarket.rules import spot, twap
from marketarchive.venues.polymarket.updown import ASSETS

MARKETS_FILE = re.compile(r".*markets.*\.jsonl\.gz")
PRICES_FILE = re.compile(
    r"([A-Za-z0-9]+?)[-_]?USDT?(?:[-_]twap[-_]?(\d+)s?)?[-_]prices.*\.csv\.gz", re.IGNORECASE
)

_MS = 1_000_000
_OUTCOMES: dict[tuple[str, ...], str] = {("1", "0"): "Up", ("0", "1"): "Down", ("0.5", "0.5"): SPLIT}
_DURATIONS = {300: "5m", 900: "15m", 3600: "1h", 14400: "4h", 86400: "1d"}


class _RecordingFile(msgspec.Struct):
    name: str
    sha256: str
    bytes: int | None = None
    rows: int | None = None


class _RecordingManifest(msgspec.Struct):
    files: list[_RecordingFile]


class _RecordedMarket(msgspec.Struct):
    """A line of a `*-markets-*.jsonl.gz` file of a recording."""

    slug: str
    asset: str
    condition_id: str
    start_sec: int
    end_sec: int
    interval_sec: int | None = None
    resolved: bool | None = None
    outcome_prices: list[str] | None = None
    strike_value: str | None = None
    raw: msgspec.Raw = msgspec.Raw(b"null")


_ROW = msgspec.json.Decoder(_RecordedMarket)


@dataclass
class Recording:
    """Labels made from the markets and prices of a recording's folder, and counts of what was used."""

    labels: list[Label] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)  # files that match the manifest
    absent: list[str] = field(default_factory=list)  # ignored files that the folder does not have
    ticks: int = 0
    strikes: int = 0  # markets with a strike stated by the recorder and one given by a tick
    equal_strikes: int = 0  # of them, those where both strikes are equal

    def count(self, *verdicts: str) -> int:
        return sum(each.verdict in verdicts for each in self.labels)


def read(folder: Path) -> Recording:
    """Return the labels of all markets of a recording, sorted by start.

    Raises ArgumentError for a folder without this layout, CorruptError where a file does not match the
    manifest.
    """
    made = Recording()
    names = _checked(folder, made)
    stated: dict[str, str] = {}
    chosen = {}
    for name in names:
        if MARKETS_FILE.fullmatch(name):
            for row, window in _windows(folder / name):
                chosen[window.market_id] = window  # a round across midnight is in the files of both days
                if row.strike_value:
                    stated[window.market_id] = row.strike_value
    needed = wanted(chosen.values())
    found: dict[tuple[str, int], list[Tick]] = {}
    for name in names:
        if named := PRICES_FILE.fullmatch(name):
            instrument = _instrument(name, named)
            for at, tick in _ticks(folder / name):
                made.ticks += 1
                if (instrument, at) in needed:
                    found.setdefault((instrument, at), []).append(tick)
    ordered = sorted(chosen.values(), key=lambda each: (each.start_ns, each.market_id))
    made.labels = [label(each, lambda instrument, at: found.get((instrument, at), ())) for each in ordered]
    for each in made.labels:
        if each.strike_e18 is not None and each.market_id in stated:
            made.strikes += 1
            made.equal_strikes += str(each.strike_e18) == stated[each.market_id]
    return made


def _checked(folder: Path, made: Recording) -> list[str]:
    """Return the names of the manifest's market and price files.

    The checksum of every file that is present is compared with the manifest, and noted in `made`. Raises
    ArgumentError, CorruptError.
    """
    path = folder / "manifest.json"
    try:
        data = path.read_bytes()
        if not is_shallow(data):
            raise ArgumentError(f"{path} is nested too deep for a manifest")
        manifest = msgspec.json.decode(data, type=_RecordingManifest)
    except OSError as error:
        raise ArgumentError(f"{folder} is not a recording: {error}") from error
    except NOT_JSON as error:
        raise ArgumentError(f"{path} is not a manifest of a recording: {error}") from error
    names = []
    for file in manifest.files:
        if "/" in file.name or "\\" in file.name or file.name in ("", ".", ".."):
            raise ArgumentError(f"{path} names {file.name!r}, which is not a file of its folder")
        is_wanted = MARKETS_FILE.fullmatch(file.name) or PRICES_FILE.fullmatch(file.name)
        if not (folder / file.name).is_file():
            if is_wanted:
                raise CorruptError(f"{file.name} is in the manifest, but not in {folder}")
            made.absent.append(file.name)
            continue
        _check(folder / file.name, file)
        made.checked.append(file.name)
        names += [file.name] if is_wanted else []
    for what, form in (("markets", MARKETS_FILE), ("prices", PRICES_FILE)):
        if not any(form.fullmatch(name) for name in names):
            raise ArgumentError(f"{path} names no file of {what} like {_EXAMPLES[what]}")
    return names


_EXAMPLES = {"markets": "BTC-5m-markets-2026-07-24.jsonl.gz", "prices": "BTCUSD-prices-2026-07-24.csv.gz"}


def _check(path: Path, file: _RecordingFile) -> None:
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if digest != file.sha256.lower():
        raise CorruptError(f"{path} has sha256 {digest}, its manifest says {file.sha256}")
    if file.bytes is not None and path.stat().st_size != file.bytes:
        raise CorruptError(f"{path} has {path.stat().st_size} bytes, its manifest says {file.bytes}")


def _instrument(name: str, named: re.Match[str]) -> str:
    asset = named[1].upper()
    if asset not in ASSETS:
        raise ArgumentError(f"{name}: {asset} is none of {', '.join(ASSETS)}")
    return twap(asset, int(named[2])) if named[2] else spot(asset)


def _windows(path: Path) -> Iterator[tuple[_RecordedMarket, MarketWindow]]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        if not is_shallow(line):
            raise CorruptError(f"{path.name} line {number} is nested too deep")
        try:
            row = _ROW.decode(line)
        except NOT_JSON as error:
            raise CorruptError(f"{path.name} line {number} is not a market: {error}") from error
        yield row, _window(row, path.name, number)


def _window(row: _RecordedMarket, name: str, number: int) -> MarketWindow:
    """Return the round of a line: from the catalogue's row in its field `raw`, else from the other fields.

    name, number: of the file and line, for errors. Raises CorruptError.
    """
    if bytes(row.raw) != b"null":
        received = Received(
            "polymarket", "recording", f"{MARKETS}/slug/{row.slug}", {}, None, 200, bytes(row.raw), 0, number
        )
        try:
            parsed = gamma.parse_one_market(received)
        except ParseError as error:
            raise CorruptError(f"{name} line {number}: raw is not a market: {error}") from error
        if parsed.errors:
            raise CorruptError(f"{name} line {number}: raw is not a market: {parsed.errors[0]}")
        found, _ = windows(of_items(parsed.items))
        if found:
            return found[0]
    prices = row.outcome_prices if row.resolved else None
    outcome = _OUTCOMES.get(tuple(prices or ()))
    return MarketWindow(
        market_id=row.slug,
        condition_id=row.condition_id,
        asset=row.asset.upper(),
        duration=_DURATIONS.get(row.interval_sec or row.end_sec - row.start_sec, "unknown"),
        start_ns=row.start_sec * 1_000_000_000,
        end_ns=row.end_sec * 1_000_000_000,
        resolved_outcome=outcome,
        resolution_source=f"recording {name}" if outcome else None,
    )


def _ticks(path: Path) -> Iterator[tuple[int, Tick]]:
    """Yield (time of observation in ns, tick) of each line of a price file. Raises CorruptError."""
    for number, row in enumerate(_rows(path, {"feed_ts_ms", "value", "recv_ms"}), 2):
        try:
            exact = row.get("full_accuracy_value")
            value = int(exact) if exact else e18(Decimal(row["value"]))
            at, received = int(row["feed_ts_ms"]) * _MS, int(row["recv_ms"]) * _MS
        except (TypeError, ValueError, InvalidOperation) as error:
            raise CorruptError(f"{path.name} line {number} is not a tick: {error}") from error
        yield at, Tick(value, received, f"recording {path.name}")


def _rows(path: Path, needed: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file; needed: columns that it has to have. Raises CorruptError."""
    try:
        rows = csv.DictReader(line.decode() for line in _lines(path))
        if missing := set(needed).difference(rows.fieldnames or ()):
            raise CorruptError(f"{path.name} has no column {', '.join(sorted(missing))}")
        yield from rows
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorruptError(f"{path.name} is not CSV in UTF-8: {error}") from error


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) as file:
            yield from file
    except (OSError, *DAMAGED_GZIP) as error:
        raise CorruptError(f"{path} cannot be read: {error}") from error
