"""SQL of the sound states of books: the hash or checksum did not fail, and bid and ask do not overlap.

Whatever needs the state of a book skips unsound states, as if they had never come; frames of rows show them,
marked by `verified` and `is_crossed`.
"""

from __future__ import annotations

CROSSED = "coalesce(best_bid >= best_ask, false)"
"""SQL condition: bid and ask of a row of `books`, `book_changes` or `quotes` overlap or touch."""

SOUND = f"(verified IS DISTINCT FROM 'failed' AND NOT {CROSSED})"
"""SQL condition: the state after a row of `books`, `book_changes` or `quotes` is sound."""
