"""The SQL of the table `books`: books taken apart by DuckDB, prices and sizes read as exact decimals."""

from __future__ import annotations

from marketarchive.research.engine import text
from marketarchive.research.tables.extract import PRICE, SIZE, frame_with, lines, moment, within
from marketarchive.research.tables.partitions import Partition

_URL = r"https?://(?:(?:127\.0\.0\.1|localhost|\[::1\]):[0-9]+/)?clob\.polymarket\.com/books?"
# more decimals than a size has; a price or size that is no string; a side that is no array
_SUSPECT = r'\.[0-9]{7}|"(?:price|size)":[^"]|"(?:bids|asks)":[^\[]'


_LEVEL = f'{{"price":"{PRICE}","size":"{SIZE}"}}'
_SHAPE = (
    '{"event_type":"VARCHAR","market":"VARCHAR","asset_id":"VARCHAR","timestamp":"BIGINT","hash":"VARCHAR",'
    f'"bids":[{_LEVEL}],"asks":[{_LEVEL}],"tick_size":"{PRICE}","last_trade_price":"{PRICE}"}}'
)
_ANSWER = {
    "kind": "VARCHAR",
    "collected_at_utc": "VARCHAR",
    "seq": "BIGINT",
    "url": "VARCHAR",
    "status": "INTEGER",
    "payload": "JSON",
}
_STREAM = _ANSWER | {
    "connection": "VARCHAR",
    "asset": "VARCHAR",
    "derived_from_seq": "BIGINT",
    "payload_text": "VARCHAR",
}


def messages(partition: Partition, paths: list[str], verdicts: str) -> str:
    """One row per message of the day that may have books: 200 answers of /book and /books, and of a socket's
    feed also frames and states. Needs `sources`.
    """
    if not paths:
        return (
            "(SELECT ''::VARCHAR run, 0::INTEGER source, 0::BIGINT seq, ''::VARCHAR route, "
            "''::VARCHAR connection, ''::VARCHAR collected_at_utc, NULL::JSON payload, NULL::VARCHAR codes, "
            "false suspect WHERE false)"
        )
    answer = f"(kind = 'response' AND status = 200 AND regexp_full_match(url, {text(_URL)}))"
    suspect = f"regexp_matches(payload::VARCHAR, {text(_SUSPECT)})"
    if partition.is_polled:
        return f"""(
            SELECT run, source, seq, regexp_extract(url, '[a-z]+$') AS route, NULL::VARCHAR AS connection,
                   collected_at_utc, payload, codes, {suspect} AS suspect
            FROM {lines(paths, _ANSWER)} LEFT JOIN {verdicts} AS verdicts USING (source, seq)
            WHERE {answer} AND {within(partition)})"""
    return f"""(
        SELECT * EXCLUDE (asset) FROM (
            SELECT run, source, coalesce(seq, derived_from_seq) AS seq, coalesce(asset, '') AS asset,
                   CASE kind WHEN 'response' THEN regexp_extract(url, '[a-z]+$')
                             WHEN 'frame' THEN 'ws' ELSE 'state' END AS route,
                   connection, collected_at_utc, payload, {suspect} AS suspect
            FROM {lines(paths, _STREAM)}
            WHERE ({answer} OR kind = 'book_state' OR (kind = 'frame' AND {frame_with('"book"')}))
              AND {within(partition)})
        LEFT JOIN {verdicts} AS verdicts USING (source, seq, asset))"""


def rows(given: str, kinds: str) -> str:
    """The table's columns, one row per book in a message; `token` is null where SQL is not to be trusted.

    `given` is a relation as `messages` gives it, `kinds` the list that the letters of `codes` stand for.
    Needs `names`.
    """
    return f"""
    WITH elements AS (
        SELECT * EXCLUDE (books, codes), unnest(books) AS book, generate_subscripts(books, 1) AS place,
               CASE route WHEN 'ws' THEN place ELSE 1 END AS index,
               CASE route WHEN 'ws' THEN 1 ELSE place END AS position,
               split_part(codes, ' ', index)[position] AS code
        FROM (SELECT run, source, seq, route, connection, collected_at_utc, codes,
                     coalesce(suspect, true) AS suspect,
                     coalesce(CASE WHEN route = 'books'
                                        OR (route = 'ws' AND starts_with(payload::VARCHAR, '['))
                                   THEN from_json(payload, '[{_SHAPE}]')
                                   ELSE [from_json(payload, '{_SHAPE}')] END, [NULL]) AS books
              FROM {given})
    ), sides AS (
        SELECT * EXCLUDE (book), book.*, {verdict(kinds)} AS judged,
               list_transform(book.bids, lambda level: level.price) AS bid_prices,
               list_transform(book.asks, lambda level: level.price) AS ask_prices,
               list_transform(book.bids, lambda level: level.size) AS bid_sizes,
               list_transform(book.asks, lambda level: level.size) AS ask_sizes
        FROM elements WHERE route <> 'ws' OR coalesce(book.event_type, 'book') = 'book'
    ), measured AS (
        SELECT *, {moment('"timestamp"')} AS event_time,
               list_max(bid_prices) AS best_bid, list_min(ask_prices) AS best_ask,
               coalesce(NOT suspect AND (route <> 'ws' OR event_type IS NOT NULL)
                        AND market IS NOT NULL AND asset_id IS NOT NULL AND event_time IS NOT NULL
                        AND hash IS NOT NULL
                        AND list_count(bid_prices) = len(bids) AND list_count(ask_prices) = len(asks)
                        AND list_count(bid_sizes) = len(bids) AND list_count(ask_sizes) = len(asks),
                        false) AS trusted
        FROM sides
    )
    SELECT market, slug, outcome, CASE WHEN trusted THEN asset_id END AS token,
           event_time, collected_at_utc::TIMESTAMPTZ AS received_at,
           run, seq, connection, index::INTEGER AS index, position::INTEGER AS position, route, hash,
           judged.verified, judged.recipe,
           best_bid, bids[list_position(bid_prices, best_bid)].size AS best_bid_size,
           best_ask, asks[list_position(ask_prices, best_ask)].size AS best_ask_size,
           coalesce(list_sum(bid_sizes), 0)::DECIMAL(38,6) AS bid_depth,
           coalesce(list_sum(ask_sizes), 0)::DECIMAL(38,6) AS ask_depth,
           len(bids)::INTEGER AS bid_levels, len(asks)::INTEGER AS ask_levels,
           list_sort(bid_prices) = bid_prices AND list_unique(bid_prices) = len(bids)
               AND list_reverse_sort(ask_prices) = ask_prices
               AND list_unique(ask_prices) = len(asks) AS is_sorted,
           coalesce(best_bid >= best_ask, false) AS is_crossed,
           coalesce(list_min(bid_prices) >= 0 AND best_bid <= 1, true)
               AND coalesce(best_ask >= 0 AND list_max(ask_prices) <= 1, true) AS is_in_range,
           coalesce(list_min(bid_sizes) > 0, true) AND coalesce(list_min(ask_sizes) > 0, true)
               AS is_positive,
           tick_size, last_trade_price, list_reverse(bids) AS bids, list_reverse(asks) AS asks
    FROM measured LEFT JOIN names ON names.token = measured.asset_id"""


def verdict(kinds: str) -> str:
    """What the letter `code` stands for; unchecked where there is none."""
    return f"coalesce(({kinds})[unicode(code) - {ord('a') - 1}], {{'verified': 'unchecked', 'recipe': ''}})"
