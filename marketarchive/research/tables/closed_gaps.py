"""SQL that removes from recorded gaps what other runs of the same feed received.

Where several runs recorded a feed at once, a second that `coverage` calls observed or quiet for a market is
proven by one of them, whatever another missed: within one run a gap outweighs an observation. The result is
what the archive is missing. Whether a book or line of one run can be believed depends on the gaps of that
run alone, whatever another received: `recorded_gaps.py`.
"""

from __future__ import annotations

from collections.abc import Collection

from marketarchive.research.engine import of_feeds


def untouched(gaps: str) -> str:
    """Return SQL of the relation `gaps` with a null column `open_for`: nothing is closed."""
    return f"SELECT *, NULL::VARCHAR[] AS open_for FROM {gaps}"


def still_open(gaps: str, coverage: str, tokens: str, feeds: Collection[tuple[str, str]]) -> str:
    """Return SQL of what remains of `gaps`, with `open_for`: names of the markets for which it remains.

    `open_for` is null if nobody closed anything: the gap holds for all that it concerns. A gap that is closed
    for some markets has a row for the markets for which it holds as a whole, and for subjects that nobody
    tracked, and rows for what remains of it for one market. A gap closed for all has no row.

    gaps, coverage: relations of these tables, with venue and feed; tokens: relation (token, slug); feeds: the
    (venue, feed)s that several runs recorded at once. A gap without an end is taken to last until it was
    noticed.
    """
    return f"""
        WITH stated AS MATERIALIZED (
            SELECT *, row_number() OVER () AS no, coalesce("to", noticed_at) AS until FROM {gaps}
        ), spans AS (
            SELECT seen.venue, seen.feed,
                   list_filter([seen.market, seen.slug] || coalesce(mine.tokens, []),
                               lambda x: x IS NOT NULL) AS names,
                   [seen.market, seen.slug, seen.asset, split_part(seen.market, ':', 1),
                    regexp_replace(seen.market, '^[^:]*:', '')] || coalesce(mine.tokens, []) AS all_names,
                   span.state IN ('observed', 'quiet') AS is_known,
                   span.start AS start, span.start + to_seconds(span.seconds) AS until
            FROM (SELECT venue, feed, market, slug, asset, unnest(spans) AS span
                  FROM {coverage} WHERE {of_feeds(feeds)}) AS seen
            LEFT JOIN (SELECT slug, list(token) AS tokens FROM {tokens} GROUP BY slug) AS mine
                ON mine.slug = seen.slug
        ), pieces AS MATERIALIZED (
            SELECT stated.no, spans.names, spans.all_names, spans.is_known,
                   stated."from" AS begun, stated.until AS ended,
                   greatest(spans.start, stated."from") AS start, least(spans.until, stated.until) AS until
            FROM stated JOIN spans ON stated.venue = spans.venue AND stated.feed = spans.feed
                AND spans.start < greatest(stated.until, stated."from" + to_microseconds(1))
                AND spans.until > stated."from"
                AND (coalesce(len(stated.subjects), 0) = 0
                     OR list_has_any(stated.subjects, spans.all_names))
        ), closers AS (
            SELECT no, flatten(list(all_names)) AS names FROM pieces WHERE is_known GROUP BY no
        ), unseen AS (
            SELECT no, flatten(list(names)) AS names FROM (
                SELECT no, names FROM pieces GROUP BY no, names HAVING NOT bool_or(is_known))
            GROUP BY no
        ), wholes AS (
            SELECT closers.no, coalesce(unseen.names, []) || list_filter(
                       coalesce(stated.subjects, []), lambda x: NOT list_contains(closers.names, x)) AS names
            FROM closers JOIN stated ON stated.no = closers.no LEFT JOIN unseen ON unseen.no = closers.no
        ), lefts AS (
            SELECT no, names, lag(until, 1, begun) OVER (PARTITION BY no, names ORDER BY start) AS start,
                   start AS until, false AS is_last
            FROM pieces WHERE is_known
            UNION ALL
            SELECT no, names, max(until), any_value(ended), true FROM pieces WHERE is_known
            GROUP BY no, names
        )
        SELECT stated.* EXCLUDE (no, until), wholes.names AS open_for
        FROM stated LEFT JOIN wholes ON wholes.no = stated.no
        WHERE wholes.no IS NULL OR len(wholes.names) > 0
        UNION ALL BY NAME
        SELECT stated.* EXCLUDE (no, until) REPLACE (
                   lefts.start AS "from", CASE WHEN is_last THEN stated."to" ELSE lefts.until END AS "to"),
               lefts.names AS open_for
        FROM stated JOIN lefts ON lefts.no = stated.no AND lefts.start < lefts.until"""


def stands(names: str) -> str:
    """Return the SQL condition that a row of `gaps` holds for a subject; names: SQL list of its names."""
    return f"coalesce(list_has_any(gaps.open_for, {names}), true)"
