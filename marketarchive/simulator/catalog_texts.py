"""Texts of the simulated catalogue: titles, questions, labels and rules. No two questions are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from marketarchive.times import SECOND, utc

Kind = Literal["single", "match", "one_of", "ladder"]
"""Kind of event. single: one market; match: two named sides; one_of: exactly one of its markets pays;
ladder: each market includes the next."""

_SYLLABLES = ("ba", "de", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we", "xi", "yo", "za", "gre")
_NAMES = ("Adams", "Baker", "Clark", "Davis", "Evans", "Foster", "Green", "Harris")


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of an event and its markets as first listed."""

    kind: Kind
    category: str
    series: str
    event_title: str
    labels: tuple[str, ...]  # for each market: what its first outcome stands for
    sides: tuple[str, str]  # names of a market's two outcomes
    questions: tuple[str, ...]
    rules: tuple[str, ...]
    steps: tuple[int, ...] = ()  # numbers that the markets of a ladder are about


def texts_of(slot: int, size: int, end: int, draw: int, *, has_matches: bool) -> Texts:
    """Return the texts of an event and its markets.

    slot: number of the sequence that the event belongs to; size: number of its markets; end: scheduled end,
    Unix seconds; draw: random number that selects the texts; has_matches: True = events with two named sides
    are possible.
    """
    place, at = place_of(slot), utc(end * SECOND)
    day = f"{at:%B} {at.day}, {at.year}"
    if size == 1:
        return _match(place, day) if draw % 4 == 0 and has_matches else _single(place, day, draw)
    return _ladder(place, day, size, draw) if draw % 3 == 0 else _one_of(place, day, size, draw)


def place_of(slot: int) -> str:
    """Return the name of the town that the events of a slot are about; no two slots share one."""
    digits = [slot >> shift & 15 for shift in (12, 8, 4, 0)]
    return "".join(_SYLLABLES[digit] for digit in digits).capitalize()


def _single(place: str, day: str, draw: int) -> Texts:
    category, series, what = (
        ("Economy", "KXRATECUT", "the central bank of {place} cut rates by {day}"),
        ("Tech", "KXLAUNCH", "{place} Labs release its next model by {day}"),
        ("Geopolitics", "KXTREATY", "the treaty of {place} be signed by {day}"),
        ("Weather", "KXSNOW", "it snow in {place} by {day}"),
    )[draw % 4]
    question = f"Will {what.format(place=place, day=day)}?"
    rules = f"If {what.format(place=place, day=day)}, then the market resolves to Yes."
    if draw >> 8 & 7 == 0:
        rules = f"{question} Resolves by what responsible sources agree on.\n\nCriteria: N/A"
    return Texts("single", category, series, question, (place,), ("Yes", "No"), (question,), (rules,))


def _match(place: str, day: str) -> Texts:
    sides = (f"{place} Hawks", f"{place} Bears")
    question = f"{sides[0]} vs. {sides[1]} on {day}"
    rules = f"Resolves to the winner of the game scheduled for {day}; 50-50 if it is abandoned."
    return Texts("match", "Sports", "KXGAME", question, (sides[0],), sides, (question,), (rules,))


def _one_of(place: str, day: str, size: int, draw: int) -> Texts:
    category, series, title, what = (
        (
            "Politics",
            "KXMAYOR",
            "Who will be elected mayor of {place}?",
            "{name} be elected mayor of {place}",
        ),
        ("Culture", "KXAWARD", "Which film wins at {place}?", "{name} win the {place} festival"),
    )[draw % 2]
    labels = (*_NAMES[: size - 1], "Other")  # the last label stands for everything that has no name
    said = [f"{what.format(name=name, place=place)} by {day}" for name in labels]
    return Texts(
        "one_of",
        category,
        series,
        f"{title.format(place=place).removesuffix('?')} by {day}?",
        labels,
        ("Yes", "No"),
        tuple(f"Will {each}?" for each in said),
        tuple(f"If {each}, then the market resolves to Yes." for each in said),
    )


def _ladder(place: str, day: str, size: int, draw: int) -> Texts:
    steps = tuple(60 + draw % 7 + 5 * member for member in range(size))
    labels = tuple(f"{step}° or above" for step in steps)
    return Texts(
        "ladder",
        "Weather",
        "KXHIGHTEMP",
        f"Highest temperature in {place} on {day}?",
        labels,
        ("Yes", "No"),
        tuple(f"Will it reach {step}° in {place} on {day}?" for step in steps),
        tuple(
            f"If the temperature in {place} on {day} is at least {step}°, resolves to Yes." for step in steps
        ),
        steps,
    )
