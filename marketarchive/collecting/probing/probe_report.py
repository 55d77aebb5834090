"""Report of a probe, written as `probes/<venue>_public_sources_probe_v1.json` and `.md`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from marketarchive.archive.files import Files
from marketarchive.collecting.probing.probe import ProbeSpider
from marketarchive.collecting.probing.probe_shape import merge, shape
from marketarchive.times import iso
from marketarchive.venues.probing import TOPICS, Capture, Probe, Result, Socket
from marketarchive.version import COLLECTOR

UNANSWERED = "none"
"""Key in the report's counts by status for requests without an answer."""
INTERESTING = ("date", "age", "etag", "server", "content-type", "content-encoding", "cache-control", "vary")
"""Response headers repeated in the report, beside those on rate limits and Cloudflare's."""


def report(spider: ProbeSpider, exit_code: int) -> dict[str, Any]:
    """Return the report of a finished probe as a JSON document.

    exit_code: of the probe's run. Needs `spider.findings`.
    """
    findings, run = spider.findings, spider.run
    assert findings is not None
    probe, results = findings.probe, findings.results
    found = {need.key: need.find(findings) for need in probe.needs}
    return {
        "kind": "probe",
        "schema": 1,
        "venue": spider.venue,
        "passed": exit_code == 0,
        "exit_code": exit_code,
        "missing": findings.missing,
        "needs_market": bool(probe.needs),
        "active_market": None,
        "live_book": None,
        **found,
        "found": found,
        "collector": COLLECTOR,
        "run": run.archive.name,
        "started_at_utc": run.archive.identity["started_at_utc"],
        "finished_at_utc": iso(max((each.exchange.received_at for each in results), default=0)),
        "simulated": run.clock.simulated,
        "answers": _answers(probe, results),
        "sockets": [_socket(each, findings.captures) for each in probe.sockets],
        "limits": {
            "source": probe.limits_source,
            **documented_limits(probe, results),
            "share_used_at_most": spider.settings.getfloat("LIMIT_SHARE"),
            "seen": _limits_seen(results),
        },
        "latency_ms": _latencies(results),
        "book_timestamp_age_s": _spread(probe.book_ages_s(findings)),
        "checks": [_check(result) for result in results],
        "not_asked": findings.not_requested,
        "raw": {
            "feed": f"raw/venue={spider.venue}/feed={spider.feed}",
            "manifest": f"manifests/{run.archive.name}.json",
        },
    }


def _answers(probe: Probe, results: Sequence[Result]) -> dict[str, Any]:
    """Return topic -> its question, what the venue's documents say, and the results of its checks.

    A topic is one thing that the probe finds out, such as the largest page of a route.
    """
    topics = dict.fromkeys((*probe.how, *(check.topic for check in probe.checks)))
    return {
        topic: {
            "question": probe.topics.get(topic) or TOPICS.get(topic, topic),
            "how": probe.how.get(topic, ""),
            "seen": [
                {"check": each.name, "passed": each.passed, "evidence": each.evidence}
                for each in results
                if each.topic == topic
            ],
        }
        for topic in topics
    }


def documented_limits(probe: Probe, results: Sequence[Result]) -> dict[str, Any]:
    """Return the request limits that the probe declares, else those of the endpoints that were requested."""
    requested = (each.exchange.query.endpoint.limit for each in results)
    limits = probe.limits or {limit.name: limit for limit in requested}
    return {
        "documented": [
            {"name": name, "amount": limit.amount, "window_s": limit.window_s, "unit": limit.unit}
            for name, limit in limits.items()
        ],
        "documented_per_10s": {name: _whole(limit.per_second * 10) for name, limit in limits.items()},
    }


def _whole(number: float) -> float:
    return int(number) if number.is_integer() else number


