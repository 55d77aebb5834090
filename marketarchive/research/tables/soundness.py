"""Sound states of books: the hash or checksum did not fail, and the sides do not cross.

Whatever needs the state of a book passes over those that are not sound, as if they had never come; frames of
rows show them, marked by `verified` and `is_crossed`.
"""

from __future__ import annotations

CROSSED = "coalesce(best_bid >= best_ask, false)"
"""SQL: whether the sides of a row of `books`, `book_changes` or `quotes` overlap or touch."""

SOUND = f"(verified IS DISTINCT FROM 'failed' AND NOT {CROSSED})"
"""SQL: whether the state that such a row leaves is sound."""
