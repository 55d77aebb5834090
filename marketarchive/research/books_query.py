"""The SQL of the table `books`: answers taken apart by DuckDB, prices and sizes read as exact decimals."""

from __future__ import annotations

from marketarchive.clock import iso
from marketarchive.research.engine import pattern, text
from marketarchive.research.partitions import Partition

PRICE = "DECIMAL(18,9)"
SIZE = "DECIMAL(18,6)"

_URL = r"https?://(?:(?:127\.0\.0\.1|localhost|\[::1\]):[0-9]+/)?clob\.polymarket\.com/books?"
# more decimals than a size has; a price or size that is no string; a side that is no array
_SUSPECT = r'\.[0-9]{7}|"(?:price|size)":[^"]|"(?:bids|asks)":[^\[]'


_LEVEL = f'{{"price":"{PRICE}","size":"{SIZE}"}}'
_SHAPE = (
    '{"market":"VARCHAR","asset_id":"VARCHAR","timestamp":"BIGINT","hash":"VARCHAR",'
    f'"bids":[{_LEVEL}],"asks":[{_LEVEL}],"tick_size":"{PRICE}","last_trade_price":"{PRICE}"}}'
)


def answers(partition: Partition, paths: list[str]) -> str:
    """One row per 200 answer of /book and /books on the day. Needs `sources` and `verdicts`."""
    if not paths:
        return (
            "(SELECT ''::VARCHAR run, 0::BIGINT seq, ''::VARCHAR route, ''::VARCHAR collected_at_utc, "
            "NULL::JSON payload, NULL::VARCHAR codes, false suspect WHERE false)"
        )
    columns = (
        "{kind: 'VARCHAR', collected_at_utc: 'VARCHAR', seq: 'BIGINT', url: 'VARCHAR', status: 'INTEGER', "
        "payload: 'JSON'}"
    )
    return f"""(
        SELECT run, seq, regexp_extract(url, '[a-z]+$') AS route, collected_at_utc, payload, codes,
               regexp_matches(payload::VARCHAR, {text(_SUSPECT)}) AS suspect
        FROM read_json([{", ".join(map(pattern, paths))}], format = 'newline_delimited', columns = {columns},
                       compression = 'gzip', filename = true) AS lines
        JOIN sources ON sources.file = lines.filename
        LEFT JOIN verdicts USING (source, seq)
        WHERE kind = 'response' AND status = 200 AND regexp_full_match(url, {text(_URL)})
          AND collected_at_utc >= {text(iso(partition.first_ns))}
          AND collected_at_utc < {text(iso(partition.until_ns))})"""


def nothing() -> str:
    """A relation with the columns of the stored table and no row; it needs `names`."""
    partition = Partition("books", "", "", "1970-01-01", (), {})
    empty = rows(answers(partition, []), [])
    return f"(SELECT *, '' AS venue, '' AS feed, DATE '1970-01-01' AS date FROM ({empty}))"


def rows(answered: str, kinds: list[tuple[str, str]]) -> str:
    """The table's columns, one row per element of an answer; `token` is null where SQL is not to be trusted.

    `answered` is a relation as `answers` gives it, `kinds` what the letters of `codes` stand for.
    Needs `names`.
    """
    listed = ", ".join(
        f"{{'verified': {text(verdict)}, 'recipe': {text(recipe)}}}" for verdict, recipe in kinds
    )
    unchecked = "{'verified': 'unchecked', 'recipe': ''}"
    judged = f"[{listed}][unicode(codes[position]) - {ord('a') - 1}]" if kinds else "NULL"
    return f"""
    WITH elements AS (
        SELECT * EXCLUDE (books), unnest(books) AS book, generate_subscripts(books, 1) AS position
        FROM (SELECT run, seq, route, collected_at_utc, codes, coalesce(suspect, true) AS suspect,
                     coalesce(CASE route WHEN 'books' THEN from_json(payload, '[{_SHAPE}]')
                                         ELSE [from_json(payload, '{_SHAPE}')] END, [NULL]) AS books
              FROM {answered})
    ), sides AS (
        SELECT * EXCLUDE (book, codes), book.*,
               coalesce({judged}, {unchecked}) AS judged,
               list_transform(book.bids, lambda level: level.price) AS bid_prices,
               list_transform(book.asks, lambda level: level.price) AS ask_prices,
               list_transform(book.bids, lambda level: level.size) AS bid_sizes,
               list_transform(book.asks, lambda level: level.size) AS ask_sizes
        FROM elements
    ), measured AS (
        SELECT *, list_max(bid_prices) AS best_bid, list_min(ask_prices) AS best_ask,
               coalesce(NOT suspect
                        AND market IS NOT NULL AND asset_id IS NOT NULL AND "timestamp" IS NOT NULL
                        AND hash IS NOT NULL
                        AND list_count(bid_prices) = len(bids) AND list_count(ask_prices) = len(asks)
                        AND list_count(bid_sizes) = len(bids) AND list_count(ask_sizes) = len(asks),
                        false) AS trusted
        FROM sides
    )
    SELECT market, slug, outcome, CASE WHEN trusted THEN asset_id END AS token,
           make_timestamp_ms("timestamp")::TIMESTAMPTZ AS event_time,
           collected_at_utc::TIMESTAMPTZ AS received_at,
           run, seq, position::INTEGER AS position, route, hash, judged.verified, judged.recipe,
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
