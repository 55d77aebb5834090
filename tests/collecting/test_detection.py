"""What documents say is noticed, for every kind of proof."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from marketarchive.collecting.streams.detection import detections, silence_s, table
from marketarchive.venues.channel import Channel, Proof
from tests.collecting.completeness.venue_model import ENDPOINT


def channel(proof: Proof) -> Channel:
    has_statements = proof in ("hash", "none")
    return Channel(ENDPOINT, proof, "key", 2, has_statements=has_statements, has_resync=proof == "sequence")


@pytest.mark.parametrize("proof", get_args(Proof))
def test_each_fault_has_one_line(proof: Proof) -> None:
    faults = [each.fault for each in detections(channel(proof))]
    assert len(set(faults)) == len(faults) > 12
    lines = table(channel(proof))
    assert len(lines) == len(faults) + 2
    assert {line.count("|") for line in lines} == {5}


def test_figures_are_those_of_the_channel() -> None:
    assert silence_s(channel("hash")) == 14
    assert silence_s(channel("sequence")) == silence_s(channel("cadence")) == 10
    slow = replace(channel("cadence"), patience_s=20.0)
    mute = next(each for each in detections(slow) if each.fault == "one key falls silent")
    assert mute.within == "20 s"
    assert "the last 21.5 s" in mute.unnoticed


def test_without_numbers_and_rest_nothing_tells_of_a_lost_message() -> None:
    [lost] = [
        each
        for each in detections(replace(channel("none"), has_statements=False))
        if each.fault == "a message is lost"
    ]
    assert "REST" not in lost.noticed_by
    assert lost.within == "the next message"
    assert "a book" in lost.unnoticed


@pytest.mark.parametrize("proof", ["hash", "none"])
def test_messages_of_others_prove_a_mute_key_for_a_while(proof: Proof) -> None:
    alone = replace(channel(proof), has_statements=False)
    mute = next(each for each in detections(alone) if each.fault == "one key falls silent")
    assert mute.within == "14 s"
    assert "14 s without proof of its own" in mute.noticed_by


def test_only_a_channel_that_renews_says_so() -> None:
    lines = "\n".join(table(replace(channel("hash"), renew_s=1800.0)))
    assert "renewed after 30 min" in lines
    assert "renewal" not in "\n".join(table(channel("hash")))
