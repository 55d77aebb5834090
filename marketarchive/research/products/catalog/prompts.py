"""Prompts of resolved markets: a question, the information before a cut, and the answer.

All that a prompt shows of its market, except the answer, was received strictly before the cut.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.field_docs import FieldDoc
from marketarchive.research.exports.table import ArrowRows, ExportRequest
from marketarchive.research.products.catalog.price_points import Cut, PricePoints
from marketarchive.research.products.catalog.resolved import ResolvedMarket, microseconds, resolved_markets
from marketarchive.research.products.catalog.training import headline_list
from marketarchive.times import MICROSECOND, from_iso, utc

if TYPE_CHECKING:
    import pyarrow as pa

WHAT = "one row per prompt of a resolved market"
AT_THE_END = (0,)
"""Default of the spans (ns) before a market's end at which prompts are cut."""
_ALERT = ("at", "known_at", "side", "action", "outcome", "value", "price", "win_rate")
_YES_NO = frozenset(("yes", "no"))
_UNSTATED = "not stated before the cut"
FIELDS: Mapping[str, FieldDoc] = {
    "question": FieldDoc(
        "`Will <title> resolve YES?`; of markets with other labels the first label stands in place of YES",
        type="text",
    ),
    "context": FieldDoc(
        "`price_history` (`at`, `price`), `whale_alerts` (null where nobody watched), `news` (`at`, "
        "`headline`, `source`, `url`), each received before the cut",
        "UTC, dollars per share of YES",
        type="object of lists",
    ),
    "answer": FieldDoc("YES or NO", type="text"),
    "cut": FieldDoc("everything but the answer was received strictly before it", "UTC", type="time"),
    "labels": FieldDoc("the labels that `YES` and `NO` stand for", type="object of text"),
    "platform": FieldDoc("the venue", type="text"),
    "market_id": FieldDoc("the market", "the venue's own id", type="text"),
    "event_id": FieldDoc("its event; for splits", "", "not stated", type="text"),
    "group": FieldDoc("markets whose outcomes depend on one another; for splits", type="text"),
    "asset": FieldDoc("the asset that it is about", "`BTC`", "not stated", type="text"),
    "title": FieldDoc("as stated last before the cut; a later revision is in none", type="text"),
    "description": FieldDoc("rules as stated last before the cut", "", _UNSTATED, type="text"),
    "description_sha256": FieldDoc(
        "SHA-256 of `description` in UTF-8", "64 hex digits", "`description` is null", type="text"
    ),
    "end_at": FieldDoc("the end that was scheduled before the cut", "UTC", _UNSTATED, type="time"),
    "split": FieldDoc("`train`, `validation`, `test`", "", "without `--split`; at a border", type="text"),
}
"""Fields of a prompt in their order; docs/TRAINING.md lists them."""


def prompt_rows(request: ExportRequest) -> ArrowRows:
    """Return a row per prompt of the requested markets.

    Raises ArgumentError, ConfigurationError, MasterError.
    """
    remarks: list[str] = []
    return ArrowRows(WHAT, _tables(request, remarks), request, remarks)


def _tables(request: ExportRequest, remarks: list[str]) -> Iterator[pa.Table]:
    spans = sorted(request.options.get("cuts", AT_THE_END), reverse=True)
    has_prices = not request.options.get("no_prices")
    yield _table(())
    without = 0
    for some in resolved_markets(request, remarks, with_revisions=True):
        found = [(market, questions(market, spans)) for market in some.markets]
        without += sum(not each for _, each in found)
        yield _table(_prompts(found, some.points if has_prices else None))
    if without:
        remarks.append(
            f"no prompt of {without:,} markets: neither YES nor NO, first seen with their result, or unknown "
            "at every cut"
        )


@dataclass(frozen=True, slots=True)
class Question:
    """Question about a market as known at a cut (microseconds UTC), and its answer: YES or NO."""

    cut: int
    title: str
    labels: Mapping[str, str]  # YES and NO -> the market's label for it
    answer: str


