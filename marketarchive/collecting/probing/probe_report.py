"""The report of a probe, `probes/<venue>_public_sources_probe_v1.json` and `.md`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from marketarchive.archive.files import Files
from marketarchive.collecting.probing.probe import PROBES, ProbeSpider
from marketarchive.collecting.probing.probe_shape import merge, shape
from marketarchive.times import iso, to_seconds
from marketarchive.venues.probing import Check, Heard, Socket
from marketarchive.version import COLLECTOR

TOPICS = {
    "discover": "How are markets discovered?",
    "rounds": "Is the current round of every asset and duration listed?",
    "filter": "How is a list filtered?",
    "resolve_ids": "How is an id resolved?",
    "book": "How is the book of one token read?",
    "batch": "And of many at once?",
    "stream": "How are changes of a book heard at once?",
    "reference": "How are reference prices heard?",
    "resolutions": "How is an outcome known?",
    "trades": "Which trades are public?",
    "clock": "What is the venue's time?",
    "pages": "Can the pages be looked at without a browser?",
    "reports": "And the JSON that they fetch?",
}
UNANSWERED = "none"
"""Among the statuses of a report: requests without an answer."""
INTERESTING = ("date", "age", "etag", "server", "content-type", "content-encoding", "cache-control", "vary")
"""Headers repeated in the report, beside those of `_is_limit` and Cloudflare's."""


def report(spider: ProbeSpider, exit_code: int) -> dict[str, Any]:
    """The whole of a finished probe; `spider.findings` is there."""
    findings, probe, run = spider.findings, PROBES[spider.venue], spider.run
    assert findings is not None
    share = spider.settings.getfloat("LIMIT_SHARE")
    asked = [_check(check) for check in findings.checks]
    return {
        "kind": "probe",
        "schema": 1,
        "venue": spider.venue,
        "passed": exit_code == 0,
        "exit_code": exit_code,
        "missing": findings.missing,
        "needs_market": findings.needs_market,
        "active_market": findings.active_market,
        "live_book": findings.live_book,
        "collector": COLLECTOR,
        "run": run.archive.name,
        "started_at_utc": run.archive.identity["started_at_utc"],
        "finished_at_utc": iso(max((each.exchange.received_at for each in findings.checks), default=0)),
        "simulated": run.clock.simulated,
        "answers": {
            topic: {
                "question": question,
                "how": probe.how[topic],
                "seen": [
                    {"check": each.name, "passed": each.passed, "evidence": each.evidence}
                    for each in findings.checks
                    if each.topic == topic
                ],
            }
            for topic, question in TOPICS.items()
            if topic in probe.how
        },
        "sockets": [_socket(each, findings.heard) for each in probe.sockets],
        "limits": {
            "source": probe.limits_source,
            "documented_per_10s": dict(probe.limits),
            "share_used_at_most": share,
            "seen": _limits_seen(findings.checks),
        },
        "latency_ms": _latencies(findings.checks),
        "book_timestamp_age_s": _spread(findings.book_ages_s),
        "checks": asked,
        "not_asked": findings.not_asked,
        "raw": {
            "feed": f"raw/venue={spider.venue}/feed={spider.feed}",
            "manifest": f"manifests/{run.archive.name}.json",
        },
    }


def write_report(root: Path, document: Mapping[str, Any]) -> tuple[Path, Path]:
    """Replaces both files as a whole, lastingly; raises OSError."""
    files, folder = Files(), root / "probes"
    files.make_dirs(folder, root)
    stem = f"{document['venue']}_public_sources_probe_v1"
    data, readable = folder / f"{stem}.json", folder / f"{stem}.md"
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    files.write_whole(data, text.encode("utf-8", "backslashreplace"))
    files.write_whole(readable, markdown(document).encode("utf-8", "backslashreplace"))
    return data, readable


def _check(check: Check) -> dict[str, Any]:
    exchange = check.exchange
    query = exchange.query
    return {
        "name": check.name,
        "topic": check.topic,
        "passed": check.passed,
        "evidence": check.evidence,
        "endpoint": query.endpoint.name,
        "method": query.endpoint.method,
        "url": query.url,
        "params": dict(query.params),
        "body": None if query.body is None else query.body.decode(),
        "limit_class": query.endpoint.limit.name,
        "status": exchange.status,
        "latency_ms": exchange.latency_ms,
        "bytes": len(exchange.payload),
        "received_at_utc": iso(exchange.received_at),
        "seq": exchange.seq,
        "headers": {
            name: value
            for name, value in sorted(exchange.headers.items())
            if name in INTERESTING or name.startswith("cf-") or _is_limit(name)
        },
        "fields": shape(exchange.payload) if exchange.status in (200, 101) else {},
    }


