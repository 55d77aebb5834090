"""A message nested deeper than a JSON decoder goes is refused like any other that cannot be read."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.venues import venues
from marketarchive.venues.answers import Answered
from marketarchive.venues.endpoint import Endpoint, Limit, Query
from marketarchive.venues.messages import Received

DEPTH = 20_000
LIST = b"[" * DEPTH + b"]" * DEPTH
BODIES = (LIST, b'{"a":' * DEPTH + b"1" + b"}" * DEPTH, b'{"a":%b}' % LIST, b'[{"a":%b}]' % LIST)


def _endpoints(venue: str) -> Iterable[Endpoint]:
    yield Endpoint("elsewhere", "https://elsewhere.test/", Limit("elsewhere/all", 1))
    with suppress(ModuleNotFoundError):
        declared = vars(import_module(f"marketarchive.venues.{venue}.endpoints"))
        yield from {each.url: each for each in declared.values() if isinstance(each, Endpoint)}.values()


@pytest.mark.parametrize("name", venues())
def test_a_deep_message_is_refused(name: str) -> None:
    venue = venues()[name]
    for body in BODIES:
        for endpoint in _endpoints(name):
            url = endpoint.url
            for status in (200, 400):
                venue.judge(Answered(Query(endpoint), status, {}, body, 10**18))
            for feed, declared in venue.feeds.items():
                answer = Received(name, feed, url, {}, None, 200, body, 10**18, 1)
                frame = Received(name, feed, url, {}, None, 0, body, 10**18, 1, "c1")
                for message in (answer, frame):
                    with suppress(ParseError):
                        venue.parse(message)
                    with suppress(ParseError):
                        list(declared.rows().rows(message) if declared.rows is not None else ())
