"""Check that each interval of more than two seconds without data of a stream is a recorded gap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.research.checks.check import OFFENDERS, CheckResult, State, dicts, share
from marketarchive.research.derived import Progress
from marketarchive.research.engine import run
from marketarchive.research.labels.label import Label
from marketarchive.research.products.updown.validation import inputs, stream_seconds
from marketarchive.research.products.updown.validation.stream_seconds import SILENT_S, STREAMS
from marketarchive.times import iso

if TYPE_CHECKING:
    import duckdb

LONGEST_S = 2

RULE = (
    f"In each stream of a round (cl: Chainlink, pm: books), more than {LONGEST_S} successive tracked seconds "
    "before the end that are neither observed, nor quiet, nor silent are a gap. A gap without a recorded "
    "gap in these seconds fails; one with a recorded gap is a warning, and fails with --strict. Quiet: "
    "proven unchanged. Silent: nothing was received on an open connection, and the hash of the next delta "
    "matches, so none before it is missing; before a snapshot, or after the last message, for at most "
    f"{SILENT_S} s. Untracked: no run was to observe the round at that time, or its segment is labelled; "
    "such seconds are not judged."
)
_NAMED = {"cl": "Chainlink", "pm": "books"}
_COUNTED = (
    *("seconds", "observed", "quiet", "silent", "recorded", "unknown", "untracked"),
    *("unrecorded gaps", "recorded gaps"),
)

_SPANS = f"""
    SELECT market_no, stream, min(t) AS t, count(*) AS length, {{is_recorded}} AS is_recorded
    FROM (SELECT *, t - row_number() OVER (PARTITION BY market_no, stream ORDER BY t) AS island
          FROM bare WHERE state IN ({{states}}))
    GROUP BY market_no, stream, island HAVING count(*) > {LONGEST_S}"""
_UNRECORDED = _SPANS.format(states="'unknown'", is_recorded="false")
_RECORDED = f"""SELECT * FROM ({
    _SPANS.format(states="'unknown', 'recorded'", is_recorded="bool_or(state = 'recorded')")
}) WHERE is_recorded"""
_OFFENDERS = f"""
    SELECT market_id, stream, t, length AS seconds,
           CASE WHEN is_recorded THEN (
               SELECT string_agg(DISTINCT reason, ', ' ORDER BY reason) FROM market_gaps
               WHERE market_gaps.market_no = found.market_no AND market_gaps.stream = found.stream
               AND market_gaps.from_us // 1000000 < start_s + t + length
               AND (market_gaps.to_us + 999999) // 1000000 >= start_s + t) END AS recorded_as
    FROM ({_UNRECORDED} UNION ALL {_RECORDED}) AS found JOIN rounds USING (market_no)
    ORDER BY is_recorded, length DESC, market_id, stream, t LIMIT {OFFENDERS}"""


def check(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    labels: Sequence[Label],
    names: Mapping[str, tuple[str, str]],
    dataset: Path,
    progress: Progress,
    *,
    strict: bool = False,
) -> CheckResult:
    """Check that each second without data lies in a recorded gap or is proven quiet.

    names: token -> (slug, outcome); dataset: file of the canonical dataset; strict: recorded gaps fail too.
    Rounds are checked UTC day by UTC day, to bound memory. Raises duckdb.Error.
    """
    days: dict[str, list[Label]] = {}
    for each in labels:
        days.setdefault(iso(each.start_ns)[:10], []).append(each)
    counts: dict[str, Counter[str]] = {stream: Counter() for stream in STREAMS}
    longest: dict[str, dict[str, int]] = {stream: {} for stream in STREAMS}
    offenders: list[dict[str, Any]] = []
    stream_seconds.register_sessions(connection, root)
    for _, some in sorted(days.items()):
        inputs.register(connection, root, some, names, dataset)
        stream_seconds.register(connection, root, some)
        for stream in STREAMS:
            counts[stream].update(_counts(connection, stream))
            for name, spans in (("unrecorded", _UNRECORDED), ("recorded", _RECORDED)):
                [[count, most]] = run(
                    connection, f"SELECT count(*), max(length) FROM ({spans}) WHERE stream = '{stream}'"
                )
                counts[stream][f"{name} gaps"] += count
                longest[stream][name] = max(most or 0, longest[stream].get(name, 0))
        offenders += dicts(connection, _OFFENDERS)
        progress.advance(len(some))
    offenders.sort(key=lambda one: (one["recorded_as"] is not None, -one["seconds"], one["market_id"]))
    return _check(counts, longest, offenders[:OFFENDERS], strict=strict)


def _check(
    counts: Mapping[str, Counter[str]],
    longest: Mapping[str, Mapping[str, int]],
    offenders: list[dict[str, Any]],
    *,
    strict: bool,
) -> CheckResult:
    notes, shown, details = [], [], []
    unrecorded = recorded = all_tracked = 0
    for stream, found in counts.items():
        tracked = found["seconds"] - found["untracked"]
        all_tracked += tracked
        if not tracked:
            notes.append(
                f"No run was to observe {_NAMED[stream]} ({stream}), so that stream was not checked."
            )
        unrecorded += found["unrecorded gaps"]
        recorded += found["recorded gaps"]
        shown.append(f"{stream} {share(found['recorded'], tracked)}")
        details.append(
            {
                "stream": f"{stream} ({_NAMED[stream]})",
                **{name: found[name] for name in _COUNTED},
                **{f"longest {name} gap, s": most for name, most in longest[stream].items()},
            }
        )
    state: State = "pass"
    if not all_tracked:
        state = "nothing to check"
    elif unrecorded or (strict and recorded):
        state = "fail"
    elif recorded:
        state = "warn"
    return CheckResult(
        "gaps",
        f"Gaps over {LONGEST_S} s are recorded",
        RULE,
        state,
        f"{unrecorded:,} unrecorded, {recorded:,} recorded; "
        f"of tracked seconds in recorded gaps: {', '.join(shown)}",
        {"unrecorded gaps": unrecorded, "recorded gaps": recorded},
        notes,
        offenders,
        details,
    )


def _counts(connection: duckdb.DuckDBPyConnection, stream: str) -> Counter[str]:
    """Return state -> number of seconds of a stream ("cl" or "pm") in it, over all registered rounds."""
    [[seconds]] = run(connection, "SELECT count(*) FROM seconds")
    bare = run(connection, f"SELECT state, count(*) FROM bare WHERE stream = '{stream}' GROUP BY state")
    counted: Counter[str] = Counter(dict(bare))
    quiet = "SELECT count(*) FROM observed WHERE pm_ffill = 0 AND pm_quiet = 1"
    counted["quiet"] = run(connection, quiet)[0][0] if stream == "pm" else 0
    counted["observed"] = seconds - counted.total()
    counted["seconds"] = seconds
    return counted
