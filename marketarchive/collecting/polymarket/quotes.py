"""Quotes of Polymarket rounds: best prices of a market's two books at a tick, where both are observed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from marketarchive.items import Invalid, Market, Verdict
from marketarchive.times import to_seconds, utc
from marketarchive.venues.polymarket.clob import ClobBook, verify_book
from marketarchive.venues.polymarket.rows import Quote

if TYPE_CHECKING:
    from marketarchive.collecting.spider import Answer, ArchiveSpider


class Best(Protocol):
    """Protocol of a book or state with best prices; None: the side is empty."""

    @property
    def best_bid(self) -> Decimal | None: ...

    @property
    def best_ask(self) -> Decimal | None: ...


class QuoteReceipt(Protocol):
    """Protocol of the message that a quote is made from: its receipt."""

    @property
    def received_at(self) -> int: ...

    @property
    def seq(self) -> int: ...


def judge(
    spider: ArchiveSpider, answer: Answer
) -> tuple[dict[str, ClobBook], dict[str, Verdict], list[Invalid]]:
    """Verify the books of an answer.

    Return (books by token, verdict by token, `Invalid` items of failed ones).
    """
    books = {book.token: book for book in answer.parsed.books} if answer.parsed else {}
    verdicts: dict[str, Verdict] = {}
    invalid = []
    for token, book in books.items():
        verdicts[token], recipe = verify_book(book)
        spider.run.stats.inc_value(f"books/{verdicts[token]}")
        if recipe:
            spider.run.stats.inc_value(f"books/recipe/{recipe}")
        if verdicts[token] == "failed":
            error = f"hash {book.hash} of token {token} matches no recipe"
            at, seq = answer.received_at, answer.seq
            invalid.append(Invalid(spider.venue, spider.feed, at, seq, "Book", error, ("hash",)))
    return books, verdicts, invalid


def quote_of(
    spider: ArchiveSpider,
    tick: int,
    market: Market,
    books: Mapping[str, Best],
    answer: QuoteReceipt | None,
    verdicts: Mapping[str, Verdict] | None = None,
    *,
    source: str = "books",
) -> Quote:
    """Return the quote of `market` at `tick` (wall ns); it is observed only where both books are sound.

    books: by token; answer: the message that brought them, None without one; verdicts: by token; source: the
    value of the quote's column `source`.
    """
    outcomes = market.outcomes or ()
    tokens = market.tokens or {}
    first, second = (
        (tokens.get(outcome, "") for outcome in ("Up", "Down"))
        if "Up" in outcomes
        else (tokens[outcome] for outcome in outcomes)
    )
    up, down = books.get(first), books.get(second)
    found = [(verdicts or {}).get(token, "not_available") for token in (first, second)]
    verified: Verdict = "failed" if "failed" in found else "ok" if found == ["ok", "ok"] else "not_available"
    preopen = market.start_at is not None and to_seconds(tick) < market.start_at.timestamp()
    common = {
        "venue": spider.venue,
        "feed": spider.feed,
        "received_at": answer.received_at if answer else spider.run.clock.now_ns(),
        "timestamp": utc(tick),
        "asset": market.asset,
        "market_id": market.slug or market.market_id,
        "condition_id": None if market.market_id == market.slug else market.market_id,
        "preopen": int(preopen),
        "source": source,
        "verified": verified,
    }
    if up is None or down is None:
        return Quote(**common, seq=0, is_observed=0)
    assert answer is not None
    if verified == "failed":
        return Quote(**common, seq=answer.seq, is_observed=0)
    return Quote(
        **common,
        seq=answer.seq,
        is_observed=1,
        up_bid=up.best_bid,
        up_ask=up.best_ask,
        down_bid=down.best_bid,
        down_ask=down.best_ask,
    )
