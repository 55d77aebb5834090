"""Table rows from the archive of Drift.

No recording of its answers was available. Answers of the data server have the shape of Velocity's, which runs
the same server; files of the bucket are CSV with the same column names. Sources differ on whether the numbers
in files are decimals or integers of 1e-9: each rate is compared with the premium, and rejected when it does
not follow from it.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.json_lines import DAMAGED_GZIP, NOT_JSON
from marketarchive.times import DAY, from_iso
from marketarchive.venues.drift import endpoints
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perp_rows import BadRowError, Contracts, moment, page
from marketarchive.venues.symbols import symbols
from marketarchive.venues.table_rows import FundingsRow
from marketarchive.venues.velocity.fundings import SentFunding, SentRecords, funding_rows

CONTRACTS = Contracts("drift")
ENDS = {
    row["symbol"]: from_iso(row["listed_to"]) + DAY for row in symbols("drift").values() if row["listed_to"]
}
"""Contract -> end of its last day, ns since the Unix epoch."""
_GZIP = b"\x1f\x8b"


def parse(received: Received) -> Parsed:
    """Parse an answer into `Parsed`, with its table rows in `statements`. Raises ParseError."""
    if received.canonical_url.startswith(endpoints.BUCKET):
        symbol = received.canonical_url.split("/market/")[-1].split("/")[0]
        return _fundings(_of_file(received.payload, symbol))
    if "/fundingRates/" in received.canonical_url:
        try:
            sent = msgspec.json.decode(received.payload, type=SentRecords)
        except NOT_JSON as error:
            raise ParseError("records", str(error), ("payload",)) from error
        found = _fundings(sent.records)
        next_page = sent.meta.next_page
        found.next_cursor = None if next_page in (None, "") else str(next_page)
        return found
    raise ParseError("message", f"nothing reads {received.canonical_url}")


def _fundings(sent: list[msgspec.Raw]) -> Parsed:
    def rows(row: SentFunding) -> Iterator[FundingsRow]:
        if moment(row.ts) >= ENDS.get(row.symbol, moment(row.ts) + 1):
            raise BadRowError(f"{row.symbol} had ended")
        yield from funding_rows(row, CONTRACTS)

    return page("fundings", sent, SentFunding, lambda row: row.ts, rows)


def _of_file(payload: bytes, symbol: str) -> list[msgspec.Raw]:
    """Return the CSV lines of a bucket file as JSON records, as the data server sends them.

    Raises ParseError.
    """
    try:
        text = (gzip.decompress(payload) if payload[:2] == _GZIP else payload).decode()
        lines = list(csv.DictReader(text.splitlines(), restkey="rest"))
    except (*DAMAGED_GZIP, UnicodeDecodeError, csv.Error) as error:
        raise ParseError("file", str(error), ("payload",)) from error
    return [msgspec.Raw(msgspec.json.encode({"symbol": symbol} | line)) for line in lines]
