"""Whale alerts joined with markets: 10,000 on 50,000 titles, against a bare cdist of rapidfuzz.

The expert's way: titles without case and punctuation, words sorted, then the whole matrix of `fuzz.ratio`
with the same threshold and all processors, in stripes that fit into memory, and of each row the best. It
knows no platform, no date, no number and no word that makes siblings of two titles. Ours is the whole join.
Half of the alerts have the title as it is, the others a misspelt or a shorter one; markets of two platforms
last a month in a year. A second figure has all markets open all the time, so that dates are of no help.
"""

from __future__ import annotations

import os
import time
from random import Random

import numpy as np
from rapidfuzz.fuzz import ratio
from rapidfuzz.process import cdist
from rapidfuzz.utils import default_process

from benchmarks.result import Result, pairs
from marketarchive.research.products.whales.alerts import WhaleAlert
from marketarchive.research.products.whales.joining import THRESHOLD, WhaleJoin, join_alerts
from marketarchive.research.products.whales.markets import TradedMarket
from marketarchive.times import DAY, SECOND

GOAL = 1.0
ALERTS = int(os.environ.get("FUZZY_JOIN_ALERTS", "10000"))
MARKETS = int(os.environ.get("FUZZY_JOIN_MARKETS", "50000"))
ROUNDS = 3
START = 1_780_000_000 * SECOND
STRIPE = 500
"""Alerts of one call of cdist: 100 MB of scores."""
SYLLABLES = ("ba", "de", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we", "xi", "yo", "za", "gre")
QUESTIONS = (
    "Will {name} be elected mayor of {place} by March {day}, 2027?",
    "Will it reach {number}° in {place} on March {day}, 2027?",
    "{name} vs. {place} United on March {day}, 2027",
    "Will the central bank of {place} cut rates by {number} points on March {day}?",
)


def run() -> Result:
    random = Random(7)
    markets = _markets(random)
    alerts, true = _alerts(random, markets)
    always = [_always(each) for each in markets]
    titles = [market.titles[0] for market in markets]
    requested = [alert.title or "" for alert in alerts]
    joins: list[WhaleJoin] = []
    places: list[list[int]] = []
    mine, theirs, times = pairs(
        lambda: joins.append(join_alerts(alerts, markets)),
        lambda: places.append(_plain(requested, titles)),
        ROUNDS,
    )
    started = time.perf_counter()
    join_alerts(alerts, always)
    undated = theirs / (time.perf_counter() - started)
    right = sum(each.market.market_id == true[each.alert.row] for each in joins[0].matches)
    theirs_right = sum(
        place >= 0 and markets[place].market_id == true[alert.row]
        for alert, place in zip(alerts, places[0], strict=True)
    )
    print(f"right: {right} of {len(joins[0].matches)} matches; of cdist {theirs_right} of {len(alerts)}")
    print(f"with all markets open all the time: {undated:.2f} of the speed of cdist (one run)")
    return Result(
        name="fuzzy_join",
        value=ALERTS / mine,
        unit="alerts/s",
        baseline=ALERTS / theirs,
        ratio=times,
        goal=GOAL,
        packages=("rapidfuzz", "numpy"),
        more={
            "markets": MARKETS,
            "matches": len(joins[0].matches),
            "right": right,
            "cdist_right": theirs_right,
            "undated_ratio": round(undated, 3),
        },
    )


def _plain(requested: list[str], titles: list[str]) -> list[int]:
    """Return the place of the best title of each that is asked, -1 below the threshold."""
    choices, queries = (
        [" ".join(sorted(default_process(each).split())) for each in s] for s in (titles, requested)
    )
    found: list[int] = []
    for start in range(0, len(queries), STRIPE):
        scores = cdist(
            queries[start : start + STRIPE],
            choices,
            scorer=ratio,
            score_cutoff=THRESHOLD,
            dtype=np.float32,
            workers=-1,
        )
        best = scores.argmax(axis=1)
        found += np.where(scores[np.arange(len(best)), best] > 0, best, -1).tolist()
    return found


def _markets(random: Random) -> list[TradedMarket]:
    found = []
    for number in range(MARKETS):
        place = "".join(random.choice(SYLLABLES) for _ in range(4)).capitalize()
        title = QUESTIONS[number % len(QUESTIONS)].format(
            name=random.choice(("Adams", "Baker", "Clark", "Davis", "Evans", "Foster")),
            place=place,
            day=random.randrange(1, 31),
            number=random.randrange(40, 100),
        )
        start = START + random.randrange(335) * DAY
        platform = ("polymarket", "kalshi")[number // 4 % 2]
        labels = ("Yes", "No")
        found.append(
            TradedMarket(platform, f"m{number}", (title,), None, labels, start, start + 30 * DAY, None, None)
        )
    return found


def _alerts(random: Random, markets: list[TradedMarket]) -> tuple[list[WhaleAlert], dict[int, str]]:
    """Return alerts, and the id of the market of each by its row."""
    alerts, true = [], {}
    for row in range(ALERTS):
        market = random.choice(markets)
        at = (market.start or 0) + random.randrange(30 * DAY)
        title = market.titles[0]
        if row % 4 == 1:  # two letters swapped in the longest word
            word = max(title.split(), key=len)
            title = title.replace(word, f"{word[:2]}{word[3]}{word[2]}{word[4:]}")
        elif row % 4 == 3:
            title = title.replace(", 2027", "").replace("Will ", "").removesuffix("?")
        alerts.append(WhaleAlert(row, market.platform, None, title, at, at, 10_000.0, "BUY", "Yes"))
        true[row] = market.market_id
    return alerts, true


def _always(market: TradedMarket) -> TradedMarket:
    """Return the market without its dates."""
    return TradedMarket(
        market.platform, market.market_id, market.titles, None, market.outcomes, None, None, None, None
    )
