"""Answers depend on seed, request and second: nothing else, in any process, in any order."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

from marketarchive.simulator.messages import Asked
from marketarchive.simulator.polymarket import Polymarket
from tests.simulator.asking import CLOB, DATA, GAMMA, NOW, closed_rounds, live_tokens

_OTHER = "from tests.simulator.test_purity import digest; print(digest(1, backwards=True))"


def requests() -> list[Asked]:
    tokens = json.dumps([{"token_id": token} for token in live_tokens(20)]).encode()
    conditions = ",".join(market.condition_id for market in closed_rounds(5))
    return [
        Asked("GET", GAMMA, "/markets/keyset", (("closed", "false"), ("limit", "30"))),
        Asked("GET", GAMMA, "/events/keyset", (("closed", "true"), ("limit", "30"), ("ascending", "false"))),
        Asked("GET", GAMMA, "/series"),
        Asked("POST", CLOB, "/books", (), tokens),
        Asked("GET", CLOB, "/simplified-markets"),
        Asked("GET", DATA, "/v2/resolutions", (("condition", conditions),)),
        Asked("GET", DATA, "/v2/trades", (("condition", conditions), ("limit", "50"))),
    ]


def digest(seed: int, *, backwards: bool = False) -> str:
    venue = Polymarket(seed)
    asked = requests()
    order = reversed(list(enumerate(asked))) if backwards else enumerate(asked)
    bodies = {number: venue.answer(each, NOW).body for number, each in order}
    return hashlib.sha256(b"".join(bodies[number] for number in range(len(asked)))).hexdigest()


def test_another_process_asking_in_another_order_gets_the_same_bytes() -> None:
    other = subprocess.run([sys.executable, "-c", _OTHER], capture_output=True, text=True, timeout=60)
    assert other.returncode == 0, other.stderr
    assert other.stdout.strip() == digest(1)


def test_another_seed_is_another_world() -> None:
    assert digest(1) != digest(2)
