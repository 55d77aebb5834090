"""An expert's DuckDB program: perpetuals of all venues from raw segments to one Parquet file, nothing else.

Each line is read once, what the unified data have of an answer is taken out of it in doubles, and the parts
of a row are put together. It checks nothing: no digests, no rows that make no sense, no intervals that
change, no holes, no answers that came twice, no listing; it keeps no tables and says nothing of quality.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from marketarchive.venues import venues
from marketarchive.venues.symbols import symbols

_LINES = """
CREATE TEMP TABLE lines AS
SELECT split_part(split_part(filename, 'venue=', 2), '/', 1) AS venue, url, params, body, payload
FROM read_json('{root}/raw/**/*.jsonl.gz', format = 'newline_delimited', filename = true,
    compression = 'gzip', maximum_object_size = 67108864,
    columns = {{kind: 'VARCHAR', url: 'VARCHAR', params: 'JSON', body: 'JSON', payload: 'JSON'}})
WHERE kind = 'response'"""

_POINTS = """
CREATE TEMP TABLE points AS
-- settlements: at the hour at or after them; as of 8 hours
SELECT venue, r.symbol AS symbol, (r.fundingTime - 60000 + 3599999) // 3600000 * 3600 AS s,
    r.fundingRate::DOUBLE AS funding
FROM (SELECT venue, unnest(from_json(payload,
        '[{"symbol": "VARCHAR", "fundingTime": "BIGINT", "fundingRate": "VARCHAR"}]')) AS r
      FROM lines WHERE url LIKE '%/fapi/v1/fundingRate')
UNION ALL BY NAME
SELECT venue, r.symbol AS symbol, r.fundingRateTimestamp::BIGINT // 1000 AS s,
    r.fundingRate::DOUBLE AS funding
FROM (SELECT venue, unnest(from_json(payload->'$.result.list',
        '[{"symbol": "VARCHAR", "fundingRateTimestamp": "VARCHAR", "fundingRate": "VARCHAR"}]')) AS r
      FROM lines WHERE url LIKE '%/v5/market/funding/history')
UNION ALL BY NAME
SELECT venue, r.instId AS symbol, r.fundingTime::BIGINT // 1000 AS s, r.realizedRate::DOUBLE AS funding
FROM (SELECT venue, unnest(from_json(payload->'$.data',
        '[{"instId": "VARCHAR", "fundingTime": "VARCHAR", "realizedRate": "VARCHAR"}]')) AS r
      FROM lines WHERE url LIKE '%/public/funding-rate-history')
UNION ALL BY NAME
SELECT venue, r.ticker AS symbol, (epoch_ms(r.effectiveAt) - 60000 + 3599999) // 3600000 * 3600 AS s,
    r.rate::DOUBLE * 8 AS funding, r.price::DOUBLE AS index_o, r.price::DOUBLE AS index_h,
    r.price::DOUBLE AS index_l, r.price::DOUBLE AS index_c
FROM (SELECT venue, unnest(from_json(payload->'$.historicalFunding',
        '[{"ticker": "VARCHAR", "effectiveAt": "TIMESTAMP", "rate": "VARCHAR", "price": "VARCHAR"}]')) AS r
      FROM lines WHERE url LIKE '%/v4/historicalFunding/%')
UNION ALL BY NAME
SELECT venue, r.coin AS symbol, (r.time - 60000 + 3599999) // 3600000 * 3600 AS s,
    r.fundingRate::DOUBLE * 8 AS funding
FROM (SELECT venue, unnest(from_json(payload,
        '[{"coin": "VARCHAR", "time": "BIGINT", "fundingRate": "VARCHAR"}]')) AS r
      FROM lines WHERE url LIKE '%hyperliquid.xyz/info' AND body->>'$.type' = 'fundingHistory')
UNION ALL BY NAME
SELECT venue, r.symbol AS symbol, r.ts // 3600 * 3600 AS s,
    r.fundingRateLong::DOUBLE / r.oraclePriceTwap::DOUBLE * 8 AS funding, r.markPriceTwap::DOUBLE AS mark_o,
    r.markPriceTwap::DOUBLE AS mark_h, r.markPriceTwap::DOUBLE AS mark_l, r.markPriceTwap::DOUBLE AS mark_c,
    CASE WHEN venue = 'drift' THEN r.oraclePriceTwap::DOUBLE END AS index_o,
    CASE WHEN venue = 'drift' THEN r.oraclePriceTwap::DOUBLE END AS index_h,
    CASE WHEN venue = 'drift' THEN r.oraclePriceTwap::DOUBLE END AS index_l,
    CASE WHEN venue = 'drift' THEN r.oraclePriceTwap::DOUBLE END AS index_c
FROM (SELECT venue, unnest(from_json(payload->'$.records',
        '[{"symbol": "VARCHAR", "ts": "BIGINT", "fundingRateLong": "VARCHAR", "oraclePriceTwap": "VARCHAR",
           "markPriceTwap": "VARCHAR"}]')) AS r
      FROM lines WHERE url LIKE '%/market/%/fundingRates%')
