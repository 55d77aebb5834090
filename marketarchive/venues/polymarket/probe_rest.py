"""Probe of Polymarket's REST interfaces: the requests, and what is expected of their answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from marketarchive.exceptions import ParseError
from marketarchive.items import Market, Resolution
from marketarchive.times import SECOND, to_seconds
from marketarchive.venues.endpoint import Endpoint, Limit, Query
from marketarchive.venues.messages import Parsed
from marketarchive.venues.polymarket import queries
from marketarchive.venues.polymarket.clob import NO_ORDERBOOK, ClobBook, error_text, verify_book
from marketarchive.venues.polymarket.endpoints import CLOB, LIMITS
from marketarchive.venues.polymarket.updown import DURATIONS
from marketarchive.venues.probing import Check, Exchange, Findings, NotRequestedError, parses, unexpected

PAGE = "20"  # rows of each list: a look, no sweep
BOOK_READS = ("clob_book", "clob_book_2", "clob_book_3")
CLOCK_OFF_S = 5
DAY_S = 86_400

TIME = Query(Endpoint("clob_time", f"{CLOB}/time", Limit("polymarket/clob", LIMITS["clob"])))
TRADES = replace(queries.TRADES, final=frozenset())  # here only trades count as an answer
NO_SLUG = queries.market("marketarchive-probe-of-a-slug-that-does-not-exist")
NO_TOKEN = queries.book("1")
_HASH = re.compile(r"[0-9a-f]{40}").fullmatch


def _time(exchange: Exchange, _: Findings) -> str:
    text = exchange.payload.decode("ascii", "replace").strip().strip('"')
    if not text.isdigit():
        raise unexpected(f"{text[:40]!r} is not a number of seconds")
    # the venue rounded its time down to a whole second at some moment between request and receipt
    off = int(text) + 0.5 - to_seconds(exchange.received_at)
    if abs(off) > CLOCK_OFF_S:
        raise unexpected(f"the venue's clock and ours differ by {off:+.0f} s: check this machine's")
    return f"whole seconds; the venue's clock is {off:+.1f} s (within 0.5 s) from ours"


# ---- lists and ids -----------------------------------------------------------------------------------------


def _short(query: Query) -> Query:
    return replace(query, params={**query.params, "limit": PAGE})


def _request_rounds(findings: Findings) -> Query:
    for listed in findings.passed("gamma_series"):
        number = next(iter(listed.series.values()))
        return _short(queries.rounds(number, closed=False, ended_since_ns=findings.now_ns))
    raise NotRequestedError("no series id")


def _request_more_rounds(findings: Findings) -> Query:
    for first in findings.passed("gamma_events_keyset"):
        if (more := queries.next_page(findings.exchanges["gamma_events_keyset"].query, first)) is not None:
            return more
    raise NotRequestedError("the first page was not there, or had no next_cursor")


def _more_rounds(exchange: Exchange, findings: Findings) -> str:
    [first] = findings.passed("gamma_events_keyset")
    again = set((parsed := findings.parse(exchange)).keys) & set(first.keys)
    if again or not parsed.keys:
        raise unexpected(f"the second page has {len(parsed.keys)} events, {len(again)} of them again")
    return f"{len(parsed.keys)} events more by after_cursor, none of them a second time"


def _listed(exchange: Exchange, findings: Findings) -> str:
    parsed = findings.parse(exchange)
    if wrong := [each.slug for each in _markets(parsed) if each.status in ("closed", "resolved")]:
        raise unexpected(f"closed=false brought {len(wrong)} markets that are not open, e.g. {wrong[0]}")
    found = _active(parsed, findings.now_ns)
    soonest = f", the next to end {found[0].slug}" if found else ""
    return f"{len(parsed.keys)} rows, {len(found)} active markets{soonest}{_unreadable(parsed)}"


def _listed_closed(exchange: Exchange, findings: Findings) -> str:
    found = list(_markets(parsed := findings.parse(exchange)))
    if wrong := [each.slug for each in found if each.status == "active"]:
        raise unexpected(f"closed=true brought {len(wrong)} markets that are open, e.g. {wrong[0]}")
    since = to_seconds(findings.now_ns) - DAY_S - 1
    if early := [each.slug for each in found if each.end_at and each.end_at.timestamp() < since]:
        raise unexpected(f"end_date_min brought {len(early)} that ended before it, e.g. {early[0]}")
    resolved = sum(each.status == "resolved" for each in found)
    return f"{len(parsed.keys)} rows, {resolved} of them with an outcome{_unreadable(parsed)}"


def _same_ids(exchange: Exchange, findings: Findings) -> str:
    known, found = active(findings)[0], next(_markets(findings.parse(exchange)), None)
    if found is None or (found.market_id, found.tokens) != (known.market_id, known.tokens):
        raise unexpected(f"{known.slug} has other ids here than in the list it came from")
    tokens = ", ".join(f"{label} {token[:8]}..." for label, token in (found.tokens or {}).items())
    return f"{found.slug}: condition {found.market_id[:12]}..., tokens {tokens}"


def _not_found(exchange: Exchange, _: Findings) -> str:
    if exchange.status != 404:
        raise unexpected(f"status {exchange.status}, not 404")
    message = error_text(exchange.payload)
    if exchange.query.endpoint == queries.BOOK and message != NO_ORDERBOOK:
        raise unexpected(f"404 says {exchange.payload[:80]!r}, not {NO_ORDERBOOK!r}")
    return f"404, {message or 'without a message'}"


def active(findings: Findings) -> list[Market]:
    """Return the active markets in the lists received, those that end first in front.

    Raises NotRequestedError when there are none.
    """
    lists = findings.passed("gamma_events_keyset", "gamma_markets_keyset")
    if not (found := [market for parsed in lists for market in _active(parsed, findings.now_ns)]):
        raise NotRequestedError("no active market")
    return found


def _active(parsed: Parsed, now_ns: int) -> list[Market]:
    def ends(market: Market) -> float:
        return market.end_at.timestamp() if market.end_at else float("inf")

    def is_active(market: Market) -> bool:
        return bool(market.status == "active" and market.slug and market.tokens) and ends(market) > now

    now = to_seconds(now_ns)
    return sorted(filter(is_active, _markets(parsed)), key=ends)


def active_market(findings: Findings) -> str | None:
    """Return the evidence that the lists contain an active market; None when they contain none."""
    try:
        one = active(findings)[0]
    except NotRequestedError:
        return None
    ends = f"{one.end_at:%Y-%m-%dT%H:%M:%SZ}" if one.end_at else "at no set time"
    return f"{one.slug}, condition {one.market_id}, ends {ends}"


def _markets(parsed: Parsed) -> Iterator[Market]:
    return (each for each in parsed.items if isinstance(each, Market))


def _unreadable(parsed: Parsed) -> str:
    return f"; not readable {len(parsed.errors)}, e.g. {parsed.errors[0]}" if parsed.errors else ""


# ---- books -------------------------------------------------------------------------------------------------


def _tokens(findings: Findings) -> list[str]:
    return [token for each in active(findings)[:10] for token in (each.tokens or {}).values()]


def _many_books(exchange: Exchange, findings: Findings) -> str:
    found, tokens = findings.parse(exchange).books, _tokens(findings)
    if strange := [each.token for each in found if each.token not in tokens]:
        raise unexpected(f"{len(strange)} books of tokens that were not requested")
    if not found:
        raise unexpected(f"no book for any of {len(tokens)} tokens")
    right = sum(verify_book(each)[0] == "ok" for each in found)
    order = (
        "in the order asked" if [each.token for each in found] == tokens else "in another order than asked"
    )
    return f"{len(found)} books for {len(tokens)} tokens, {order}; hash verified {right}"


def _one_book(exchange: Exchange, findings: Findings) -> str:
    parsed = findings.parse(exchange)
    if parsed.errors:
        raise parsed.errors[0]
    [one] = parsed.books
    for before in [each for each, _ in books(findings) if each.token == one.token][-1:]:
        if one.timestamp_ms < before.timestamp_ms:
            raise unexpected(
                f"timestamp {one.timestamp_ms} is before {before.timestamp_ms}, received earlier"
            )
        if (one.timestamp_ms == before.timestamp_ms) != (one.hash == before.hash):
            raise unexpected("hash and timestamp did not change together")
    if (verdict := verify_book(one)[0]) == "failed":
        raise unexpected(f"hash {one.hash} does not match by any known recipe")
    return (
        f"{len(one.bids)} bids, {len(one.asks)} asks, best {one.best_bid} / {one.best_ask}; hash "
        f"{'verified' if verdict == 'ok' else verdict}; timestamp {_age_s(one, exchange):.1f} s old"
    )


def books(findings: Findings) -> Iterator[tuple[ClobBook, Exchange]]:
    """Yield every book received so far with its answer, even if the check of the answer failed."""
    for name in ("clob_books", *BOOK_READS):
        exchange = findings.exchanges.get(name)
        if exchange is None or exchange.error is not None:
            continue
        try:
            found = findings.parse(exchange).books
        except ParseError:
            continue
        requested = _tokens(findings)
        yield from ((book, exchange) for book in found if book.token in requested)


def book_ages_s(findings: Findings) -> Sequence[float]:
    """Return the age of each received book in seconds: receipt less the book's own timestamp."""
    return [round(_age_s(book, exchange), 3) for book, exchange in books(findings)]


