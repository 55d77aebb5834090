"""Alerts of large trades ("whales") in the simulated catalogue, in a file of the program wwatcher.

The file has schema version 1 (public project polymaster, src/db.rs and src/alerts/history.rs of 2026-02-25);
some rows have ids of markets, as later versions write them. The content of an alert is a pure function of its
market. The truth names for each alert its market and its `link`, how the alert refers to the market:

id          the market's id, whatever the title says
title       the title as the venue states it then, and the outcome where markets share it
retitled    a shorter title in other letters
misspelt    two letters swapped, not the first
ambiguous   a title that several markets share, and nothing that distinguishes them
unknown     a market that does not exist: another number or place
rubbish     no alert: it lacks its market
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.simulator.noise import bits, unit
from marketarchive.times import SECOND, from_iso, iso

LINKS = ("id", "title", "title", "retitled", "misspelt", "ambiguous", "unknown", "rubbish")
"""Kinds of links, as often as alerts have them; an alert is ambiguous only if markets share a title."""
WALLETS = 12
Row = dict[str, Any]

_COLUMNS = (
    "id INTEGER PRIMARY KEY AUTOINCREMENT, platform TEXT NOT NULL, alert_type TEXT NOT NULL, "
    "action TEXT NOT NULL, category TEXT, subcategory TEXT, value REAL NOT NULL, price REAL NOT NULL, "
    "size REAL NOT NULL, market_title TEXT, market_id TEXT, outcome TEXT, wallet_hash TEXT, wallet_id TEXT, "
    "timestamp TEXT, market_context TEXT, wallet_activity TEXT, created_at INTEGER"
)


class WhaleFiles:
    """Writer of `wwatcher.db` and `whale_links.jsonl` in a folder, at the end of a run.

    No files without markets.
    """

    def __init__(self, folder: Path, now_ns: int) -> None:
        self._folder = folder
        self._now_ns = now_ns
        self._event: list[Mapping[str, Any]] = []
        self._found: list[tuple[Row, Row]] = []
        self._has_markets = False

    def add(self, market: Mapping[str, Any]) -> None:
        """Add the truth of a market of the catalogue; the markets of an event must follow one another."""
        if self._event and self._event[-1]["event_id"] != market["event_id"]:
            self._end_event()
        self._event.append(market)
        self._has_markets = True

    def write(self) -> None:
        """Write both files, with the alerts in order of their time."""
        self._end_event()
        if not self._has_markets:
            return
        self._found.sort(key=lambda each: (each[0]["created_at"], each[1]["market_id"] or ""))
        path = self._folder / "wwatcher.db"
        for each in self._folder.glob(f"{path.name}*"):
            each.unlink()
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"CREATE TABLE alerts ({_COLUMNS})")
            connection.execute("CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT)")
            connection.execute("INSERT INTO metadata VALUES ('schema_version', '1')")
            connection.execute("BEGIN")
            for row, _ in self._found:
                names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
                connection.execute(f"INSERT INTO alerts ({names}) VALUES ({marks})", row)  # noqa: S608 -- our names
            connection.execute("COMMIT")
        with (self._folder / "whale_links.jsonl").open("wb") as file:
            for number, (_, link) in enumerate(self._found, 1):
                file.write(msgspec.json.encode({"row": number, **link}) + b"\n")

    def _end_event(self) -> None:
        self._found += _of_event(self._event, self._now_ns)
        self._event = []


def _of_event(markets: Iterable[Mapping[str, Any]], now_ns: int) -> Iterator[tuple[Row, Row]]:
    """Yield the alerts about an event's markets that exist by `now_ns`, each with its link for the truth."""
    markets = list(markets)
    is_shared = len({market["revisions"][0]["title"] for market in markets}) < len(markets)
    for market in markets:
        first = from_iso(market["opens_at"])
        last = next(from_iso(each["at"]) for each in market["revisions"] if each["state"] == "closed")
        key = f"{market['market_id']} {market['listed_at']}"
        for number in range(bits("whales", key) % 4):
            at = first + int(unit("whale at", key, number) * (last - first)) // SECOND * SECOND
            written = at + (1 + bits("whale written", key, number) % 90) * SECOND
            if written <= now_ns:
                yield _alert(market, f"{key} {number}", at, written, is_shared=is_shared)


def _alert(market: Mapping[str, Any], key: str, at: int, written: int, *, is_shared: bool) -> tuple[Row, Row]:
    """Return an alert and its line of the truth.

    key: of the alert, for random choices; at: time of the trade, ns; written: time of the alert, ns;
    is_shared: the market's title is that of other markets too.
    """
    draw = bits("whale", key)
    link = LINKS[draw % len(LINKS)]
    if link == "ambiguous" and not is_shared:
        link = "title"
    said = [each for each in market["revisions"] if from_iso(each["at"]) <= at][-1]
    price = round(0.05 + 0.9 * unit("whale price", key), 2)
    size = 20_000 + draw % 200_000
    row = {
        "platform": market["platform"].capitalize(),
        "alert_type": "WHALE_ENTRY",
        "value": round(price * size, 2),
        "price": price,
        "size": size,
        "market_title": None if link == "rubbish" else _title(said["title"], link),
        "market_id": market["market_id"] if link == "id" else None,
        "created_at": written // SECOND,
        **_trade(market, draw >> 16, at, names_market=link != "ambiguous"),
    }
    side = row.pop("side")
    is_known = link not in ("ambiguous", "unknown", "rubbish")
    return row, {
        "link": link,
        "platform": market["platform"],
        "market_id": market["market_id"] if is_known else None,
        "side": side if is_known else None,
        "value": row["value"],
        "at": iso(at),
        "known_at": iso(written),
    }


def _trade(market: Mapping[str, Any], draw: int, at: int, *, names_market: bool) -> Row:
    """Return the columns of an alert's trade, and `side`: YES or NO, the outcome that it bets on.

    draw: random number; at: time of the trade, ns; names_market: True = the text of the outcome contains the
    label of the market.
    """
    first = draw % 2 == 0
    if market["tokens"] is None:
        side = "YES" if first else "NO"
        text = f"{market['label']}: {side}" if names_market else side
        return {"action": side, "outcome": text, "timestamp": iso(at), "side": side}
    is_sale = draw >> 1 & 3 == 0
    wallet = "0x" + hashlib.sha256(f"wallet {(draw >> 3) % WALLETS}".encode()).hexdigest()[:40]
    return {
        "action": "SELL" if is_sale else "BUY",
        "alert_type": "WHALE_EXIT" if is_sale else "WHALE_ENTRY",
        "outcome": market["outcomes"][0 if first else 1],
        "wallet_id": wallet,
        "wallet_hash": hashlib.sha256(wallet.encode()).hexdigest(),
        "timestamp": str(at // SECOND),
        "side": "YES" if first != is_sale else "NO",
    }


def _title(title: str, link: str) -> str:
    if link == "retitled":
        return title.removeprefix("Will ").removesuffix("?").upper()
    longest = max(title.split(), key=len)
    if link == "misspelt":
        at = next(place for place in range(2, len(longest)) if longest[place] != longest[place - 1])
        swapped = f"{longest[: at - 1]}{longest[at]}{longest[at - 1]}{longest[at + 1 :]}"
        return title.replace(longest, swapped)
    if link == "unknown":
        return title.replace(longest, "Atlantis")
    return title