UNION ALL BY NAME
SELECT venue, symbol, r.timestamp + 3600 AS s, -r.fundingRateLong::DOUBLE / 1e30 * 28800 AS funding
FROM (SELECT venue, params->>'$.address' AS symbol, unnest(from_json(payload->'$[0].ratesSnapshots',
        '[{"timestamp": "BIGINT", "fundingRateLong": "VARCHAR"}]')) AS r
      FROM lines WHERE url LIKE '%/v1/rates')
-- candles: at their end
UNION ALL BY NAME
SELECT venue, symbol, r[1]::BIGINT // 1000 + 3600 AS s,
    CASE WHEN kind = 'mark' THEN r[2]::DOUBLE END AS mark_o,
    CASE WHEN kind = 'mark' THEN r[3]::DOUBLE END AS mark_h,
    CASE WHEN kind = 'mark' THEN r[4]::DOUBLE END AS mark_l,
    CASE WHEN kind = 'mark' THEN r[5]::DOUBLE END AS mark_c,
    CASE WHEN kind = 'index' THEN r[2]::DOUBLE END AS index_o,
    CASE WHEN kind = 'index' THEN r[3]::DOUBLE END AS index_h,
    CASE WHEN kind = 'index' THEN r[4]::DOUBLE END AS index_l,
    CASE WHEN kind = 'index' THEN r[5]::DOUBLE END AS index_c,
    CASE WHEN kind = 'trade' THEN r[CASE venue WHEN 'okx' THEN 7 ELSE 6 END]::DOUBLE END AS volume,
    CASE WHEN kind = 'trade' THEN r[CASE venue WHEN 'bybit' THEN 7 ELSE 8 END]::DOUBLE END AS volume_quote
FROM (SELECT venue, CASE WHEN regexp_matches(url, '/(history-)?mark[^/]*$') THEN 'mark'
                         WHEN url LIKE '%index%' THEN 'index' ELSE 'trade' END AS kind,
        CASE WHEN venue = 'okx' AND kind = 'index' THEN (params->>'$.instId') || '-SWAP'
             ELSE coalesce(params->>'$.symbol', params->>'$.pair', params->>'$.instId') END AS symbol,
        unnest(from_json(CASE venue WHEN 'binance' THEN payload WHEN 'okx' THEN payload->'$.data'
                                    ELSE payload->'$.result.list' END, '[["VARCHAR"]]')) AS r
      FROM lines WHERE regexp_matches(url, '[kK]lines?$') OR url LIKE '%okx.com/%candles')
UNION ALL BY NAME
SELECT venue, r.ticker AS symbol, epoch_ms(r.startedAt) // 1000 + 3600 AS s,
    r.orderbookMidPriceOpen::DOUBLE AS mark_o, r.orderbookMidPriceClose::DOUBLE AS mark_c,
    r.baseTokenVolume::DOUBLE AS volume, r.usdVolume::DOUBLE AS volume_quote
FROM (SELECT venue, unnest(from_json(payload->'$.candles',
        '[{"ticker": "VARCHAR", "startedAt": "TIMESTAMP", "orderbookMidPriceOpen": "VARCHAR",
           "orderbookMidPriceClose": "VARCHAR", "baseTokenVolume": "VARCHAR", "usdVolume": "VARCHAR"}]')) AS r
      FROM lines WHERE url LIKE '%/v4/candles/%')
UNION ALL BY NAME
SELECT venue, r.s AS symbol, r.t // 1000 + 3600 AS s, r.v::DOUBLE AS volume
FROM (SELECT venue, unnest(from_json(payload, '[{"s": "VARCHAR", "t": "BIGINT", "v": "VARCHAR"}]')) AS r
      FROM lines WHERE url LIKE '%hyperliquid.xyz/info' AND body->>'$.type' = 'candleSnapshot')
UNION ALL BY NAME
SELECT venue, split_part(url, '/', 5) AS symbol, r.ts + 3600 AS s, r.oracleOpen AS index_o,
    r.oracleHigh AS index_h, r.oracleLow AS index_l, r.oracleClose AS index_c, r.baseVolume AS volume,
    r.quoteVolume AS volume_quote
FROM (SELECT venue, url, unnest(from_json(payload->'$.records',
        '[{"ts": "BIGINT", "oracleOpen": "DOUBLE", "oracleHigh": "DOUBLE", "oracleLow": "DOUBLE",
           "oracleClose": "DOUBLE", "baseVolume": "DOUBLE", "quoteVolume": "DOUBLE"}]')) AS r
      FROM lines WHERE url LIKE '%/market/%/candles/%')
UNION ALL BY NAME
SELECT lines.venue, names.symbol, r[1]::BIGINT + 3600 AS s, r[2] AS index_o, r[3] AS index_h, r[4] AS index_l,
    r[5] AS index_c, r[2] AS mark_o, r[3] AS mark_h, r[4] AS mark_l, r[5] AS mark_c
FROM (SELECT venue, params->>'$.tokenSymbol' AS token,
        unnest(from_json(payload->'$.candles', '[["DOUBLE"]]')) AS r
      FROM lines WHERE url LIKE '%/prices/candles') AS lines
