"""The SQL of the canonical dataset: the state of a market and of its asset's price at each second. Pure.

It reads four relations of a connection, times in us since the epoch:
`rounds`  market_no, market_id, asset, start_s, duration, strike, settlement, outcome (1 Up, 0 Down),
          strike_received_us, spot, twap (instruments), up, down (numbers of tokens)
`prices`  instrument, event_us, received_us, value, bid, ask, source
`tops`    token (number), event_us, received_us, place, bid, ask, source, is_proof (a whole book that the
          venue was asked for: it had not changed from event_us until received_us)
`holes`   market_no, from_us, to_us: recorded gaps that concern a market
"""

from __future__ import annotations

from typing import Literal

Clock = Literal["observation", "received"]
CLOCKS: tuple[Clock, ...] = ("observation", "received")

COLUMNS = (
    "t",
    "tau",
    "market_id",
    "asset",
    "cl_mid",
    "cl_bid",
    "cl_ask",
    "cl_ffill",
    "pm_up_mid",
    "pm_up_bid",
    "pm_up_ask",
    "pm_down_mid",
    "pm_down_bid",
    "pm_down_ask",
    "pm_ffill",
    "K",
    "settlement",
    "Y",
    "delta",
    "delta_bps",
    "sum_bids",
    "sum_asks",
    "pm_up_spread",
    "pm_down_spread",
    "cl_twap",
    "cl_source",
    "cl_lag",
    "pm_lag",
    "ref_mid",
    "ref_source",
    "K_received_at",
    "gap",
    "preopen",
    "pm_quiet",
    "pm_source",
)
"""In the order of the file."""

HINDSIGHT = ("settlement", "Y", "gap")
"""What nobody knew at the second: labels, and holes, which are noticed after they began."""


def prepare(clock: Clock, carry_s: int) -> list[str]:
    """Statements that make `cl` and `pm`: per second of the rounds the newest input, at most `carry_s` s old.

    Each value is laid out over the seconds in which it holds, so that rows find theirs by equality.
    """
    # joins by number cost a third of those by name
    numbered = """CREATE OR REPLACE TEMP TABLE instruments AS
        SELECT instrument, row_number() OVER (ORDER BY instrument)::INTEGER AS number
        FROM (SELECT spot AS instrument FROM rounds UNION SELECT twap FROM rounds)"""
    return [numbered, _prices_by_second(clock, carry_s), _tops_by_second(clock, carry_s)]


def _prices_by_second(clock: Clock, carry_s: int) -> str:
    # an observation counts from its first receipt; on the received clock only if it is newer than all known;
    # parts of it (bid, ask) can be told later, and each row has all that its source told by then
    if clock == "observation":
        given, at = "(SELECT *, true AS is_first FROM prices)", "event_us"
    else:
        first = """SELECT *, row_number() OVER (
            PARTITION BY instrument, event_us ORDER BY received_us, value, source, bid, ask) = 1 AS is_first
            FROM prices"""
        before = """PARTITION BY instrument ORDER BY received_us, event_us DESC, value, source
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"""
        given = f"""(SELECT * FROM ({first})
            QUALIFY event_us >= coalesce(max(event_us) OVER ({before}), -1))"""
        at = "received_us"
    return f"""
    CREATE OR REPLACE TEMP TABLE cl AS
    WITH newest AS (
        SELECT instrument, sec, -newest.v AS value, newest.s AS source, newest.e AS event_us,
               -newest.r AS received_us, quoted.b AS bid, quoted.a AS ask
        FROM (SELECT number AS instrument, ({at} + 999999) // 1000000 AS sec,
                     max({{e: event_us, r: -received_us, v: -value, s: source}}) FILTER (is_first) AS newest,
                     max({{e: event_us, n: (bid IS NOT NULL)::INTEGER + (ask IS NOT NULL)::INTEGER,
                           r: -received_us, b: bid, a: ask}})
                         FILTER (bid IS NOT NULL OR ask IS NOT NULL) AS quoted
              FROM {given} JOIN instruments USING (instrument) GROUP BY ALL)
        WHERE newest IS NOT NULL
    ), lasting AS (
        SELECT *, least(coalesce(lead(sec) OVER (PARTITION BY instrument ORDER BY sec) - 1, sec + {carry_s}),
                        sec + {carry_s}, (SELECT max(start_s + duration) FROM rounds)) AS until
        FROM newest
    )
    SELECT * EXCLUDE (until),
           unnest(range(greatest(sec, (SELECT min(start_s) FROM rounds)), until + 1)) AS holds_at
    FROM lasting"""