def liveliest(findings: Findings) -> str:
    """Return the token whose book changed last, among those with both sides if there are any.

    Raises NotRequestedError when no book was received and no token is known.
    """
    found = [book for book, _ in books(findings)]
    both = [each for each in found if each.bids and each.asks] or found
    return max(both, key=lambda each: each.timestamp_ms).token if both else _tokens(findings)[0]


def live_book(findings: Findings) -> str | None:
    """Return the evidence of a book with levels and a well-formed hash.

    The newest verified one if there is any.

    None when no such book was received.
    """
    evidence = None
    for one, exchange in books(findings):
        verdict, recipe = verify_book(one)
        is_sound = verdict == "ok" or _HASH(one.hash) is not None
        if is_sound and (one.bids or one.asks) and (verdict == "ok" or evidence is None):
            how = f"verified by recipe {recipe}" if verdict == "ok" else "well-formed, but not verified"
            evidence = (
                f"token {one.token[:12]}... of market {one.market[:12]}...: {len(one.bids)} bids, "
                f"{len(one.asks)} asks, hash {one.hash} {how}, timestamp {_age_s(one, exchange):.1f} s old"
            )
    return evidence


def _age_s(one: ClobBook, exchange: Exchange) -> float:
    return to_seconds(exchange.received_at) - one.timestamp_ms / 1000


