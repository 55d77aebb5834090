"""What a probe asks of Polymarket: every endpoint and socket a spider uses, each once or a few times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from marketarchive.exceptions import ParseError
from marketarchive.items import Market, Resolution
from marketarchive.times import SECOND, to_seconds
from marketarchive.venues.endpoint import Endpoint, Limit, Query
from marketarchive.venues.messages import Parsed
from marketarchive.venues.polymarket import queries, sockets, wire
from marketarchive.venues.polymarket.clob import NO_ORDERBOOK, Book, error_text, verify_book
from marketarchive.venues.polymarket.endpoints import CLOB, LIMITS
from marketarchive.venues.polymarket.parse import parse
from marketarchive.venues.polymarket.probe_rounds import look_for_rounds
from marketarchive.venues.polymarket.probe_sockets import MARKET_CHECKS, listen_to_market, listen_to_topics
from marketarchive.venues.polymarket.queries import (
    BOOK,
    book,
    books,
    market,
    markets,
    next_page,
    resolutions,
    rounds,
    series,
)
from marketarchive.venues.polymarket.updown import DURATIONS
from marketarchive.venues.probing import Exchange, Findings, Probe, Questions, Reader, Socket, Topic

PAGE = "20"  # rows of each list: a look, no sweep
BOOK_READS = 3
CLOCK_OFF_S = 5
DAY_NS = 86_400 * SECOND

TIME = Endpoint("clob_time", f"{CLOB}/time", Limit("polymarket/clob", LIMITS["clob"]))
TRADES = replace(queries.TRADES, final=frozenset())  # here nothing but trades is an answer
TRADE_FIELDS = {"condition_id", "token_id", "side", "size", "price", "timestamp", "transaction_hash"}

NO_SLUG = "marketarchive-probe-of-a-slug-that-does-not-exist"
STRANGER = "1"
"""A token of no market."""
_HASH = re.compile(r"[0-9a-f]{40}").fullmatch


class _Polymarket:
    """One conversation; what it has learnt so far decides what can still be asked."""

    def __init__(self, findings: Findings, now_ns: int) -> None:
        self._findings = findings
        self._now_ns = now_ns
        self._series: dict[str, str] = {}
        self._open: list[Market] = []
        self._closed: list[Market] = []
        self._books: list[Book] = []

    def questions(self) -> Questions:
        yield from self._ask("clob_time", "clock", Query(TIME), self._time)
        yield from self._lists()
        yield from self._identity()
        yield from look_for_rounds(self._findings, self._now_ns)
        yield from self._order_books()
        yield from self._sockets()
        yield from self._outcomes()

    def _ask(self, name: str, topic: Topic, query: Query, read: Reader) -> Questions:
        return self._findings.ask(name, topic, query, read)

    def _skip(self, why: str, *names: str) -> None:
        self._findings.not_asked.update(dict.fromkeys(names, why))

    # ---- lists -----------------------------------------------------------------------------------------

    def _lists(self) -> Questions:
        asked = series(("BTC",), DURATIONS)
        yield from self._ask("gamma_series", "discover", asked, self._read_series)
        if self._series:
            yield from self._rounds(next(iter(self._series.values())))
        else:
            self._skip("no series id", "gamma_events_keyset", "gamma_events_keyset_next")
        opened = _short(markets(closed=False))
        yield from self._ask("gamma_markets_keyset", "filter", opened, self._read_open)
        ended = _short(markets(closed=True, ended_since_ns=self._now_ns - DAY_NS))
        yield from self._ask("gamma_markets_keyset_closed", "filter", ended, self._read_closed)

    def _rounds(self, series_id: str) -> Questions:
        first: list[Parsed] = []

        def page(exchange: Exchange) -> str:
            first.append(parsed := _parsed(exchange))
            return f"{len(parsed.keys)} events, {self._take_open(parsed)}"

        def following(exchange: Exchange) -> str:
            again = set((parsed := _parsed(exchange)).keys) & set(first[0].keys)
            if again or not parsed.keys:
                raise _wrong(f"the second page has {len(parsed.keys)} events, {len(again)} of them again")
            return f"{len(parsed.keys)} events more by after_cursor, none of them a second time"

        asked = _short(rounds(series_id, closed=False, ended_since_ns=self._now_ns))
        yield from self._ask("gamma_events_keyset", "discover", asked, page)
        if first and (more := next_page(asked, first[0])) is not None:
            yield from self._ask("gamma_events_keyset_next", "discover", more, following)
        else:
            self._skip("the first page had no next_cursor", "gamma_events_keyset_next")

    def _read_series(self, exchange: Exchange) -> str:
        self._series = _parsed(exchange).series
        if not self._series:
            raise _wrong("no series of BTC rounds is listed")
        return "ids: " + ", ".join(f"{slug} {key}" for slug, key in self._series.items())

    def _read_open(self, exchange: Exchange) -> str:
        parsed = _parsed(exchange)
        if wrong := [each.slug for each in _markets(parsed) if each.status in ("closed", "resolved")]:
            raise _wrong(f"closed=false brought {len(wrong)} markets that are not open, e.g. {wrong[0]}")
        return f"closed=false: {len(parsed.keys)} markets, {self._take_open(parsed)}{_unreadable(parsed)}"

    def _read_closed(self, exchange: Exchange) -> str:
        parsed = _parsed(exchange)
        found = list(_markets(parsed))
        if wrong := [each.slug for each in found if each.status == "active"]:
            raise _wrong(f"closed=true brought {len(wrong)} markets that are open, e.g. {wrong[0]}")
        since = to_seconds(self._now_ns) - 86_400 - 1
        if early := [each.slug for each in found if each.end_at and each.end_at.timestamp() < since]:
            raise _wrong(f"end_date_min brought {len(early)} that ended before it, e.g. {early[0]}")
        self._closed = found
        resolved = sum(each.status == "resolved" for each in found)
        what = f"{len(parsed.keys)} markets, {resolved} of them with an outcome"
        return f"closed=true, end_date_min a day ago: {what}{_unreadable(parsed)}"

    def _take_open(self, parsed: Parsed) -> str:
        """Keeps the active markets of a page, those that end first in front."""
        now = to_seconds(self._now_ns)
        found = [
            each
            for each in _markets(parsed)
            if each.status == "active"
            and each.tokens
            and (each.end_at is None or each.end_at.timestamp() > now)
        ]
        found.sort(key=lambda each: each.end_at.timestamp() if each.end_at else float("inf"))
        self._open += found
        if self._open:
            one = self._open[0]
            ends = f"{one.end_at:%Y-%m-%dT%H:%M:%SZ}" if one.end_at else "at no set time"
            self._findings.active_market = f"{one.slug}, condition {one.market_id}, ends {ends}"
        return f"{len(found)} active markets" + (f", the next to end {found[0].slug}" if found else "")

    # ---- ids -------------------------------------------------------------------------------------------

    def _identity(self) -> Questions:
        known = next((each for each in self._open if each.slug), None)

        def read(exchange: Exchange) -> str:
            found = next(_markets(_parsed(exchange)), None)
            assert known is not None
            if found is None or (found.market_id, found.tokens) != (known.market_id, known.tokens):
                raise _wrong(f"{known.slug} has other ids here than in the list it came from")
            tokens = ", ".join(f"{label} {token[:8]}..." for label, token in (found.tokens or {}).items())
            return f"{found.slug}: condition {found.market_id[:12]}..., tokens {tokens}"

        if known is not None and known.slug:
            yield from self._ask("gamma_market_by_slug", "resolve_ids", market(known.slug), read)
        else:
            self._skip("no active market", "gamma_market_by_slug")
        yield from self._ask("gamma_market_unknown", "resolve_ids", market(NO_SLUG), _is_404)

    # ---- books -----------------------------------------------------------------------------------------

    def _order_books(self) -> Questions:
        tokens = [token for each in self._open[:10] for token in (each.tokens or {}).values()]
        if tokens:
            yield from self._ask("clob_books", "batch", books(tokens), lambda one: self._batch(one, tokens))
            token = self._liveliest() or tokens[0]
            for number in range(1, BOOK_READS + 1):
                name = "clob_book" if number == 1 else f"clob_book_{number}"
                yield from self._ask(name, "book", book(token), self._read_book)
        else:
            self._skip("no active market", "clob_books", "clob_book")
        yield from self._ask("clob_book_unknown", "book", book(STRANGER), _is_404)

    def _batch(self, exchange: Exchange, tokens: list[str]) -> str:
        parsed = _parsed(exchange)
        if strange := [each.token for each in parsed.books if each.token not in tokens]:
            raise _wrong(f"{len(strange)} books of tokens that were not asked for")
        verdicts = [self._judge(each, exchange) for each in parsed.books]
        if not verdicts:
            raise _wrong(f"no book for any of {len(tokens)} tokens")
        right = sum(verdict == "ok" for verdict in verdicts)
        in_order = [each.token for each in parsed.books] == tokens
        order = "in the order asked" if in_order else "in another order than asked"
        return (
            f"{len(verdicts)} books for {len(tokens)} tokens, {order}; hash verified {right}"
            f"{_unreadable(parsed)}"
        )

    def _read_book(self, exchange: Exchange) -> str:
        parsed = _parsed(exchange)
        if parsed.errors:
            raise parsed.errors[0]
        [one] = parsed.books
        before = next((each for each in reversed(self._books) if each.token == one.token), None)
        verdict = self._judge(one, exchange)
        if before is not None and one.timestamp_ms < before.timestamp_ms:
            raise _wrong(f"timestamp {one.timestamp_ms} is before {before.timestamp_ms} of an earlier answer")
        if before is not None and (one.timestamp_ms == before.timestamp_ms) != (one.hash == before.hash):
            raise _wrong("hash and timestamp did not change together")
        if verdict == "failed":
            raise _wrong(f"hash {one.hash} does not come out by any known recipe")
        age = _age_s(one, exchange)
        return (
            f"{len(one.bids)} bids, {len(one.asks)} asks, best {one.best_bid} / {one.best_ask}; hash "
            f"{'verified' if verdict == 'ok' else verdict}; timestamp {age:.1f} s old"
        )

    def _judge(self, one: Book, exchange: Exchange) -> str:
        """The verdict on the hash; a book with levels and a hash that can be one is a live book."""
        self._books.append(one)
        self._findings.book_ages_s.append(round(_age_s(one, exchange), 3))
        verdict, recipe = verify_book(one)
        sound = verdict == "ok" or _HASH(one.hash) is not None
        has_levels = bool(one.bids or one.asks)
        if sound and has_levels and (verdict == "ok" or self._findings.live_book is None):
            how = f"verified by recipe {recipe}" if verdict == "ok" else "well-formed, but not verified"
            self._findings.live_book = (
                f"token {one.token[:12]}... of market {one.market[:12]}...: {len(one.bids)} bids, "
                f"{len(one.asks)} asks, hash {one.hash} {how}, timestamp {_age_s(one, exchange):.1f} s old"
            )
        return verdict

    def _liveliest(self) -> str | None:
        """The token whose book changed last, of those with both sides."""
        both = [each for each in self._books if each.bids and each.asks]
        return max(both or self._books, key=lambda each: each.timestamp_ms).token if self._books else None

    # ---- sockets ---------------------------------------------------------------------------------------

    def _sockets(self) -> Questions:
        liveliest = self._liveliest()
        markets = [each.tokens for each in self._open if each.tokens]
        chosen = markets[:1] + [each for each in markets[1:] if liveliest in each.values()][:1]
        if chosen:
            tokens = tuple(dict.fromkeys(token for each in chosen for token in each.values()))
            bases = [each for each in self._books if each.token in tokens]
            yield from listen_to_market(self._findings, tokens, bases)
        else:
            self._skip("no active market", *MARKET_CHECKS)
        yield from listen_to_topics(self._findings)

    # ---- outcomes and trades ---------------------------------------------------------------------------

    def _outcomes(self) -> Questions:
        closed = [each.market_id for each in self._closed]
        if closed:
            yield from self._ask(
                "data_resolutions", "resolutions", resolutions(closed[:20]), self._read_resolutions
            )
        else:
            self._skip("no closed market", "data_resolutions")
        traded = [each.market_id for each in (*self._open[:10], *self._closed[:10])]
        params = {"limit": PAGE} | ({"condition": ",".join(traded)} if traded else {})
        yield from self._ask("data_trades", "trades", Query(TRADES, params), _trades)
        if traded:
            first = _short(queries.trades_v1(traded[0]))
            yield from self._ask("data_trades_v1", "trades", first, _trades_v1)
        else:
            self._skip("no market", "data_trades_v1")

    def _read_resolutions(self, exchange: Exchange) -> str:
        parsed = _parsed(exchange)
        outcome = {each.market_id: each.payouts for each in self._closed if each.payouts}
        found = [each for each in parsed.items if isinstance(each, Resolution)]
        compared = [each for each in found if each.payouts and each.market_id in outcome]
        if differ := [
            each for each in compared if _numbers(each.payouts) != _numbers(outcome[each.market_id])
        ]:
            raise _wrong(f"payouts of {differ[0].market_id} differ from Gamma's outcomePrices")
        return (
            f"{len(found)} of {min(20, len(self._closed))} closed markets resolved, {len(compared)} payouts "
            f"compared with Gamma's outcomePrices, all equal{_unreadable(parsed)}"
        )

    def _time(self, exchange: Exchange) -> str:
        text = exchange.payload.decode("ascii", "replace").strip().strip('"')
        if not text.isdigit():
            raise _wrong(f"{text[:40]!r} is not a number of seconds")
        # the venue cut its time to a whole second somewhere between sending and receiving
        off = int(text) + 0.5 - to_seconds(exchange.received_at)
        if abs(off) > CLOCK_OFF_S:
            raise _wrong(f"the venue's clock and ours differ by {off:+.0f} s: check this machine's")
        return f"whole seconds; the venue's clock is {off:+.1f} s (within 0.5 s) from ours"


def _trades(exchange: Exchange) -> str:
    document = wire.decode(exchange.payload, "Trade")
    rows = wire.rows(document, "data", "Trade")
    for row in rows:
        if lacking := TRADE_FIELDS - set(wire.mapping(row, "Trade")):
            raise ParseError("Trade", f"a trade lacks {', '.join(sorted(lacking))}", tuple(sorted(lacking)))
        if not isinstance(row["timestamp"], int):
            raise ParseError("Trade", f"timestamp={row['timestamp']!r} is not seconds", ("timestamp",))
    times = [row["timestamp"] for row in rows]
    if times != sorted(times, reverse=True):
        raise _wrong("trades are not newest first")
    if not rows:
        return "no trades of these markets yet"
    age = to_seconds(exchange.received_at) - times[0]
    more = "more" if wire.mapping(document.get("pagination") or {}, "Page").get("has_more") else "no more"
    return f"{len(rows)} trades, newest first, the newest {age:.0f} s old; {more} pages by cursor"


def _trades_v1(exchange: Exchange) -> str:
    parsed = _parsed(exchange)
    if parsed.errors:
        raise parsed.errors[0]
    return f"{len(parsed.trades)} trades of one market, without a cursor"


def _is_404(exchange: Exchange) -> str:
    if exchange.status != 404:
        raise _wrong(f"status {exchange.status}, not 404")
    said = error_text(exchange.payload)
    if exchange.query.endpoint == BOOK and said != NO_ORDERBOOK:
        raise _wrong(f"404 says {exchange.payload[:80]!r}, not {NO_ORDERBOOK!r}")
    return f"404, {said or 'without a message'}"


def _parsed(exchange: Exchange) -> Parsed:
    return parse(exchange.received("polymarket"))


def _markets(parsed: Parsed) -> Iterator[Market]:
    return (each for each in parsed.items if isinstance(each, Market))


def _short(query: Query) -> Query:
    return replace(query, params={**query.params, "limit": PAGE})


def _age_s(one: Book, exchange: Exchange) -> float:
    return to_seconds(exchange.received_at) - one.timestamp_ms / 1000


def _numbers(payouts: tuple[str, ...] | None) -> list[float]:
    return [float(each) for each in payouts or ()]


def _unreadable(parsed: Parsed) -> str:
    return f"; not readable {len(parsed.errors)}, e.g. {parsed.errors[0]}" if parsed.errors else ""


def _wrong(text: str) -> ParseError:
    return ParseError("Probe", text)


PROBE = Probe(
    questions=lambda findings, now_ns: _Polymarket(findings, now_ns).questions(),
    how={
        "clock": "GET clob /time: Unix seconds as plain text.",
        "discover": (
            "GET gamma /series?slug=... gives the ids of the up/down series; GET gamma "
            "/events/keyset?series_id=ID&closed=false lists a series' rounds, each event with its markets. "
            "Everything: GET gamma /markets/keyset. Next page: after_cursor = the answer's next_cursor, "
            "absent on the last."
        ),
        "rounds": (
            "Slugs of 5m and 15m follow from the time and are asked for as such; rounds of 1h, 4h and 1d are "
            "listed by series, those that end within one duration from now."
        ),
        "filter": (
            "closed=true|false (always send it), end_date_min, end_date_max, start_date_min, tag_id, slug, "
            "condition_ids, order with ascending; at most 100 rows a page of /markets/keyset."
        ),
        "resolve_ids": (
            "GET gamma /markets/slug/SLUG: conditionId is the market, clobTokenIds (positionIds where "
            "version is v2) are its tokens in the order of outcomes; both may be JSON inside a string. "
            "An unknown slug is 404."
        ),
        "book": (
            "GET clob /book?token_id=TOKEN: the whole book, best price last on both sides, values as "
            "strings, timestamp = its last change in milliseconds, hash = sha1 over the book. 404 for "
            "unknown and closed tokens alike. No sequence number."
        ),
        "batch": (
            'POST clob /books with [{"token_id": TOKEN}, ...]: up to 250 at once here (refused past about '
            "500); unknown and closed tokens are left out, the order is not that of the question."
        ),
        "resolutions": (
            "Gamma: closed and outcomePrices of 0 and 1, minutes after the close. Data API: GET "
            "/v2/resolutions?condition=ID,... (20 at most): payouts in micro-dollars per share."
        ),
        "trades": (
            "GET data /v2/trades?condition=ID,... (20 at most), newest first, limit up to 1000, next page by "
            "cursor; no time filter for a market's trades. GET data /trades?market=ID by limit and offset, "
            "without a cursor."
        ),
        "stream": (
            "The market channel, subscribed by both tokens of a market: a book per token first, then each "
            "changed level with the hash of the whole book after it, best prices with it; settlements as "
            "last_trade_price. Nothing is numbered, nothing can be asked for again; PING every 10 s."
        ),
        "reference": (
            "RTDS: one point per topic, symbol and second with the times of observation and publication, "
            "the last minute or two of it after the subscription. The venue calls the price topics "
            "deprecated: one that is absent is a failed check. PING every 5 s."
        ),
    },
    sockets=(
        Socket(
            sockets.MARKET_CHANNEL.url,
            "books, price changes, last trades, tick sizes by token",
            sockets.MARKET_CHANNEL,
        ),
        Socket(sockets.RTDS.url, "reference prices of Chainlink, Binance and their averages", sockets.RTDS),
        Socket(
            "wss://ws-live-v2.polymarket.com/ws", "PolyBolt, its successor for prices; needs API credentials"
        ),
        Socket(
            "wss://ws-subscriptions-clob.polymarket.com/ws/user",
            "own orders and trades; needs API credentials, which this program never has",
        ),
    ),
    limits=LIMITS,
    limits_source=(
        "https://docs.polymarket.com/api-reference/rate-limits (November 2026), Cloudflare, per address"
    ),
)
