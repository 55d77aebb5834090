"""First pipeline: lets through what is sound, turns the rest into an `invalid` line beside its message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.exceptions import DropItem

from marketarchive.collecting.components import needed_run
from marketarchive.collecting.run import Run
from marketarchive.items import RAW, Derived, Invalid, Quote, ReferencePrice, Resolution

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

_PRICES = ("up_bid", "up_ask", "down_bid", "down_ask")


class ValidatePipeline:
    """Fields are checked where an item is made; here it is checked what an item says as a whole."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ValidatePipeline:
        return cls(needed_run(crawler))

    def process_item(self, item: Any) -> Any:
        if isinstance(item, Invalid):
            self._run.stats.inc_value(f"invalid/{item.item}")
            return item
        if isinstance(item, RAW):
            return item
        if not isinstance(item, Derived):
            raise DropItem(
                f"{type(item).__name__} is not an item of this project; see marketarchive/items.py"
            )
        problem = self._problem(item)
        if problem is None:
            return item
        name, (field, text) = type(item).__name__, problem
        self._run.stats.inc_value(f"invalid/{name}")
        self._run.archive.write(
            Invalid(item.venue, item.feed, item.received_at, item.seq, name, f"{field}: {text}", (field,))
        )
        if isinstance(item, Quote):  # its tick was due: there is a row, and nothing in it can be trusted
            return item.model_copy(update={**dict.fromkeys(_PRICES), "is_observed": 0})
        raise DropItem(f"{field}: {text}")

    def _problem(self, item: Derived) -> tuple[str, str] | None:
        """(field, what is wrong)."""
        if isinstance(item, Quote):
            for side, bid, ask in (("up", item.up_bid, item.up_ask), ("down", item.down_bid, item.down_ask)):
                if bid is not None and ask is not None and bid >= ask:
                    return f"{side}_bid", f"crossed: bid {bid}, ask {ask}"
            if not item.is_observed and any(getattr(item, name) for name in _PRICES):
                return "is_observed", "0 on a row with values"
        elif isinstance(item, ReferencePrice):
            if item.bid is not None and item.ask is not None and item.bid > item.ask:
                return "bid", f"crossed: bid {item.bid}, ask {item.ask}"
            if bool(item.is_observed) != (item.mid is not None) or (not item.is_observed and item.seq):
                return "is_observed", f"{item.is_observed} on a row with mid {item.mid}"
        elif item.seq < 1:
            return "seq", "does not name the message that the item was made from"
        if (
            isinstance(item, Resolution)
            and item.status == "resolved"
            and not (item.resolution or item.payouts)
        ):
            return "resolution", "resolved without an outcome"
        return None
