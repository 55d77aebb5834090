"""What a stream does not see at the moment, since when and why, until it sees it again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from marketarchive.items import Cause, GapReason


@dataclass(frozen=True, slots=True)
class Loss:
    """One event that blinded us: its gap starts at `since`, the last moment proven complete (wall ns)."""

    since: int
    reason: GapReason
    cause: Cause
    detail: str
    connection: str
    noticed_mono: int = field(default=0, compare=False)  # monotonic ns
    gap: str = ""  # the id of the gap that was begun for it


class Losses:
    """By key: a token or a topic. The first loss of a key stands until it is found again."""

    def __init__(self) -> None:
        self._of: dict[str, Loss] = {}
        self._begin: dict[str, int] = {}  # since when gaps are written, where that is before its loss

    def __contains__(self, key: str) -> bool:
        return key in self._of

    def get(self, key: str) -> Loss | None:
        return self._of.get(key)

    def lose(self, keys: Iterable[str], loss: Loss) -> list[str]:
        """The keys that were not lost before."""
        new = [key for key in keys if key not in self._of]
        self._of.update(dict.fromkeys(new, loss))
        return new

    def begin_at(self, since: int, keys: Iterable[str]) -> list[str]:
        """Those of `keys` that were lost from a later moment on; now they are from `since` on."""
        later = [
            key
            for key in keys
            if (loss := self._of.get(key)) is not None and self._begin.get(key, loss.since) > since
        ]
        self._begin.update(dict.fromkeys(later, since))
        return later

    def find(self, keys: Iterable[str]) -> dict[Loss, list[str]]:
        """The losses that end for `keys` now."""
        ended: dict[Loss, list[str]] = {}
        for key in keys:
            if (loss := self._of.pop(key, None)) is not None:
                ended.setdefault(loss, []).append(key)
                self._begin.pop(key, None)
        return ended
