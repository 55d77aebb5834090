"""Plans: spiders that are collected together in one process, each as a run of its own."""

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
    """A spider that a plan runs, with its arguments."""

    spider: str
    arguments: Mapping[str, str]
    after_s: float = 0.0
    """Seconds that it starts after the others: data that can be fetched later give way to live data."""
    option: str = ""
    """The option `--<option>` leaves this feed out; "": the feed is always collected.

    A feed with an option is left out too where the machine lacks what it needs, and the venue may refuse it.
    """
    title: str = ""
    """Words for the feeds that `option` leaves out."""
    is_once: bool = False
    """True where one run completes the work, so that it is not restarted when it has ended by itself."""


def no_last_pass(feeds: Sequence[PlannedFeed]) -> PlannedFeed | None:  # noqa: ARG001  (a plan's interface)
    """Return None: this plan runs no spider after its duration."""
    return None


@dataclass(frozen=True)
class Plan:
    """Plan: the spiders that `scrapy collect NAME` runs in one process."""

    name: str
    what: str  # a phrase for the help, beginning with a small letter
    feeds: Callable[[Arguments], Sequence[PlannedFeed]]  # from the plan's arguments
    takes: tuple[Argument, ...] = ()  # options beside --duration
    defaults: Mapping[str, str] = field(default_factory=dict)  # of `takes`, by name
    last_pass: Callable[[Sequence[PlannedFeed]], PlannedFeed | None] = no_last_pass
    """Returns the feed to run once more when the duration is over, from the collected ones.

    None: run none.
    """
    listener: Callable[[Arguments, int], Listener] | None = None
    """Makes the plan's listener, from its arguments and the start (wall ns); None: a line for each feed."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Scrapy settings whose defaults the plan changes; the command line takes precedence."""

    def arguments(self, given: Mapping[str, str]) -> Arguments:
        """Return the plan's arguments: those of `given` that the plan takes, defaults for the others.

        given: name -> text. Raises ArgumentError.
        """
        own = {each.name: given[each.name] for each in self.takes if each.name in given}
        return parse_arguments({**self.defaults, **own}, self.takes, self.name)


@dataclass(frozen=True)
class Chosen:
    """A plan that the user has chosen to run, with its arguments."""

    plan: Plan
    arguments: Arguments
    feeds: Sequence[PlannedFeed]  # those that this machine can collect
    sources: Feeds  # (venue, feed) that `feeds` write to

    def listener(self, now: int) -> Listener:
        """Return a new listener for this plan; now: start of the collection, wall ns."""
        if self.plan.listener is None:
            return FeedCounts(self.sources)
        return self.plan.listener(self.arguments, now)


def all_feeds(chosen: Sequence[Chosen]) -> list[PlannedFeed]:
    """Return the feeds of several plans, a feed that several have only once.

    Raises ArgumentError where two plans run a spider with different arguments.
    """
    found: dict[str, PlannedFeed] = {}
    for each in chosen:
        for feed in each.feeds:
            other = found.setdefault(feed.spider, feed)
            if other.arguments != feed.arguments:
                both = f"{each.plan.name} and an earlier plan need {feed.spider} with different arguments"
                raise ArgumentError(f"{both}: run each plan in a process of its own")
    return list(found.values())
