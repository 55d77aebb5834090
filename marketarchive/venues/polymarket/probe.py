"""Probe of Polymarket: every endpoint and socket that its spiders use, once or a few times."""

from __future__ import annotations

from marketarchive.venues.endpoint import Limit
from marketarchive.venues.polymarket import probe_rest, sockets
from marketarchive.venues.polymarket.endpoints import LIMITS
from marketarchive.venues.polymarket.probe_rest import REST
from marketarchive.venues.polymarket.probe_rounds import ROUNDS
from marketarchive.venues.polymarket.probe_sockets import SOCKETS
from marketarchive.venues.probing import Need, Probe, Socket

PROBE = Probe(
    checks=(*REST, *ROUNDS, *SOCKETS),
    needs=(
        Need("active_market", "active market", probe_rest.active_market),
        Need("live_book", "live book with a sound hash", probe_rest.live_book),
    ),
    book_ages_s=probe_rest.book_ages_s,
    topics={"rounds": "Is the current round of every asset and duration listed?"},
    how={
        "discover": (
            "GET gamma /series?slug=... gives the ids of the up/down series; GET gamma "
            "/events/keyset?series_id=ID&closed=false lists a series' rounds, each event with its markets. "
            "Everything: GET gamma /markets/keyset. Next page: after_cursor = the answer's next_cursor, "
            "absent on the last."
        ),
        "rounds": (
            "Slugs of 5m and 15m follow from the time and are requested by slug; rounds of 1h, 4h and 1d are "
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
        "stream": (
            "The market channel, subscribed by both tokens of a market: a book per token first, then each "
            "changed level with the hash of the whole book after it, best prices with it; settlements as "
            "last_trade_price. Nothing is numbered, nothing can be requested again; PING every 10 s."
        ),
        "reference": (
            "RTDS: one point per topic, symbol and second with the times of observation and publication, "
            "the last minute or two of it after the subscription. The venue calls the price topics "
            "deprecated: one that is absent is a failed check. PING every 5 s."
        ),
        "resolutions": (
            "Gamma: closed and outcomePrices of 0 and 1, minutes after the close. Data API: GET "
            "/v2/resolutions?condition=ID,... (20 at most): payouts in micro-dollars per share."
        ),
        "history": (
            "GET clob /prices-history?market=TOKEN with startTs, endTs and fidelity in minutes; POST clob "
            "/batch-prices-history for up to 20 tokens at once: midpoints, carried forward."
        ),
        "trades": (
            "GET data /v2/trades?condition=ID,... (20 at most), newest first, limit up to 1000, next page by "
            "cursor; no time filter for a market's trades. GET data /trades?market=ID by limit and offset, "
            "without a cursor."
        ),
        "clock": "GET clob /time: Unix seconds as plain text.",
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
    limits={name: Limit(f"polymarket/{name}", count) for name, count in LIMITS.items()},
    limits_source=(
        "https://docs.polymarket.com/api-reference/rate-limits (November 2026), Cloudflare, per address"
    ),
)