def questions(market: ResolvedMarket, spans: Iterable[int]) -> list[Question]:
    """Return the questions of a market, one per span at which its title and two outcomes were known.

    spans: ns before the market's first end at which a question is cut. The first end of a reopened market is
    that of its first result, which was public from then on.
    """
    row = market.row
    if row["resolution"] is None or not row["is_observed"]:
        return []
    end = min(market.ended_at, market.history.first_end or market.ended_at)
    first_seen = microseconds(row["first_seen_at"])
    found = []
    for span in spans:
        cut = end - span // MICROSECOND
        title = market.history.stated("title", cut)
        labels = _labels(market, cut)
        if first_seen is None or first_seen >= cut or title is None or labels is None:
            continue
        answer = _answer(row["resolution_label"], labels)
        if answer is not None:
            found.append(Question(cut, title, labels, answer))
    return found


def _prompts(
    given: Iterable[tuple[ResolvedMarket, Sequence[Question]]], points: PricePoints | None
) -> Iterator[dict[str, Any]]:
    """Yield a prompt as a row per question; points: None leaves the price histories empty."""
    pairs = [(market, question) for market, found in given for question in found]
    cuts = [Cut(market.row["platform"], market.row["market_id"], each.cut) for market, each in pairs]
    histories = ["[]"] * len(cuts) if points is None else [each.history for each in points.before(cuts)]
    for (market, question), history in zip(pairs, histories, strict=True):
        yield _prompt(market, question, msgspec.json.decode(history))


def _prompt(
    market: ResolvedMarket, question: Question, prices: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    row, history, cut = market.row, market.history, question.cut
    rules, end_at = history.stated("description", cut), history.stated("end_at", cut)
    label = "YES" if _is_plain(question.labels) else question.labels["YES"]
    return {
        "question": f"Will {question.title} resolve {label}?",
        "context": {
            "price_history": prices,
            "whale_alerts": _alerts(row["whale_alerts"], cut),
            "news": headline_list(each for each in market.headlines if each.at < cut),
        },
        "answer": question.answer,
        "cut": utc(cut * MICROSECOND),
        "labels": question.labels,
        "title": question.title,
        "description": rules,
        "description_sha256": None if rules is None else hashlib.sha256(rules.encode()).hexdigest(),
        "end_at": None if end_at is None else utc(from_iso(end_at)),
        **{name: row[name] for name in ("platform", "market_id", "event_id", "group", "asset")},
        "split": row.get("split"),
    }


def _alerts(alerts: Iterable[Mapping[str, Any]] | None, cut: int) -> list[dict[str, Any]] | None:
    """Return the whale alerts written before a cut (us); None if no alerts were collected."""
    if alerts is None:
        return None
    known = (each for each in alerts if from_iso(each["known_at"]) < cut * MICROSECOND)
    return [{name: each[name] for name in _ALERT} for each in known]


def _labels(market: ResolvedMarket, cut: int) -> dict[str, str] | None:
    """Return YES and NO -> label as stated before a cut (us); None unless the market has two outcomes."""
    stated = market.history.stated("outcomes", cut)
    found = ["Yes", "No"] if stated is None else json.loads(stated)
    if len(found) != 2:
        return None
    if {each.casefold() for each in found} == _YES_NO and found[0].casefold() == "no":
        found.reverse()
    return {"YES": found[0], "NO": found[1]}


def _is_plain(labels: Mapping[str, str]) -> bool:
    return {each.casefold() for each in labels.values()} == _YES_NO


def _answer(label: str | None, labels: Mapping[str, str]) -> str | None:
    """Return YES or NO for the winner's label; None if it is neither of `labels`."""
    if label is None:
        return None
    same = str.casefold if _is_plain(labels) else str
    return next((answer for answer, each in labels.items() if same(each) == same(label)), None)


def _table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    import pyarrow as pa

    text, number, time = pa.string(), pa.float64(), pa.timestamp("us", tz="UTC")
    price = pa.struct([("at", text), ("price", number)])
    alert = pa.struct([(name, number if name in ("value", "price", "win_rate") else text) for name in _ALERT])
    news = pa.struct([(name, text) for name in ("at", "headline", "source", "url")])
    lists = {"price_history": price, "whale_alerts": alert, "news": news}
    objects = {
        "context": pa.struct([(name, pa.list_(kind)) for name, kind in lists.items()]),
        "labels": pa.struct([("YES", text), ("NO", text)]),
    }
    types = {"text": text, "time": time}
    schema = pa.schema([(name, objects.get(name) or types[each.type]) for name, each in FIELDS.items()])
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