def _socket(socket: Socket, heard: Iterable[Heard]) -> dict[str, Any]:
    told = {"url": socket.url, "what": socket.what}
    if socket.endpoint is None:
        return {**told, "state": "not used by this version"}
    for each in heard:
        if each.listen.endpoint == socket.endpoint:
            break
    else:
        return {**told, "state": "not asked"}
    if each.error is not None:
        return {**told, "state": "no connection", "status": each.status, "error": each.error}
    return {
        **told,
        "state": "heard",
        "opened_after_ms": each.latency_ms,
        "sent": list(each.listen.texts),
        "messages": len(each.messages),
        "bytes": sum(len(payload) for _, _, payload in each.messages),
        "seconds": round(to_seconds((each.ended_at or each.opened_at) - each.opened_at), 3),
        "close_code": each.close_code,
        "close_reason": each.close_reason,
        "closed_by": "us" if each.is_closed_by_us else "the venue",
    }


def _is_http(check: Check) -> bool:
    """Whether it was a request; the others tell of one connection together."""
    return check.exchange.query.endpoint.url.startswith("http")


def _is_limit(header: str) -> bool:
    return header == "retry-after" or "ratelimit" in header.replace("-", "")


def _limits_seen(checks: Iterable[Check]) -> dict[str, Any]:
    headers: dict[str, list[str]] = {}
    statuses: Counter[str] = Counter()
    for check in checks:
        if _is_http(check):
            statuses[str(check.exchange.status or UNANSWERED)] += 1
        for name, value in check.exchange.headers.items():
            if _is_limit(name):
                headers.setdefault(name, []).append(f"{check.name}: {value}")
    return {"requests": statuses.total(), "statuses": dict(sorted(statuses.items())), "headers": headers}


def _latencies(checks: Iterable[Check]) -> dict[str, dict[str, float]]:
    """Of answers, on the project's clock: all, by host, and by endpoint."""
    groups: dict[str, list[float]] = {}
    for check in filter(_is_http, checks):
        if (latency := check.exchange.latency_ms) is not None:
            endpoint = check.exchange.query.endpoint
            for group in ("all", urlsplit(endpoint.url).netloc, endpoint.name):
                groups.setdefault(group, []).append(latency)
    return {group: {"answers": len(found), **_spread(found)} for group, found in groups.items()}


def _spread(found: Sequence[float]) -> dict[str, float]:
    if not found:
        return {}
    return {
        "min": round(min(found), 1),
        "median": round(median(found), 1),
        "max": round(max(found), 1),
    }


# ---- for people ------------------------------------------------------------------------------------------


def markdown(document: Mapping[str, Any]) -> str:
    """The report as a page."""
    lines = [f"# {document['venue']}: public sources, probed", "", *_summary(document), ""]
    for answer in document["answers"].values():
        lines += [f"## {answer['question']}", "", answer["how"], ""]
        lines += [
            f"- {'pass' if seen['passed'] else '**FAIL**'} `{seen['check']}`: {_plain(seen['evidence'])}"
            for seen in answer["seen"]
        ] or ["- nothing was asked"]
        lines.append("")
    if document["sockets"]:
        lines += ["## Sockets", "", *map(_socket_line, document["sockets"]), ""]
    lines += [*_limits(document), "", *_latency(document), "", *_checks(document), "", *_times(document), ""]
    lines += [*_fields(document), ""]
    return "\n".join(lines)


def _summary(document: Mapping[str, Any]) -> list[str]:
    where = "on the simulator" if document["simulated"] else "on the live venue"
    verdict = "**Passed**" if document["passed"] else f"**FAILED** (exit code {document['exit_code']})"
    lines = [
        f"{verdict} {where}, {document['started_at_utc']}, run `{document['run']}`, {document['collector']}.",
        "",
    ]
    if document["needs_market"]:
        lines += [
            f"- active market: {_plain(document['active_market'] or 'none was found')}",
            f"- live book: {_plain(document['live_book'] or 'none with a sound hash was found')}",
        ]
    lines += [
        f"- failed: `{each['name']}`: {_plain(each['evidence'])}"
        for each in document["checks"]
        if not each["passed"]
    ]
    lines += [f"- not asked: `{name}`: {why}" for name, why in document["not_asked"].items()]
    raw = document["raw"]
    return [*lines, f"- the answers, byte for byte: `{raw['feed']}`, manifest `{raw['manifest']}`"]