JOIN names ON names.venue = lines.venue AND names.token = lines.token
-- open interest: at its time
UNION ALL BY NAME
SELECT venue, r.symbol AS symbol, r.timestamp // 1000 AS s, r.sumOpenInterest::DOUBLE AS open_interest,
    r.sumOpenInterestValue::DOUBLE AS open_interest_usd
FROM (SELECT venue, unnest(from_json(payload, '[{"symbol": "VARCHAR", "timestamp": "BIGINT",
        "sumOpenInterest": "VARCHAR", "sumOpenInterestValue": "VARCHAR"}]')) AS r
      FROM lines WHERE url LIKE '%/openInterestHist')
UNION ALL BY NAME
SELECT venue, symbol, CASE WHEN length(r.timestamp) > 10 THEN r.timestamp::BIGINT // 1000
                           ELSE r.timestamp::BIGINT END AS s,
    coalesce(r.singleOpenInterest::DOUBLE, r.openInterest::DOUBLE / 2) AS open_interest
FROM (SELECT venue, params->>'$.symbol' AS symbol, unnest(from_json(payload->'$.result.list',
        '[{"timestamp": "VARCHAR", "singleOpenInterest": "VARCHAR", "openInterest": "VARCHAR"}]')) AS r
      FROM lines WHERE url LIKE '%/v5/market/open-interest')
UNION ALL BY NAME
SELECT venue, symbol, r[1]::BIGINT // 1000 AS s, r[3]::DOUBLE AS open_interest,
    r[4]::DOUBLE AS open_interest_usd
FROM (SELECT venue, params->>'$.instId' AS symbol, unnest(from_json(payload->'$.data', '[["VARCHAR"]]')) AS r
      FROM lines WHERE url LIKE '%/contracts/open-interest-history')
UNION ALL BY NAME
SELECT venue, r.ticker AS symbol, epoch_ms(r.startedAt) // 1000 AS s,
    r.startingOpenInterest::DOUBLE AS open_interest
FROM (SELECT venue, unnest(from_json(payload->'$.candles',
        '[{"ticker": "VARCHAR", "startedAt": "TIMESTAMP", "startingOpenInterest": "VARCHAR"}]')) AS r
      FROM lines WHERE url LIKE '%/v4/candles/%')
UNION ALL BY NAME
SELECT lines.venue, names.symbol, r.snapshotTimestamp AS s,
    greatest(r.longOpenInterestInTokens::DOUBLE, r.shortOpenInterestInTokens::DOUBLE) / 10 ** names.decimals
        AS open_interest,
    CASE WHEN r.longOpenInterestInTokens::HUGEINT >= r.shortOpenInterestInTokens::HUGEINT
         THEN r.longOpenInterestUsd::DOUBLE ELSE r.shortOpenInterestUsd::DOUBLE END / 1e30
        AS open_interest_usd
FROM (SELECT venue, unnest(from_json(payload->'$.data.fundingBalanceOiSnapshots',
        '[{"marketAddress": "VARCHAR", "snapshotTimestamp": "BIGINT", "longOpenInterestInTokens": "VARCHAR",
           "shortOpenInterestInTokens": "VARCHAR", "longOpenInterestUsd": "VARCHAR",
           "shortOpenInterestUsd": "VARCHAR"}]')) AS r
      FROM lines WHERE url LIKE '%squids.live%') AS lines
JOIN names ON names.venue = lines.venue AND names.symbol = r.marketAddress"""

FIELDS = (
    "funding", *(f"{kind}_{each}" for kind in ("mark", "index") for each in "ohlc"), "open_interest",
    "open_interest_usd", "volume", "volume_quote",
)  # fmt: skip

_WHOLE = """
COPY (SELECT make_timestamp(s * 1000000) AS timestamp, venue, symbol, asset, {fields}
      FROM points JOIN names USING (venue, symbol) WHERE s BETWEEN {first} AND {last}
          AND (ended IS NULL OR s < epoch(ended + 1))
      GROUP BY ALL ORDER BY timestamp, venue, symbol)
TO '{target}' (FORMAT parquet, COMPRESSION zstd)"""


def extract(root: Path, target: Path, first_s: int, last_s: int) -> None:
    """Write the hourly rows of first <= time <= last (Unix seconds) of the archive in `root` to `target`."""
    with duckdb.connect() as connection:
        connection.execute(
            """CREATE TEMP TABLE names
            (venue VARCHAR, symbol VARCHAR, asset VARCHAR, token VARCHAR, decimals INT, ended DATE)"""
        )
        connection.executemany(
            "INSERT INTO names VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    name,
                    row["symbol"],
                    asset,
                    row.get("token"),
                    row.get("decimals"),
                    row.get("listed_to") or None,
                )
                for name, venue in venues().items()
                if venue.perps is not None
                for asset, row in symbols(name).items()
            ],
        )
        connection.execute(_LINES.format(root=root))
        connection.execute(_POINTS)
        fields = ", ".join(f"any_value({name}) AS {name}" for name in FIELDS)
        connection.execute(_WHOLE.format(fields=fields, first=first_s, last=last_s, target=target))
