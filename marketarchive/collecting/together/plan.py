"""Plans: feeds that are collected together, each a run of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from marketarchive.collecting.arguments import Argument, Arguments, parse_arguments
from marketarchive.collecting.together.feed_counts import FeedCounts
from marketarchive.collecting.together.listener import Feeds, Listener
from marketarchive.exceptions import ArgumentError


@dataclass(frozen=True)
class PlannedFeed:
    """A spider and its arguments."""

    spider: str
    arguments: Mapping[str, str]
    after_s: float = 0.0
    """Seconds after the others: what can be fetched later too makes way for what cannot."""
    option: str = ""
    """`--<option>` leaves it out. So does a machine that lacks what it needs, and it may be refused."""
    title: str = ""
    """Name, in words, of what `option` leaves out."""
    is_once: bool = False
    """One run is all there is to do: it is not started again when it has ended by itself."""


def no_last_pass(feeds: Sequence[PlannedFeed]) -> PlannedFeed | None:  # noqa: ARG001  (a plan's interface)
    """Return None: nothing is left to do."""
    return None


@dataclass(frozen=True)
class Plan:
    """Feeds that `scrapy collect NAME` runs in one process."""

    name: str
    what: str  # for the help, begins with a small letter
    feeds: Callable[[Arguments], Sequence[PlannedFeed]]
    takes: tuple[Argument, ...] = ()  # options beside --duration
    defaults: Mapping[str, str] = field(default_factory=dict)  # of them
    last_pass: Callable[[Sequence[PlannedFeed]], PlannedFeed | None] = no_last_pass
    """Run once when the duration is over."""
    listener: Callable[[Arguments, int], Listener] | None = None
    """Makes what is shown of it; given the wall ns of the start. None: a line for each feed."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings that it needs to be otherwise; those of the command line hold all the same."""

    def arguments(self, given: Mapping[str, str]) -> Arguments:
        """Return the spider's arguments: those of `given` that it accepts, the rest by default.

        Raises ArgumentError.
        """
        own = {each.name: given[each.name] for each in self.takes if each.name in given}
        return parse_arguments({**self.defaults, **own}, self.takes, self.name)


@dataclass(frozen=True)
class Chosen:
    """A plan that is to run, with the arguments of the user."""

    plan: Plan
    arguments: Arguments
    feeds: Sequence[PlannedFeed]  # that can be collected here
    sources: Feeds  # to which they write

    def listener(self, now: int) -> Listener:
        """Return a new listener; `now` is the wall ns of the start."""
        if self.plan.listener is None:
            return FeedCounts(self.sources)
        return self.plan.listener(self.arguments, now)


def all_feeds(chosen: Sequence[Chosen]) -> list[PlannedFeed]:
    """Return the feeds of several plans, each once. Raises ArgumentError where two want one otherwise."""
    found: dict[str, PlannedFeed] = {}
    for each in chosen:
        for feed in each.feeds:
            other = found.setdefault(feed.spider, feed)
            if other.arguments != feed.arguments:
                both = f"{each.plan.name} and a plan before it want {feed.spider} with other arguments"
                raise ArgumentError(f"{both}: run each in a process of its own")
    return list(found.values())