def _socket_line(socket: Mapping[str, Any]) -> str:
    line = f"- `{socket['url']}` ({socket['what']}): {socket['state']}"
    if "error" in socket:
        return f"{line}: {_plain(socket['error'])}"
    if "messages" not in socket:
        return line
    ended = f"{socket['close_code']} {socket['close_reason']}".strip()
    return (
        f"{line}, opened after {socket['opened_after_ms']:.0f} ms, {socket['messages']} messages of "
        f"{socket['bytes']} bytes in {socket['seconds']:.1f} s, closed by {socket['closed_by']} with "
        f"{_plain(ended)}"
    )


def _limits(document: Mapping[str, Any]) -> list[str]:
    limits = document["limits"]
    seen = limits["seen"]
    share = limits["share_used_at_most"]
    said = [f"`{name}` ({'; '.join(map(_plain, values))})" for name, values in seen["headers"].items()]
    statuses = ", ".join(f"{count} x {status}" for status, count in seen["statuses"].items())
    return [
        "## Limits",
        "",
        f"Documented: {limits['source']}.",
        f"Seen in {seen['requests']} requests: {statuses}; headers on limits: {', '.join(said) or 'none'}.",
        "",
        "| class | documented, requests in 10 s | used at most |",
        "|---|---|---|",
        *(
            f"| {name} | {count} | {count * share:g} |"
            for name, count in limits["documented_per_10s"].items()
        ),
    ]


def _latency(document: Mapping[str, Any]) -> list[str]:
    return [
        "## Latency",
        "",
        "Milliseconds from sending to the whole answer, connecting included where it was needed.",
        "",
        "| | answers | min | median | max |",
        "|---|---|---|---|---|",
        *(
            f"| {group} | {found['answers']} | {found['min']} | {found['median']} | {found['max']} |"
            for group, found in document["latency_ms"].items()
        ),
    ]


def _checks(document: Mapping[str, Any]) -> list[str]:
    return [
        "## Requests",
        "",
        "| check | request | status | ms | bytes | headers |",
        "|---|---|---|---|---|---|",
        *(
            f"| {each['name']} | {each['method']} {each['url']} | {each['status'] or 'none'} | "
            f"{'' if each['latency_ms'] is None else round(each['latency_ms'], 1)} | {each['bytes']} | "
            f"{_plain('; '.join(f'{name}: {value}' for name, value in each['headers'].items()))} |"
            for each in document["checks"]
        ),
    ]


def _times(document: Mapping[str, Any]) -> list[str]:
    ages = document["book_timestamp_age_s"]
    age = "A book's timestamp was {min} to {max} s old (median {median}) when the book arrived."
    return [
        "## Times",
        "",
        *([age.format(**ages), ""] if ages else []),
        "| endpoint | field | form |",
        "|---|---|---|",
        *(
            f"| {endpoint} | `{path}` | {'; '.join(field['time'])} |"
            for endpoint, fields in _by_endpoint(document)
            for path, field in fields.items()
            if field["time"]
        ),
    ]


def _fields(document: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Fields",
        "",
        "Of all answers of an endpoint: type, and how often it was there; `*`: a text that holds JSON.",
        "",
    ]
    for endpoint, fields in _by_endpoint(document):
        told = (
            f"`{path}` {'/'.join(field['types'])}{'*' if field['json'] else ''} {field['seen']}"
            for path, field in fields.items()
        )
        lines += [f"**{endpoint}**: {', '.join(told)}", ""]
    return lines


def _by_endpoint(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The fields of all answers of an endpoint, put together."""
    whole: dict[str, dict[str, Any]] = {}
    for check in document["checks"]:
        if check["fields"]:
            merge(whole.setdefault(check["endpoint"], {}), check["fields"])
    yield from whole.items()


def _plain(text: str) -> str:
    """Of a venue's text: one line that is no markup."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
