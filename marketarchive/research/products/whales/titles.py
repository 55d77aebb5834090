"""Comparison of market titles: their words normalised, and whether two titles are the same question."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_WORD = re.compile(r"(?:(?<!\w)-)?\d[\d,]*(?:\.\d+)?|[^\W\d_]+")
_FILLING = frozenset(("a", "an", "be", "is", "the", "will"))
"""Words in which two titles of the same question may differ."""
_TURNING = frozenset(("never", "no", "not", "without"))
"""Words that negate a question."""
_MISSPELT_FROM = 5
"""Least number of letters of a word that may be misspelt: shorter ones, as Iran and Iraq, are other words."""


def words(title: str) -> tuple[str, ...]:
    """Return the words and numbers of a title, sorted, without case, accents, punctuation and commas."""
    plain = unicodedata.normalize("NFKD", title.replace("\N{MINUS SIGN}", "-"))
    letters = "".join(sign for sign in plain if not unicodedata.combining(sign)).casefold()
    return tuple(sorted(found.replace(",", "") for found in _WORD.findall(letters)))


def key(title: str | None) -> str:
    """Return the words of a title as one text; titles with equal keys are the same question."""
    return " ".join(words(title)) if title else ""


def numbers(found: tuple[str, ...]) -> frozenset[str]:
    """Return the numbers among the words `found`."""
    return frozenset(word for word in found if word[-1].isdigit())


def misspellings(one: str, other: str) -> int | None:
    """Return the number of misspelt words if two keys are the same question; None if they are not.

    One key may have more words than the other, but no negation. A word may be replaced only by the same word
    with one letter misspelt, and no number by another, since sibling markets differ in a word or number ("65
    or above" and "70 or above", "Adams" and "Baker").
    """
    left, right = Counter(one.split()), Counter(other.split())
    more, less = left - right, right - left
    count = 0
    for word in list(more):
        if (found := next((each for each in less if _is_misspelt(word, each)), None)) is not None:
            both = min(more[word], less[found])
            more -= Counter({word: both})
            less -= Counter({found: both})
            count += both
    if _TURNING & (more.keys() | less.keys()):
        return None
    return None if more.keys() - _FILLING and less.keys() - _FILLING else count


def _is_misspelt(word: str, other: str) -> bool:
    """Return whether two long words are one letter apart: replaced, added, removed, or two swapped."""
    from rapidfuzz.distance import OSA

    if min(len(word), len(other)) < _MISSPELT_FROM or word[-1].isdigit() or other[-1].isdigit():
        return False
    return int(OSA.distance(word, other, score_cutoff=1)) <= 1
