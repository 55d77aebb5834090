"""A few dozen markets other than rounds, with the shapes that readers often fail on.

Among them are negative-risk groups, protocol v2 games with 31-byte condition ids, an old market with three
outcomes and one without named outcomes, old rows closed at 0/0, a split, and a closed market that still
accepts orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from marketarchive.simulator.noise import digest, unit
from marketarchive.simulator.polymarket.markets import Group, SimMarket

_LISTED = 1_752_258_956  # 2025-07-11
_END = 1_857_254_400  # 2028-11-07
_CLOSED = 1_773_962_415  # 2026-03-19

_POLITICS = (("2", "Politics"), ("144", "Elections"))
_SPORTS = (("1", "Sports"), ("100639", "Games"))
_TECH = (("1401", "Tech"),)

_CANDIDATES = ("Adams", "Baker", "Clark", "Davis", "Evans", "Foster", "Green", "Harris")
_GAMES = (
    ("Hawks", "Lions"),
    ("Sharks", "Bears"),
    ("Wolves", "Rams"),
    ("Kings", "Jets"),
    ("Suns", "Owls"),
    ("Reds", "Blues"),
)
_QUESTIONS = (
    "Will a new spaceport open by 2028?",
    "Will the lake freeze over this winter?",
    "Will a quantum computer factor a 64-bit number by 2028?",
    "Will the bridge be finished by 2028?",
    "Will the central bank cut rates twice by 2028?",
    "Will a treaty on deep-sea mining be signed by 2028?",
    "Will the record for the 100 m fall by 2028?",
    "Will the comet be visible to the naked eye?",
    "Will the old stadium be torn down by 2028?",
    "Will a woman win the 2028 chess candidates?",
    "Will the railway run on time for a month by 2028?",
    "Will the volcano erupt by 2028?",
)


def others(seed: int) -> list[SimMarket]:
    """Return all these markets of a seed, by rising number."""
    return [_make(seed, index, **given) for index, given in enumerate(_given())]


def _given() -> Iterator[dict[str, Any]]:
    for name in _CANDIDATES:
        yield {
            "question": f"Will {name} win the 2028 nomination?",
            "group": ("2028-nomination", "2028 Nomination", _POLITICS),
            "neg_risk": True,
        }
    for question in _QUESTIONS:
        yield {"question": question, "group": (None, question, _TECH)}
    for home, away in _GAMES:
        question = f"{home} vs. {away}"
        yield {
            "question": question,
            "group": (None, question, _SPORTS),
            "outcomes": (home, away),
            "version": "v2",
            "start": _END - 7200,
        }
    closed: dict[str, Any] = {"closed_at": _CLOSED}
    one = {"payouts": ("1", "0")}
    yield _single("Which party wins: red, blue or neither?", outcomes=("Red", "Blue", "Neither"))
    yield _single("A legacy market without named outcomes", **closed, outcomes=None)
    yield _single("Will it rain on election day 2020?", **closed, shown_prices=("0", "0"), version=None)
    yield _single(
        "How high will the tide be in 2020?", **closed, shown_prices=("0.58433", "0.41567"), version=None
    )
    yield _single("Will the abandoned match be replayed?", **closed, payouts=("0.5", "0.5"))
    yield _single("Ceasefire by the end of 2027?", **closed, **one, accepts_after_close=True)
    yield _single("Will the token launch above $1B?", **closed, payouts=("0", "1"))
    yield _single("Bulls vs. Bucks", **closed, **one, outcomes=("Bulls", "Bucks"), version="v2")


def _single(question: str, **given: Any) -> dict[str, Any]:
    return {"question": question, "group": (None, question, _POLITICS), **given}


def _slug(text: str) -> str:
    return "-".join("".join(each if each.isalnum() else " " for each in text.lower()).split())


def _make(seed: int, index: int, *, question: str, group: tuple[Any, str, Any], **given: Any) -> SimMarket:
    group_slug, title, tags = group
    version = given.get("version", "v1")
    raw = digest(32, seed, "other", index)
    return SimMarket(
        kind="other",
        number=500_000 + index,
        group=Group(
            number=30_829 if group_slug else 31_000 + index,
            slug=group_slug or _slug(title),
            title=title,
            tags=tags,
            neg_risk=given.get("neg_risk", False),
        ),
        slug=_slug(question),
        question=question,
        description=f"{question} Resolved by what responsible sources agree on.",
        condition_id=f"0x01{raw[:30].hex()}" if version == "v2" else f"0x{raw.hex()}",
        tokens=(
            str(int.from_bytes(digest(32, seed, "first", index))),
            str(int.from_bytes(digest(32, seed, "second", index))),
        ),
        listed_at=_LISTED + index,
        end=given.pop("end", _END),
        chance=0.08 + 0.84 * unit(seed, "chance", index),
        **given,
    )
