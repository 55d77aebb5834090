"""Encoding of a received body in a JSON line, so that its exact bytes can be read back.

A body that is strict one-line UTF-8 JSON (RFC 8259) is embedded byte for byte under the key `payload`, the
last one of its line: tools read it as JSON, and slicing the line gives the exact bytes. White space around
the body goes to `payload_pre` and `payload_post`. Other UTF-8 goes to `payload_text`, other bytes to
`payload_base64`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import msgspec

from marketarchive.json_lines import NOT_JSON
from marketarchive.nesting import MAX_NESTING, is_shallow

_WHITE = b" \t\r\n"
_NO_STARTS = frozenset({b"", b" ", b"\t", b"\r", b"\n"})
_NO_MARKS = bytes(byte for byte in range(256) if byte not in b"{[\r\n")

# Skips over a value and checks its grammar without building it: no NaN, lone surrogate escape, control
# character or trailing garbage passes. It does not look at UTF-8.
_check_grammar = msgspec.json.Decoder(msgspec.Raw).decode
_take_apart = msgspec.json.Decoder(list[msgspec.Raw]).decode
_quote = msgspec.json.encode


def field(body: bytes) -> tuple[bytes, bytes]:
    """Encode a body as the last field of a JSON line: embedded JSON, text, or base64.

    Returns (the key, such as `,"payload":`, the encoded body); two pieces, so that a large body is copied
    only once, into its line.
    """
    core = body.strip(_WHITE)
    if not embeddable(core):
        return text_field(body)
    if len(core) == len(body):
        return b',"payload":', core
    start = body.index(core[:1])
    pre, post = body[:start].decode(), body[start + len(core) :].decode()
    before = b',"payload_pre":' + _quote(pre) if pre else b""
    after = b',"payload_post":' + _quote(post) if post else b""
    return b'%b%b,"payload":' % (before, after), core


def are_plain(bodies: Sequence[bytes]) -> bool:
    """Return whether `field` would embed every one of `bodies` unchanged.

    Checking them together costs half as much.
    """
    if not {body[:1] for body in bodies}.isdisjoint(_NO_STARTS):
        return False
    text = b",\n".join((b"[0", *bodies, b"0]"))
    marks = text.translate(None, _NO_MARKS).split(b"\n")
    if len(marks) != len(bodies) + 2 or b"\r" in text:
        return False
    if max(map(len, marks)) > MAX_NESTING:
        deep = (body for body, mark in zip(bodies, marks[1:-1], strict=True) if len(mark) > MAX_NESTING)
        if not all(map(is_shallow, deep)):
            return False
    try:
        values = _take_apart(text)
        if not text.isascii():
            text.decode()
    except NOT_JSON:
        return False
    # None starts with white space, so where all are as long as the bodies, they are the bodies.
    return list(map(len, values[1:-1])) == list(map(len, bodies))


def text_field(body: bytes) -> tuple[bytes, bytes]:
    """Encode a body as a JSON string, or as base64 where it is not UTF-8.

    Return (key, value) as `field` does.
    """
    try:
        return b',"payload_text":', _quote(body.decode())
    except UnicodeDecodeError:
        return b',"payload_base64":', b'"%b"' % base64.b64encode(body)


def pieces(body: bytes, size: int) -> list[bytes]:
    """Cut a body into pieces of at most `size` bytes, never within a UTF-8 character."""
    try:
        body.decode()
        is_text = True
    except UnicodeDecodeError:
        is_text = False
    cut, found = 0, []
    while cut < len(body):
        end = cut + size
        while is_text and end < len(body) and body[end] & 0xC0 == 0x80:
            end -= 1
        found.append(body[cut:end])
        cut = end
    return found


def embeddable(core: bytes) -> bool:
    """Return whether a body is strict JSON in one line of UTF-8, nested at most 200 deep.

    core: the body without white space around it.
    """
    marks = core.translate(None, _NO_MARKS)  # line ends and opening brackets: all that is left of most
    if b"\n" in marks or b"\r" in marks:
        return False
    if not (len(marks) <= MAX_NESTING or is_shallow(core)) or not _has_json_grammar(core):
        return False
    try:
        core.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_json_grammar(core: bytes) -> bool:
    try:
        _check_grammar(core)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
