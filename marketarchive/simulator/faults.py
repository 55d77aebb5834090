"""Injected faults: which requests they hit, and what they do to the answers.

A file or `POST /_faults` holds a JSON list of objects:

{"kind": "status", "route": "api.example.com/book*", "status": 429, "retry_after": 3, "count": 5}

`route` is a shell pattern that HOST/PATH must match ("*" by default), `query` one that the query must match
as sent ("*symbol=BTC*"). The first `after` matching requests are spared, then every `every`-th is hit, at
most `count` times. `from_s` and `to_s` limit a fault to a time in simulated seconds since the simulator's
start. `kinds()` lists every kind with its options.

The kinds `ws_*` are for sockets: `route` is that of the connection, and frames are counted instead of
requests: those due on all matching connections together that the kind can hit (answers to PING never are).
The time of a frame is the one at which it is due:

- ws_stall: nothing but answers to PING from the frame hit on, for `seconds`, until `to_s`, or for ever
- ws_half_open: nothing is sent, read or answered any more; the TCP connection stays
- ws_close: a close with `code` and `reason` instead of the frame; code 1006 cuts the connection
- ws_mute: the frame is left out; counts those of one `market` (a slug, or an RTDS symbol), or of the
  `index`-th that the connection subscribed to (0 by default), while the others flow
- ws_no_snapshot: the first books, or the backfill, are left out
- ws_topic_gone: the frame is left out, updates and backfill; counts those of one RTDS `topic`
- ws_drop, ws_duplicate, ws_truncate: the frame is lost, sent twice, cut within its text
- ws_reorder: the frame is sent after the one that follows it
- ws_late: the frame is sent `seconds` later, those that follow it are not held up
- ws_dated_ahead: the frame's dates are moved `seconds` ahead, its hashes are right for them
- ws_wrong_hash: the first hash of a price_change becomes zeros
- ws_unknown_event: an event of an unknown type is sent before the frame

`event` narrows the last ones and ws_close to one type ("price_change", "book", "update", ...). To refuse the
upgrade inject `status` (or checkpoint, html, hang, drop, latency) for the socket's route. Two more kinds
count upgrades, and hit the connection that is opened:

- ws_accept_silent: nothing but answers to PING, for `seconds` from its opening or as long as it is open
- ws_accept_close: a close with `code` and `reason` at once

A simulated venue declares kinds of its own as `FAULTS` in its module `faults`, and carries them out itself;
kinds named `page_*` hit its pages.
"""

from __future__ import annotations

import fnmatch
import json
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from marketarchive import simulator
from marketarchive.exceptions import ConfigurationError

_SCOPE = {"route", "query", "method", "after", "count", "every", "from_s", "to_s"}
_TEXTS = ("route", "query", "method")


@dataclass(frozen=True)
class Kind:
    """A kind of fault: its options with their types, and what it can hit.

    Options without a default in `defaults` are required. `route` is a pattern of the only requests that the
    kind can hit. `text` is sent before each frame that is hit, for kinds that a venue declares.
    """

    options: Mapping[str, type]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    route: str = "*"
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # option -> permitted values
    text: bytes = b""


KINDS: dict[str, Kind] = {
    # faults that replace the answer
    "status": Kind({"status": int, "retry_after": int, "body": str}, {"retry_after": None, "body": None}),
    "checkpoint": Kind({}),
    "html": Kind({}),
    "big": Kind({"bytes": int}, {"bytes": 50 * 2**20}),
    # faults on the way (their seconds are wall-clock seconds, as a client's timeouts are)
    "latency": Kind({"seconds": float}),
    "hang": Kind({}),
    "drop": Kind({"at": str}, {"at": "body"}, choices={"at": ("start", "body")}),
    "truncate": Kind({"how": str}, {"how": "length"}, choices={"how": ("length", "json")}),
    "bad_gzip": Kind({}),
    # faults in the answer
    "nan": Kind({}),
    "negative": Kind({}),
    "crossed": Kind({}),
    "missing": Kind({"field": str}, {"field": None}),
    "duplicate": Kind({}),
    "wrong_hash": Kind({}),
    "empty_page": Kind({}),
    "cursor_loop": Kind({}),
    # faults of the venue's clock: Date header, timestamps, everything
    "clock_step": Kind({"seconds": float}),
    # faults on sockets
    "ws_stall": Kind({"seconds": float}, {"seconds": None}),
    "ws_half_open": Kind({}),
    "ws_close": Kind(
        {"code": int, "reason": str, "event": str},
        {"code": 1013, "reason": "slow consumer: send buffer full", "event": None},
    ),
    "ws_mute": Kind({"market": str, "index": int}, {"market": None, "index": 0}),
    "ws_no_snapshot": Kind({}),
    "ws_topic_gone": Kind({"topic": str}),
    "ws_drop": Kind({"event": str}, {"event": None}),
    "ws_duplicate": Kind({"event": str}, {"event": None}),
    "ws_truncate": Kind({"event": str}, {"event": None}),
    "ws_reorder": Kind({"event": str}, {"event": None}),
    "ws_late": Kind({"seconds": float, "event": str}, {"event": None}),
    "ws_dated_ahead": Kind({"seconds": float, "event": str}, {"event": None}),
    "ws_wrong_hash": Kind({}),
    "ws_unknown_event": Kind({"event": str}, {"event": None}),
    "ws_accept_silent": Kind({"seconds": float}, {"seconds": None}),
    "ws_accept_close": Kind(
        {"code": int, "reason": str}, {"code": 1013, "reason": "slow consumer: send buffer full"}
    ),
}
ON_ACCEPT = frozenset({"latency", "ws_accept_silent", "ws_accept_close"})
"""Kinds that hit the request that opens a socket without preventing it."""
ON_UPGRADE = ON_ACCEPT | {"status", "checkpoint", "html", "hang", "drop"}
"""All kinds that hit the request that opens a socket."""


