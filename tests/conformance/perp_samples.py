"""Recorded answers of venues of perpetuals as their parse functions get them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from marketarchive.times import from_iso
from marketarchive.venues import venues
from marketarchive.venues.endpoint import Endpoint, Query
from marketarchive.venues.messages import Parsed, Received
from tests.venues.perp_rows import singly

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "perps"
NOW = from_iso("2026-11-21T12:00:00Z")
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the recordings are not at {SAMPLES}")


def sample(venue: str, name: str) -> bytes:
    return (SAMPLES / venue / f"{name}.json").read_bytes()


def parsed(venue: str, endpoint: Endpoint, payload: bytes, **params: str) -> Parsed:
    """What an answer says; none of its rows is bad."""
    return answered(venue, Query(endpoint, params), payload)


def answered(venue: str, query: Query, payload: bytes) -> Parsed:
    """The same of a request with a path or a body."""
    found = singly(venues()[venue].parse(Received.answer(venue, "perps", query, 200, payload, NOW, 1)))
    assert found.errors == []
    return found


def row(found: Any, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(found, name) for name in names)