# ---- outcomes and trades -----------------------------------------------------------------------------------


def _closed(findings: Findings) -> list[Market]:
    lists = findings.passed("gamma_markets_keyset_closed")
    if not (found := [market for parsed in lists for market in _markets(parsed)]):
        raise NotRequestedError("no closed market")
    return found


def _same_payouts(exchange: Exchange, findings: Findings) -> str:
    parsed = findings.parse(exchange)
    expected = {each.market_id: each.payouts for each in _closed(findings) if each.payouts}
    found = [each for each in parsed.items if isinstance(each, Resolution)]
    compared = [each for each in found if each.payouts and each.market_id in expected]
    for each in compared:
        if _numbers(each.payouts) != _numbers(expected[each.market_id]):
            raise unexpected(f"payouts of {each.market_id} differ from Gamma's outcomePrices")
    return (
        f"{len(found)} closed markets resolved, {len(compared)} payouts compared with Gamma's outcomePrices, "
        f"all equal{_unreadable(parsed)}"
    )


def _numbers(payouts: tuple[str, ...] | None) -> list[float]:
    return [float(each) for each in payouts or ()]


def _traded(findings: Findings) -> list[str]:
    found = []
    for markets in (active, _closed):
        try:
            found += [each.market_id for each in markets(findings)[:10]]
        except NotRequestedError:
            continue
    return found


