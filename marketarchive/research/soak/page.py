"""Report of a soak test as Markdown; pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from marketarchive.archive.soak.journal import JournalLine, end_of
from marketarchive.archive.soak.thresholds import THRESHOLDS, Measured
from marketarchive.research.report.shares import observed
from marketarchive.research.soak.measure import SoakFindings, cpu_shares, longest_still_s, size_words

ACCELERATED = "ACCELERATED, on the simulator: no gate can pass"
_LISTED = 20


def markdown(found: SoakFindings, plots: Mapping[str, str]) -> str:
    """Return the page as Markdown; plots: name -> file name of a plot beside the page."""
    parts = [
        *([f"{ACCELERATED}\n"] if found.about.is_simulated else []),
        f"# Soak {found.soak.id}\n",
        *_gate(found),
        *_thresholds(found),
        *_run(found),
        *_restarts(found),
        *_traffic(found),
        *_resources(found, plots),
        *_quality(found, plots),
        *_issues(found),
        *([] if plots else ['- no plots were drawn: pip install "marketarchive[research]"']),
    ]
    return "\n".join(parts) + "\n"


def _gate(found: SoakFindings) -> Iterator[str]:
    yield f"Gate: **{found.verdict.gate}**\n"
    yield from (f"- {each}" for each in found.verdict.reasons)
    yield ""


def _thresholds(found: SoakFindings) -> Iterator[str]:
    yield "## Thresholds"
    rows = []
    for each in THRESHOLDS:
        measured = found.measured.get(each.name, Measured(None, "not measured"))
        holds = "not measured" if measured.value is None else "yes" if each.holds(measured.value) else "NO"
        value = "" if measured.value is None else f"{measured.value:.6g} {each.unit}"
        rows.append((each.name, each.what, each.words, value, holds, measured.note))
    yield _table(("name", "what", "threshold", "measured", "holds?", "note"), rows)


def _run(found: SoakFindings) -> Iterator[str]:
    soak, lines = found.soak, found.lines
    end = end_of(lines)
    yield "## Uptime"
    rows = [
        ("command", f"`collect {' '.join(soak.words)}`"),
        ("collector", soak.collector),
        ("began", soak.started_at_utc),
        ("ended", "not yet" if end is None else f"{end.at_utc}: {end.reason}"),
        ("lasted", f"{found.about.hours:.3f} h of {soak.hours:g} h"),
        ("clock", "the simulator's" if found.about.is_simulated else "the machine's"),
        ("downtime", f"{found.down_s:.1f} s, including the first start and the time without a supervisor"),
        ("boots", f"{len({line.boot_id for line in lines}):,}"),
        ("samples", f"{len(found.samples):,}"),
    ]
    yield _table(("", ""), rows)


def _restarts(found: SoakFindings) -> Iterator[str]:
    yield "## Restarts and their cost"
    if not found.restarts:
        yield "There were no restarts.\n"
        return
    worst = sorted(found.restarts, key=lambda each: -each.cost_s)[:_LISTED]
    yield f"{len(found.restarts):,} restarts, longest first; cost: from exit to first data on the disk\n"
    rows = [
        (each.at_utc, each.why, f"{each.cost_s:.1f} s" + ("" if each.is_complete else ", no data afterwards"))
        for each in worst
    ]
    yield _table(("exit", "why", "cost"), rows)


def _traffic(found: SoakFindings) -> Iterator[str]:
    traffic, tables = found.traffic, found.tables
    gaps = Counter[str]() if tables is None else tables.gaps
    refused = {
        status: count for status, count in traffic.statuses.items() if status >= "400" and status != "429"
    }
    ratio = f"{traffic.inflated / traffic.deflated:.2f}" if traffic.deflated else "nothing sealed"
    markets = ", ".join(f"{name} {count:,}" for name, count in sorted(traffic.markets.items()) if count)
    yield "## What was collected"
    rows = [
        ("runs", f"{traffic.runs:,}: {_counted(traffic.exits)}"),
        ("markets", markets or "none"),
        ("snapshots", f"{traffic.rows:,} rows of records"),
        ("messages", f"{traffic.counts['frame']:,} frames, {traffic.counts['response']:,} responses"),
        (
            "missed intervals",
            f"{traffic.ticks['missed']:,} of {traffic.ticks['due']:,} due ticks",
        ),
        ("gaps", f"{gaps.total():,}: {_counted(gaps)}"),
        ("errors", _errors(refused, traffic.counts["invalid"], traffic.retries)),
        ("rate limits", f"{traffic.statuses['429']:,} answers 429, {gaps['rate_limited']:,} gaps"),
        ("file sizes", size_words(traffic.sizes)),
        ("compression ratio", ratio),
        ("offload", traffic.offload),
    ]
    yield _table(("", ""), rows)
    yield _table(
        ("feed", "frames", "responses", "gap lines"),
        [
            (name, *(f"{counts[kind]:,}" for kind in ("frame", "response", "gap")))
            for name, counts in sorted(traffic.feeds.items())
        ],
    )


def _resources(found: SoakFindings, plots: Mapping[str, str]) -> Iterator[str]:
    yield "## Disk, processors and memory over time"
    samples = found.samples
    if not samples:
        yield "No sample was taken.\n"
        return
    used = [line for line in samples if line.resident_bytes]
    cpu = [share for _, share in cpu_shares(samples)]
    first, last = samples[0], samples[-1]
    grown = sum(last.disk_bytes.values()) - sum(first.disk_bytes.values())
    days = max(1.0, last.elapsed_s - first.elapsed_s) / 86_400
    rows = [
        ("memory", _range([line.resident_bytes / 2**20 for line in used], "MiB")),
        (
            "processors",
            _range(cpu, "of one processor") + (f", mean {sum(cpu) / len(cpu):.3f}" if cpu else ""),
        ),
        ("open files", _range([line.open_files for line in used], "")),
        ("processes", _range([line.processes for line in used], "")),
        ("disk", f"grew by {grown / 1e6:,.1f} MB, {grown / 1e6 / days:,.1f} MB a day; {_by_folder(last)}"),
        ("longest pause of raw/", f"{longest_still_s(samples):,.0f} s, within one process"),
        ("free", f"{last.free_bytes / 1e9:,.1f} GB at the end"),
    ]
    yield _table(("", ""), rows)
    yield from (f"![{name}]({plots[name]})\n" for name in ("memory", "cpu", "disk") if name in plots)


def _quality(found: SoakFindings, plots: Mapping[str, str]) -> Iterator[str]:
    yield "## Data quality"
    books = found.traffic.books
    rows = [("ledger head", found.head), ("live verdicts on snapshots and deltas", _counted(books))]
    rows += [("verify", problem) for problem in found.problems[:_LISTED]]
    lasting = {} if found.tables is None else found.tables.gap_s
    rows += [
        (f"gaps by {reason}", f"{seconds:,.0f} s, summed over gaps whatever their scope")
        for reason, seconds in sorted(lasting.items())
    ]
    yield _table(("", ""), rows)
    if found.tables is not None:
        seen = found.tables.seen
        kinds = [(kind, seen.total([kind])) for kind in seen.kinds]
        yield _table(
            ("seconds of", "observed", "quiet", "gapped", "unknown", "observed or quiet"),
            [
                (
                    kind,
                    *(f"{counted[state]:,}" for state in ("observed", "quiet", "gapped", "unknown")),
                    observed(counted),
                )
                for kind, counted in kinds
            ],
        )
    if "observed" in plots:
        yield f"![observed]({plots['observed']})\n"


def _issues(found: SoakFindings) -> Iterator[str]:
    yield "## Known issues"
    yield from (f"- {each}" for each in found.issues[:_LISTED])
    if not found.issues:
        yield "None."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(each.replace('|', '/') for each in line)} |" for line in lines) + "\n"


def _errors(refused: Mapping[str, int], invalid: int, retries: int) -> str:
    return f"statuses {_counted(refused)}; {invalid:,} invalid items; {retries:,} retries"


def _counted(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in Counter(found).most_common() if count) or "none"


def _range(values: Sequence[float], unit: str) -> str:
    if not values:
        return "not seen"
    return f"{min(values):,.4g} to {max(values):,.4g} {unit}, last {values[-1]:,.4g}".replace(" ,", ",")


def _by_folder(line: JournalLine) -> str:
    largest = sorted(line.disk_bytes.items(), key=lambda each: -each[1])[:5]
    return ", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in largest)
