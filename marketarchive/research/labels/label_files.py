"""Files of labels: `research/ground_truth.parquet`, a row per market, and `research/market_master.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from marketarchive.archive.files import Files
from marketarchive.research.labels.label import Label, plain
from marketarchive.research.tables.partitions import METADATA
from marketarchive.times import SECOND, to_seconds

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET = PurePosixPath("research", "ground_truth.parquet")
JSON = PurePosixPath("research", "market_master.json")

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_E18 = ("strike_e18", "settlement_e18")


class LabelStamp(msgspec.Struct):
    """Fingerprint of the inputs that the Parquet file of labels was made from, kept in its metadata."""

    key: str  # of all inputs
    since: int | None = None  # ns: rounds from here on were labelled with these inputs; None: no bound
    until: int | None = None  # ns, not included; None: no bound

    def covers(self, key: str, since: int | None, until: int | None) -> bool:
        """Return whether labels are up to date in `since` <= time < `until` (wall ns; None: no bound).

        key: fingerprint of the inputs as they are now.
        """
        begins = self.since is None or (since is not None and since >= self.since)
        ends = self.until is None or (until is not None and until <= self.until)
        return self.key == key and begins and ends


def read_labels(root: Path) -> list[Label]:
    """Return the labels made last, sorted by start and slug; none where `scrapy ground-truth` has not run."""
    import pyarrow.parquet as pq

    path = root / PARQUET
    if not path.exists():
        return []
    file = pq.ParquetFile(path)
    there = set(file.schema_arrow.names)  # labels of an earlier version lack newer columns
    names = [each.name for each in dataclasses.fields(Label) if each.name in there]
    rows: list[dict[str, Any]] = file.read(columns=names).to_pylist()
    for row in rows:
        row |= {name: None if row[name] is None else int(row[name]) for name in _E18}
    return [Label(**row) for row in rows]


def stamp_of(root: Path) -> LabelStamp | None:
    """Return the stamp of the Parquet file of labels; None when it is missing or cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata: dict[bytes, bytes] = pq.read_metadata(root / PARQUET).metadata or {}
        return msgspec.json.decode(metadata[METADATA.encode()], type=LabelStamp)
    except (FileNotFoundError, KeyError, msgspec.DecodeError, pa.ArrowInvalid):
        return None


def write(root: Path, labels: Sequence[Label], stamp: LabelStamp) -> None:
    """Write the Parquet and the JSON file of labels, each whole or not at all. Raises OSError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = Files()
    path = root / PARQUET
    files.make_dirs(path.parent, root)
    files.write_whole(root / JSON, market_master(labels))
    schema = _schema().with_metadata({METADATA.encode(): msgspec.json.encode(stamp)})
    rows = [_row(each) for each in labels]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema), sink, compression="zstd")
    files.write_whole(path, sink.getvalue().to_pybytes())  # last: its stamp speaks for both


def market_master(labels: Iterable[Label]) -> bytes:
    """Encode labels as a JSON list: prices are numbers with all digits, `*_e18` integers are text."""
    lines = [_ENCODER.encode(master_row(each)) for each in labels]
    return b"[\n" + b",\n".join(lines) + b"\n]\n"


def pretty(document: Any) -> str:
    """Encode `document` as indented JSON, numbers with all their digits."""
    return msgspec.json.format(_ENCODER.encode(document), indent=2).decode()


def master_row(label: Label) -> dict[str, Any]:
    """Return a label as an object of the JSON file; times are Unix seconds."""
    return {
        "market_id": label.market_id,
        "asset": label.asset,
        "start_timestamp": _seconds(label.start_ns),
        "end_timestamp": _seconds(label.end_ns),
        "strike_K": _plain(label.strike),
        "settlement_price": _plain(label.settlement),
        "resolved_outcome": label.resolved_outcome,
        "computed_outcome": label.computed_outcome,
        "outcome_match": label.outcome_match,
        "strike_source": label.strike_source,
        "settlement_source": label.settlement_source,
        "rule": label.rule,
        "verdict": label.verdict,
        "reason": label.reason,
        "condition_id": label.condition_id,
        "duration": label.duration,
        "strike_e18": None if label.strike_e18 is None else str(label.strike_e18),
        "settlement_e18": None if label.settlement_e18 is None else str(label.settlement_e18),
        "strike_received_at_ns": label.strike_received_at_ns,
        "settlement_received_at_ns": label.settlement_received_at_ns,
        "rule_by": label.rule_by,
        "instrument": label.instrument,
        "resolution_source": label.resolution_source,
        "stated_strike": _plain(label.stated_strike),
        "stated_settlement": _plain(label.stated_settlement),
        "error": _plain(label.error),
        "platform": label.platform,
        "strike_kind": label.strike_kind,
        "settlement_kind": label.settlement_kind,
        "flag": label.flag,
    }


def _seconds(ns: int) -> int | float:
    return ns // SECOND if ns % SECOND == 0 else to_seconds(ns)


def _plain(value: Decimal | None) -> Decimal | None:
    """Return a Decimal without trailing zeros and with all its digits; None for None."""
    text = plain(value)
    return None if text is None else Decimal(text)


def _row(label: Label) -> dict[str, Any]:
    row = {each.name: getattr(label, each.name) for each in dataclasses.fields(label)}
    return row | {name: None if row[name] is None else Decimal(row[name]) for name in _E18}


def _schema() -> pa.Schema:
    """Return the Parquet columns, in the order of Label's fields."""
    import pyarrow as pa

    columns = []
    for name, hint in get_type_hints(Label).items():
        if name in _E18:
            kind = pa.decimal128(38, 0)
        elif hint in (Decimal, Decimal | None):
            kind = pa.decimal128(38, 18)
        elif hint in (int, int | None):
            kind = pa.int64()
        elif hint in (bool, bool | None):
            kind = pa.bool_()
        else:
            kind = pa.string()
        columns.append((name, kind))
    return pa.schema(columns)
