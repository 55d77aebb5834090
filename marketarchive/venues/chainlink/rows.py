"""Rows of `records/` that Chainlink's stream pages leave: the spot price, and its averages apart from it."""

from __future__ import annotations

from typing import Any

from marketarchive.items import ReferencePrice


class SpotPrice(ReferencePrice):
    """The spot price of one second.

    source: `page`, or `page_text` for a price that was read from the page's rounded labels.
    """

    @property
    def series(self) -> str:
        return "chainlink_continuous"


class TwapPrice(ReferencePrice):
    """The time-weighted average of the `window_s` seconds that end at one second.

    source: `page_twap60` or `page_twap30`, `page_text_twap60` or `page_text_twap30` when it was
    read from the page's rounded labels.
    """

    window_s: int  # seconds over which the price is averaged

    @property
    def series(self) -> str:
        return "chainlink_twap_continuous"

    @property
    def subject(self) -> str:
        return f"{self.asset} {self.window_s} s"

    def columns(self) -> dict[str, Any]:
        return super().columns() | {"window_s": self.window_s}
