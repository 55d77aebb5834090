"""Leak report of training exports: answers that name somebody and stand in the text of another event.

In one public benchmark a quarter of the answers stood word for word in the title of another question.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

Row = Mapping[str, Any]
"""A row of the catalogue."""
STATED = ("title", "subtitle", "description", "group")
"""Columns of the catalogue with texts that the venue states."""
NAMED = 3
"""Number of leaks into another split that the report lists."""
_WORD = re.compile(r"[^\W_]+")
_NAMELESS = frozenset(
    _WORD.findall(
        """yes no up down over under above below between before after by from to at in on of or and the a an
        than more less least most greater fewer higher lower equal equals exactly about around within until
        through other others none neither either both all any each field tie draw even odd first second third
        january february march april may june july august september october november december jan feb mar apr
        jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday am pm est
        edt et utc day days week weeks month months year years hour hours minute minutes dollar dollars usd
        cent cents percent pct bp bps basis point points degree degrees f c k m b t thousand million billion
        trillion times cut cuts hike hikes change unchanged st nd rd th"""
    )
)
"""Words that identify nobody: an answer of only these and numbers is the answer to many questions."""


class Text(NamedTuple):
    """A text of an exported row or prompt, and the part of the row it stands in: `title`, `headline`, ..."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Leak:
    """An answer that stands in a text of another event.

    `of` is the index of the row with the answer, `place` that of the row with the text.
    """

    answer: str
    of: int
    place: int
    where: str
    is_across: bool  # the rows are of different splits


@dataclass(frozen=True)
class LeakReport:
    """All leaks, one per answer, row and kind of text; `answers` counts the answers that name somebody."""

    answers: int
    leaks: Sequence[Leak]

    def lines(self, rows: Sequence[Row]) -> list[str]:
        """Return sentences to print: the counts, and the first leaks into another split."""
        across = [each for each in self.leaks if each.is_across]
        kinds = Counter(where for _, where in {(each.of, each.where) for each in self.leaks})
        listed = ", ".join(f"{where} {count:,}" for where, count in sorted(kinds.items()))
        leaking, over = (len({each.of for each in found}) for found in (self.leaks, across))
        found = [
            f"of {self.answers:,} answers with a name {leaking:,} stand in a text of another event"
            + (f" ({listed}), {over:,} in another split's" if listed else "")
        ]
        for each in across[:NAMED]:
            source, target = rows[each.of], rows[each.place]
            found.append(
                f"{each.answer!r}, the answer of {source['platform']} {source['market_id']}, stands in the "
                f"{each.where} of {target['platform']} {target['market_id']}"
            )
        return found


def leak_report(
    rows: Sequence[Row], texts: Iterable[Iterable[Text]], chosen: Sequence[str | None]
) -> LeakReport:
    """Return the report of answers that stand in texts of other events.

    texts: for each row all texts that its export contains, at any cut; chosen: the split of each row, None:
    in no split. The answer of a row is the winner's label; of a market with labels Yes and No that resolved
    YES, it is the `subtitle`, which says what a yes means. Markets of one event name each other and share a
    split: this is no leak.
    """
    answers: dict[str, list[tuple[tuple[str, ...], int]]] = defaultdict(list)
    named: dict[int, str] = {}
    for place, row in enumerate(rows):
        answer = _answer(row)
        if answer is not None:
            named[place] = answer
            answers[words(answer)[0]].append((words(answer), place))
    found: dict[tuple[int, int, str], Leak] = {}
    for place, (row, own) in enumerate(zip(rows, texts, strict=True)):
        for where, text in own:
            said = words(text)
            for at, word in enumerate(said):
                for wanted, of in answers.get(word, ()):
                    if said[at : at + len(wanted)] == wanted and _event(rows[of]) != _event(row):
                        is_across = None not in (chosen[of], chosen[place]) and chosen[of] != chosen[place]
                        found[of, place, where] = Leak(named[of], of, place, where, is_across)
    return LeakReport(len(named), list(found.values()))


def stated_texts(row: Row, names: Iterable[str] = STATED) -> list[Text]:
    """Return the texts in columns `names` of a row, and the outcomes that its whale alerts name."""
    alerts = row.get("whale_alerts") or ()
    named = [Text("whale alert", each["outcome"]) for each in alerts if each["outcome"]]
    return [Text(name, row[name]) for name in names if row[name]] + named


@lru_cache(maxsize=10_000)  # rules are the same of many markets
def words(text: str) -> tuple[str, ...]:
    """Return the words of a text in order, without case, accents and punctuation."""
    letters = (sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return tuple(_WORD.findall("".join(letters).casefold()))


def _answer(row: Row) -> str | None:
    """Return the answer of a row; None if there is none, or it names nobody."""
    label, subtitle = row["resolution_label"], row["subtitle"]
    is_plain = label is None or label.casefold() in ("yes", "no")
    answer: str | None = (subtitle if row["resolution"] == "YES" else None) if is_plain else label
    if answer is None or all(word in _NAMELESS or not word.isalpha() for word in words(answer)):
        return None
    return answer


def _event(row: Row) -> tuple[str, str]:
    return row["platform"], row["group"]
