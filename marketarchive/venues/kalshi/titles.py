"""Questions of Kalshi's markets: the title, completed by what YES means.

Markets of one event may share their title: each strike of KXBTCD-26AUG1717 is "Bitcoin price on Aug 17,
2026?", and only `yes_sub_title` ("$72,750 or above") tells them apart (real rows of 2026-08-17). The title
"Tampa Bay at Dallas" contains the sub-titles of all markets of its event, so sub-titles are appended even
when the title contains them.
"""

from __future__ import annotations


def question(title: str | None, yes_sub_title: str | None) -> str | None:
    """Return the complete question of a market: `Bitcoin price on Aug 17, 2026? ($72,750 or above)`.

    Without a sub-title, or with one equal to the title (combinations of markets), the title alone. None
    without a title.
    """
    if not title or not yes_sub_title or title == yes_sub_title:
        return title or None
    return f"{title} ({yes_sub_title})"


def stated_title(question: str | None, yes_sub_title: str | None) -> str | None:
    """Return the title that a question was made from by `question`, as the venue stated it."""
    if question is None or not yes_sub_title or question == yes_sub_title:
        return question
    return question.removesuffix(f" ({yes_sub_title})")