def _tops_by_second(clock: Clock, carry_s: int) -> str:
    if clock == "observation":
        given, at = "tops", "event_us"
        proven = "max({e: event_us, u: received_us}) FILTER (is_proof)"
    else:
        before = (
            "PARTITION BY token ORDER BY received_us, place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
        )
        given = f"(SELECT * FROM tops QUALIFY event_us >= coalesce(max(event_us) OVER ({before}), -1))"
        at = "received_us"
        proven = "NULL::STRUCT(e BIGINT, u BIGINT)"
    # a value ages from when it was last known to be unchanged
    return f"""
    CREATE OR REPLACE TEMP TABLE pm AS
    WITH newest AS (
        SELECT token, sec, newest.b AS bid, newest.a AS ask, newest.s AS source, newest.e AS event_us,
               newest.r AS received_us,
               CASE WHEN proven.e = newest.e THEN proven.u // 1000000 END AS proven_until
        FROM (SELECT token, ({at} + 999999) // 1000000 AS sec,
                     max({{e: event_us, r: received_us, p: place, b: bid, a: ask, s: source}}) AS newest,
                     {proven} AS proven
              FROM {given} GROUP BY ALL)
    ), lasting AS (
        SELECT *, greatest(sec, coalesce(proven_until, 0)) + {carry_s} AS oldest,
               lead(sec) OVER (PARTITION BY token ORDER BY sec) - 1 AS replaced
        FROM newest
    ), sides AS (
        SELECT up AS token, start_s, start_s + duration AS end_s FROM rounds
        UNION ALL SELECT down, start_s, start_s + duration FROM rounds
    )
    SELECT lasting.* EXCLUDE (oldest, replaced),
           unnest(range(greatest(sec, start_s),
                        least(oldest, coalesce(replaced, oldest), end_s) + 1)) AS holds_at
    FROM lasting JOIN sides ON sides.token = lasting.token"""