@cache
def kinds() -> Mapping[str, Kind]:
    """Return name -> kind of fault, for all venues together.

    Included are the kinds that simulated venues declare in their module `faults`.
    """
    found = dict(KINDS)
    for module in pkgutil.iter_modules(simulator.__path__):
        name = f"{simulator.__name__}.{module.name}.faults"
        if module.ispkg and find_spec(name) is not None:
            found |= import_module(name).FAULTS
    return found


@dataclass
class Fault:
    """An injected fault, with the number of matching requests (`seen`) and of hits so far."""

    kind: str
    route: str = "*"
    method: str | None = None
    after: int = 0
    count: int | None = None
    every: int = 1
    from_s: float | None = None
    to_s: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    query: str = "*"
    seen: int = 0
    hits: int = 0
    since_ns: int | None = None  # simulated ns of the first hit, for kinds whose effect depends on it

    @property
    def is_for_sockets(self) -> bool:
        return self.kind.startswith("ws_")

    @property
    def is_of_venue(self) -> bool:
        """Return whether the fault is declared and carried out by a simulated venue."""
        return self.kind not in KINDS

    def is_due(self, method: str, route: str, elapsed_s: float, query: str = "") -> bool:
        """Return whether the fault hits this request; a matching request is counted.

        route: HOST/PATH; elapsed_s: simulated seconds since the start; query: as sent.
        """
        # time is compared first, being the cheapest: long runs inject hundreds of faults
        return self.is_on(elapsed_s) and self.fits(method, route, query) and self.strikes()

    def is_on(self, elapsed_s: float) -> bool:
        """Return whether the fault is active. elapsed_s: simulated seconds since the start."""
        return elapsed_s >= (self.from_s or 0) and (self.to_s is None or elapsed_s < self.to_s)

    def fits(self, method: str, route: str, query: str = "") -> bool:
        """Return whether the fault matches a request, or the frames of a socket that the request opened.

        route: HOST/PATH; query: as sent.
        """
        return (
            self.method in (None, method)
            and fnmatch.fnmatchcase(route, self.route)
            and fnmatch.fnmatchcase(route, kinds()[self.kind].route)
            and fnmatch.fnmatchcase(query, self.query)
        )

    def strikes(self) -> bool:
        """Count a matching request or frame, and return whether the fault hits it."""
        self.seen += 1
        if self.seen <= self.after or (self.seen - self.after - 1) % self.every:
            return False
        if self.count is not None and self.hits >= self.count:
            return False
        self.hits += 1
        return True

    def reported(self, now_ns: int) -> dict[str, Any]:
        """Return the fault's options, and with `since_ns` the time of its first hit (simulated ns).

        The first call records `now_ns` as that time.
        """
        self.since_ns = now_ns if self.since_ns is None else self.since_ns
        return {**self.options, "since_ns": self.since_ns}


def read_faults(text: str | bytes, where: str) -> list[Fault]:
    """Return the faults in a JSON list.

    where: name of the source, for errors. Raises ConfigurationError, which names what is wrong.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where} is not JSON: {error}") from error
    if not isinstance(document, list):
        raise ConfigurationError(f"{where} does not hold a list of faults")
    return [_read(each, f"{where}, fault {number}") for number, each in enumerate(document, 1)]


def load_faults(path: Path) -> list[Fault]:
    try:
        return read_faults(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigurationError(f"--faults {path} cannot be read: {error.strerror}") from error


def _read(given: Any, where: str) -> Fault:
    if not isinstance(given, dict):
        raise ConfigurationError(f"{where} is not an object")
    kind = kinds().get(str(given.get("kind", "")))
    if kind is None:
        raise ConfigurationError(
            f"{where}: kind {given.get('kind')!r} is unknown; kinds: {', '.join(sorted(kinds()))}"
        )
    unknown = set(given) - {"kind"} - _SCOPE - set(kind.options)
    if unknown:
        known = ", ".join(sorted(_SCOPE | set(kind.options)))
        raise ConfigurationError(f"{where}: unknown key {min(unknown)!r}; {given['kind']} takes: {known}")
    missing = set(kind.options) - set(kind.defaults) - set(given)
    if missing:
        raise ConfigurationError(f"{where}: {given['kind']} needs {min(missing)!r}")
    scope = {name: given[name] for name in _SCOPE if name in given}
    for name, value in scope.items():
        _check(name, value, where)
    options = {name: given.get(name, kind.defaults.get(name)) for name in kind.options}
    for name, expected in kind.options.items():
        value = options[name]
        if name in given and not isinstance(value, (int, float) if expected is float else expected):
            raise ConfigurationError(f"{where}: {name}={value!r} is not of type {expected.__name__}")
        choices = kind.choices.get(name)
        if choices is not None and value not in choices:
            raise ConfigurationError(f"{where}: {name}={value!r} is none of {', '.join(choices)}")
    return Fault(kind=given["kind"], options=options, **scope)


def _check(name: str, value: Any, where: str) -> None:
    if name in _TEXTS:
        good = isinstance(value, str)
    elif name in ("from_s", "to_s"):
        good = isinstance(value, int | float) and value >= 0
    else:
        good = isinstance(value, int) and value >= (1 if name == "every" else 0)
    if not good or isinstance(value, bool):
        raise ConfigurationError(
            f"{where}: {name}={value!r} is not a {'text' if name in _TEXTS else 'number'}"
        )
