"""Rows of `records/` that Chainlink's stream pages leave: the spot price, and its averages apart from it."""

from __future__ import annotations

from typing import Any

from marketarchive.items import ReferencePrice


class SpotPrice(ReferencePrice):
    """The spot price of one second. source: `page`, or `page_text` as its labels showed it, rounded."""

    @property
    def series(self) -> str:
        return "chainlink_continuous"


class TwapPrice(ReferencePrice):
    """A time-weighted average price of one second. source: `page_twap60`, `page_text_twap60`, ..."""

    window_s: int  # seconds that it is the mean of

    @property
    def series(self) -> str:
        return "chainlink_twap_continuous"

    @property
    def subject(self) -> str:
        return f"{self.asset} {self.window_s} s"

    def columns(self) -> dict[str, Any]:
        return super().columns() | {"window_s": self.window_s}