def rows(clock: Clock, first: int, until: int) -> str:
    """The dataset's rows of the rounds with `first` <= market_no < `until`, by round and second, from `cl`
    and `pm`.
    """
    known = "true" if clock == "observation" else "strike_received_us <= seconds.sec * 1000000"
    return f"""
    WITH seconds AS (
        SELECT *, start_s + t AS sec
        FROM (SELECT rounds.*, of_spot.number AS spot_no, of_twap.number AS twap_no,
                     unnest(range(0, duration + 1))::INTEGER AS t
              FROM rounds LEFT JOIN instruments AS of_spot ON of_spot.instrument = spot
              LEFT JOIN instruments AS of_twap ON of_twap.instrument = twap
              WHERE market_no >= {first} AND market_no < {until})
    ), joined AS (
        SELECT seconds.*, CASE WHEN {known} THEN strike END AS k,
               CASE WHEN {known} THEN strike_received_us END AS k_us,
               cl.sec IS NOT NULL AS has_cl, cl.value AS cl_value, cl.bid AS cl_b, cl.ask AS cl_a,
               cl.source AS cl_s, seconds.sec > cl.sec AS cl_old, cl.event_us AS cl_e, cl.received_us AS cl_r,
               twap.sec IS NOT NULL AS has_twap, twap.value AS twap_value,
               u.sec IS NOT NULL AS has_up, u.bid AS up_b, u.ask AS up_a,
               seconds.sec > u.sec AS up_old, coalesce(u.proven_until >= seconds.sec, false) AS up_quiet,
               u.source AS up_s, u.event_us AS up_e, u.received_us AS up_r, u.sec AS up_at,
               d.sec IS NOT NULL AS has_down, d.bid AS down_b, d.ask AS down_a,
               seconds.sec > d.sec AS down_old, coalesce(d.proven_until >= seconds.sec, false) AS down_quiet,
               d.source AS down_s, d.event_us AS down_e, d.received_us AS down_r, d.sec AS down_at
        FROM seconds
        LEFT JOIN cl ON cl.instrument = seconds.spot_no AND cl.holds_at = seconds.sec
        LEFT JOIN cl AS twap ON twap.instrument = seconds.twap_no AND twap.holds_at = seconds.sec
        LEFT JOIN pm AS u ON u.token = seconds.up AND u.holds_at = seconds.sec
        LEFT JOIN pm AS d ON d.token = seconds.down AND d.holds_at = seconds.sec
    ), known AS (
        SELECT market_no, t, duration - t AS tau, market_id, asset, k AS K, settlement, outcome AS Y, sec,
               CASE WHEN has_cl THEN cl_value END AS cl_mid, CASE WHEN has_cl THEN cl_b END AS cl_bid,
               CASE WHEN has_cl THEN cl_a END AS cl_ask, CASE WHEN has_cl THEN cl_s END AS cl_source,
               CASE WHEN has_cl THEN cl_old::TINYINT END AS cl_ffill,
               CASE WHEN has_cl THEN (cl_r - cl_e) / 1e6 END AS cl_lag,
               CASE WHEN has_twap THEN twap_value END AS cl_twap,
               CASE WHEN has_up THEN up_b END AS pm_up_bid, CASE WHEN has_up THEN up_a END AS pm_up_ask,
               CASE WHEN has_down THEN down_b END AS pm_down_bid,
               CASE WHEN has_down THEN down_a END AS pm_down_ask,
               CASE WHEN has_up OR has_down THEN
                   (coalesce(has_up AND up_old AND NOT up_quiet, false)
                    OR coalesce(has_down AND down_old AND NOT down_quiet, false))::TINYINT END AS pm_ffill,
               CASE WHEN has_up OR has_down THEN
                   (coalesce(has_up AND up_old AND up_quiet, false)
                    OR coalesce(has_down AND down_old AND down_quiet, false))::TINYINT END AS quiet,
               CASE WHEN has_up AND (NOT has_down OR up_e >= down_e) THEN (up_r - up_e) / 1e6
                    WHEN has_down THEN (down_r - down_e) / 1e6 END AS pm_lag,
               CASE WHEN has_up AND has_down AND up_s <> down_s THEN up_s || ', ' || down_s
                    WHEN has_up THEN up_s WHEN has_down THEN down_s END AS pm_source,
               CASE WHEN has_up OR has_down
                    THEN coalesce(has_up AND up_at < start_s, false)
                         OR coalesce(has_down AND down_at < start_s, false)
                    END AS preopen,
               make_timestamp(k_us)::TIMESTAMPTZ AS K_received_at
        FROM joined
    ), holed AS (
        SELECT DISTINCT market_no, unnest(range(from_us // 1000000, (to_us + 999999) // 1000000 + 1)) AS sec
        FROM holes
    )
    SELECT t, tau, market_id, asset, cl_mid, cl_bid, cl_ask, cl_ffill,
           (pm_up_bid + pm_up_ask) / 2 AS pm_up_mid, pm_up_bid, pm_up_ask,
           (pm_down_bid + pm_down_ask) / 2 AS pm_down_mid, pm_down_bid, pm_down_ask, pm_ffill,
           K, settlement, Y, cl_mid - K AS delta, 1e4 * (cl_mid - K) / K AS delta_bps,
           pm_up_bid + pm_down_bid AS sum_bids, pm_up_ask + pm_down_ask AS sum_asks,
           pm_up_ask - pm_up_bid AS pm_up_spread, pm_down_ask - pm_down_bid AS pm_down_spread,
           cl_twap, cl_source, cl_lag, pm_lag, NULL::DOUBLE AS ref_mid, NULL::VARCHAR AS ref_source,
           K_received_at, holed.sec IS NOT NULL AS gap, preopen,
           CASE WHEN pm_ffill = 0 THEN quiet ELSE 0 * pm_ffill END::TINYINT AS pm_quiet, pm_source
    FROM known LEFT JOIN holed ON holed.market_no = known.market_no AND holed.sec = known.sec
    ORDER BY known.market_no, t"""
