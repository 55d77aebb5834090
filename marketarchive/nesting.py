"""Limit of the nesting depth of a JSON text, checked before a recursive parser reads it.

Parsers recurse on the C stack, so a body of a hundred thousand brackets must be rejected by counting them.
All tools that read the archive's files can parse JSON up to the limit.
"""

from __future__ import annotations

import re
from itertools import accumulate

MAX_NESTING = 200

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_STEP = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
_NO_OPENING = bytes(byte for byte in range(256) if byte not in b"{[")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b'{}[]"')


def is_shallow(text: bytes) -> bool:
    """Return whether a JSON text is nested at most MAX_NESTING (200) deep.

    For invalid JSON the result is False wherever a parser would go much deeper before it fails.
    """
    if len(text.translate(None, _NO_OPENING)) <= MAX_NESTING:
        return True
    if b"\\" in text:
        text = _ESCAPE.sub(b"", text)
    brackets = text.translate(None, _NO_BRACKETS).replace(b'""', b"")  # changes no other string
    if b'"' in brackets:
        brackets = _STRING.sub(b"", brackets)
    # Without its innermost objects it is at most one level shallower, and needs two brackets a level.
    if len(brackets.replace(b"{}", b"")) <= 2 * (MAX_NESTING - 1):
        return True
    return max(accumulate(_STEP.get(bracket, 0) for bracket in brackets)) <= MAX_NESTING