def write_report(root: Path, document: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write a report as JSON and as Markdown, atomically and durably; return both paths. Raises OSError.

    root: OUTPUT_DIR.
    """
    files, folder = Files(), root / "probes"
    files.make_dirs(folder, root)
    stem = f"{document['venue']}_public_sources_probe_v1"
    data, readable = folder / f"{stem}.json", folder / f"{stem}.md"
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    files.write_whole(data, text.encode("utf-8", "backslashreplace"))
    files.write_whole(readable, markdown(document).encode("utf-8", "backslashreplace"))
    return data, readable


def _check(check: Result) -> dict[str, Any]:
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


def _socket(socket: Socket, captures: Iterable[Capture]) -> dict[str, Any]:
    known: dict[str, Any] = {"url": socket.url, "what": socket.what}
    if socket.endpoint is None:
        return known | {"state": "not used by this version"}
    one = next((each for each in captures if each.listen.endpoint == socket.endpoint), None)
    if one is None:
        return known | {"state": "not asked"}
    if one.error is not None:
        return known | {"state": "no connection", "status": one.status, "error": one.error}
    return known | {
        "state": "heard",
        "opened_after_ms": one.latency_ms,
        "sent": list(one.listen.texts),
        "messages": len(one.messages),
        "bytes": one.size,
        "seconds": round(one.seconds, 3),
        "close_code": one.close_code,
        "close_reason": one.close_reason,
        "closed_by": "us" if one.is_closed_by_us else "the venue",
    }


def _is_http(check: Result) -> bool:
    """Return whether a check is an HTTP request of its own; checks of a socket share one connection."""
    return check.exchange.query.endpoint.url.startswith("http")


def _is_limit(header: str) -> bool:
    return header == "retry-after" or "ratelimit" in header.replace("-", "")


def _limits_seen(checks: Iterable[Result]) -> dict[str, Any]:
    headers: dict[str, list[str]] = {}
    statuses: Counter[str] = Counter()
    for check in checks:
        if _is_http(check):
            statuses[str(check.exchange.status or UNANSWERED)] += 1
        for name, value in check.exchange.headers.items():
            if _is_limit(name):
                headers.setdefault(name, []).append(f"{check.name}: {value}")
    return {"requests": statuses.total(), "statuses": dict(sorted(statuses.items())), "headers": headers}


def _latencies(checks: Iterable[Result]) -> dict[str, dict[str, float]]:
    """Return the response latencies in ms (count, min, median, max): of all, by host, and by endpoint."""
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
    """Return a report as the text of a Markdown page."""
    lines = [f"# {document['venue']}: public sources, probed", "", *_summary(document), ""]
    for answer in document["answers"].values():
        lines += [f"## {answer['question']}", "", answer["how"], ""]
        lines += [
            f"- {'pass' if seen['passed'] else '**FAIL**'} `{seen['check']}`: {_plain(seen['evidence'])}"
            for seen in answer["seen"]
        ] or ["- no check was made"]
        lines.append("")
    if document["sockets"]:
        lines += ["## Sockets", "", *(f"- {_plain(socket_text(each))}" for each in document["sockets"]), ""]
    for section in (_limits, _latency, _checks, _times, _fields):
        lines += [*section(document), ""]
    return "\n".join(lines)


def _summary(document: Mapping[str, Any]) -> Iterator[str]:
    where = "on the simulator" if document["simulated"] else "on the live venue"
    verdict = "**Passed**" if document["passed"] else f"**FAILED** (exit code {document['exit_code']})"
    run = f"{document['started_at_utc']}, run `{document['run']}`, {document['collector']}"
    yield f"{verdict} {where}, {run}."
    yield ""
    for key, evidence in document["found"].items():
        yield f"- {key.replace('_', ' ')}: {_plain(evidence or 'none was found')}"
    for each in document["checks"]:
        if not each["passed"]:
            yield f"- failed: `{each['name']}`: {_plain(each['evidence'])}"
    for why, names in by_reason(document["not_asked"]).items():
        yield f"- not checked: `{'`, `'.join(names)}`: {why}"
    raw = document["raw"]
    yield f"- the answers, byte for byte: `{raw['feed']}`, manifest `{raw['manifest']}`"


def by_reason(not_requested: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names of the checks that were not requested, by the reason why not.

    not_requested: name of a check -> reason.
    """
    found: dict[str, list[str]] = {}
    for name, why in not_requested.items():
        found.setdefault(why, []).append(name)
    return found


def socket_text(socket: Mapping[str, Any]) -> str:
    """Return a line of text about a socket's check: the messages received, or why there was no connection."""
    text = f"{socket['url']} ({socket['what']}): {socket['state']}"
    if "error" in socket:
        return f"{text}: {socket['error']}"
    if "messages" not in socket:
        return text
    ended = f"{socket['close_code']} {socket['close_reason']}".strip()
    return (
        f"{text}, opened after {socket['opened_after_ms']:.0f} ms, {socket['messages']} messages of "
        f"{socket['bytes']} bytes in {socket['seconds']:.1f} s, closed by {socket['closed_by']} with {ended}"
    )


def _limits(document: Mapping[str, Any]) -> list[str]:
    limits = document["limits"]
    seen, share = limits["seen"], limits["share_used_at_most"]
    said = [f"`{name}` ({'; '.join(map(_plain, values))})" for name, values in seen["headers"].items()]
    statuses = ", ".join(f"{count} x {status}" for status, count in seen["statuses"].items())
    headers = ", ".join(said) or "none"
    known = [
        f"Documented: {limits['source']}.",
        f"Seen in {seen['requests']} requests: {statuses}; headers on limits: {headers}.",
    ]
    rows = (
        (
            each["name"],
            f"{each['amount']:g} {each['unit']} in {each['window_s']:g} s",
            f"{each['amount'] * share:g}",
        )
        for each in limits["documented"]
    )
    return _section("Limits", known, ("class", "documented", "used at most"), rows)


def _latency(document: Mapping[str, Any]) -> list[str]:
    what = (
        "Milliseconds from sending a request to the last byte of its answer, including the connection where "
        "one was opened."
    )
    rows = ((group, *found.values()) for group, found in document["latency_ms"].items())
    return _section("Latency", [what], ("", "answers", "min", "median", "max"), rows)


def _checks(document: Mapping[str, Any]) -> list[str]:
    rows = (
        (
            each["name"],
            f"{each['method']} {each['url']}",
            each["status"] or "none",
            "" if each["latency_ms"] is None else round(each["latency_ms"], 1),
            each["bytes"],
            _plain("; ".join(f"{name}: {value}" for name, value in each["headers"].items())),
        )
        for each in document["checks"]
    )
    return _section("Requests", [], ("check", "request", "status", "ms", "bytes", "headers"), rows)


def _times(document: Mapping[str, Any]) -> list[str]:
    ages = document["book_timestamp_age_s"]
    age = "A book's timestamp was {min} to {max} s old (median {median}) when the book arrived."
    rows = (
        (endpoint, f"`{path}`", "; ".join(field["time"]))
        for endpoint, fields in _by_endpoint(document)
        for path, field in fields.items()
        if field["time"]
    )
    return _section("Times", [age.format(**ages)] if ages else [], ("endpoint", "field", "form"), rows)


def _fields(document: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Fields",
        "",
        "Fields of all answers of an endpoint, with type and count; `*`: text that contains JSON.",
        "",
    ]
    for endpoint, fields in _by_endpoint(document):
        each = (
            f"`{path}` {'/'.join(field['types'])}{'*' if field['json'] else ''} {field['seen']}"
            for path, field in fields.items()
        )
        lines += [f"**{endpoint}**: {', '.join(each)}", ""]
    return lines


def _by_endpoint(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (endpoint, fields), the fields merged from all answers of the endpoint."""
    whole: dict[str, dict[str, Any]] = {}
    for check in document["checks"]:
        if check["fields"]:
            merge(whole.setdefault(check["endpoint"], {}), check["fields"])
    yield from whole.items()


def _section(
    title: str, text: Sequence[str], columns: Sequence[str], rows: Iterable[Iterable[Any]]
) -> list[str]:
    head = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    body = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return [f"## {title}", "", *text, *([""] if text else []), *head, *body]


def _plain(text: str) -> str:
    """Return a venue's text as one line without Markdown's special characters."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