def _request_trades(findings: Findings) -> Query:
    traded = _traded(findings)
    return Query(TRADES, {"limit": PAGE} | ({"condition": ",".join(traded)} if traded else {}))


def _trades(exchange: Exchange, findings: Findings) -> str:
    parses(exchange, findings)
    parsed = findings.parse(exchange)
    times = [each.timestamp_s for each in parsed.trades]
    if times != sorted(times, reverse=True):
        raise unexpected("trades are not newest first")
    if not times:
        return "no trades of these markets yet"
    more = "more" if parsed.next_cursor else "no more"
    age = to_seconds(exchange.received_at) - times[0]
    return f"{len(times)} trades, newest first, the newest {age:.0f} s old; {more} pages by cursor"


def _request_trades_v1(findings: Findings) -> Query:
    if not (traded := _traded(findings)):
        raise NotRequestedError("no market")
    return _short(queries.trades_v1(traded[0]))


def _request_closed(findings: Findings) -> Query:
    return _short(queries.markets(closed=True, ended_since_ns=findings.now_ns - DAY_S * SECOND))


def _closed_last(exchange: Exchange, findings: Findings) -> str:
    """Expect closed markets; the evidence says whether they are in the order that was requested.

    Raises ParseError when the expectation fails.
    """
    found = list(_markets(findings.parse(exchange)))
    if wrong := [each.slug for each in found if each.status == "active"]:
        raise unexpected(f"closed=true brought {len(wrong)} markets that are open, e.g. {wrong[0]}")
    times = [each.closed_at for each in found if each.closed_at is not None]
    is_ordered = times == sorted(times, reverse=True)
    return f"{len(found)} rows, {'the last closed first' if is_ordered else 'NOT in the order of closing'}"


def _request_history(findings: Findings) -> Query:
    now = findings.now_ns // SECOND
    return queries.price_history(liveliest(findings), now - DAY_S, now, 60)


def _request_histories(findings: Findings) -> Query:
    now = findings.now_ns // SECOND
    return queries.price_histories(_tokens(findings)[:20], now - DAY_S, now, 60)


def _request_resolutions(findings: Findings) -> Query:
    return queries.resolutions([each.market_id for each in _closed(findings)[:20]])


REST = (
    Check("clob_time", "clock", TIME, _time),
    Check("gamma_series", "discover", queries.series(("BTC",), DURATIONS)),
    Check("gamma_events_keyset", "discover", _request_rounds, _listed),
    Check("gamma_events_keyset_next", "discover", _request_more_rounds, _more_rounds),
    Check("gamma_markets_keyset", "filter", _short(queries.markets(closed=False)), _listed),
    Check("gamma_markets_keyset_closed", "filter", _request_closed, _listed_closed),
    Check(
        "gamma_market_by_slug",
        "resolve_ids",
        lambda findings: queries.market(active(findings)[0].slug or ""),
        _same_ids,
    ),
    Check("gamma_market_unknown", "resolve_ids", NO_SLUG, _not_found),
    Check("clob_books", "batch", lambda findings: queries.books(_tokens(findings)), _many_books),
    *(
        Check(name, "book", lambda findings: queries.book(liveliest(findings)), _one_book)
        for name in BOOK_READS
    ),
    Check("clob_book_unknown", "book", NO_TOKEN, _not_found),
    Check("gamma_markets_closed_last", "resolutions", _short(queries.markets_closed_last()), _closed_last),
    Check("clob_price_history", "history", _request_history, parses),
    Check("clob_price_histories", "history", _request_histories, parses),
    Check("data_resolutions", "resolutions", _request_resolutions, _same_payouts),
    Check("data_trades", "trades", _request_trades, _trades),
    Check("data_trades_v1", "trades", _request_trades_v1, parses),
)
