"""Nesting depth of a JSON text, found before anything recursive reads it.

Parsers recurse on the C stack: a body of a hundred thousand brackets must be refused by counting, not by
trying. The limit is one that all tools which read our files cope with.
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
    """Return whether `text`, if valid JSON, is at most MAX_NESTING deep.

    Invalid text is never called shallow when a parser would go much deeper before it notices.
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
