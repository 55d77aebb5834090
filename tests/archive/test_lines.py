from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from marketarchive.archive import lines, payload
from marketarchive.archive.lines import Built, Line
from marketarchive.exceptions import CorruptError
from marketarchive.items import BookState, Connection, Cycle, Frames, Gap, Invalid, Response
from marketarchive.nesting import MAX_NESTING
from marketarchive.scope import Scope
from marketarchive.times import iso
from marketarchive.version import COLLECTOR
from tests.properties import examples

AT = 1_795_255_200_000_112_999
RESPONSE = Response(
    "polymarket", "orderbook", AT, 7, "GET", "https://h/book", {"a": "1"}, 200, {}, 41.7, b"{}"
)


def split(built: Built) -> list[bytes]:
    assert built.data.endswith(b"\n")
    found = built.data[:-1].split(b"\n")
    assert len(found) == built.lines
    return found


def stored(body: bytes) -> Line:
    (line,) = split(lines.response(replace(RESPONSE, payload=body)))
    return lines.parse(line)


def nested(depth: int) -> bytes:
    return b'[{"a":' * (depth // 2) + (b"[]" if depth % 2 else b"1") + b"}]" * (depth // 2)


def key_of(body: bytes) -> str:
    """The payload's key as an ordinary JSON reader sees it."""
    (line,) = split(lines.response(replace(RESPONSE, payload=body)))
    last: str = list(json.loads(line))[-1]
    assert last.startswith("payload")
    return last


EMBEDDED = [
    b"0.00200000",
    b"{}",
    b'"text"',
    b"null",
    b"1e999",
    b"123456789012345678901234567890123456789012345678901234567890.5E10",
    b'{"a":1,"a":2}',
    b'{"x":[1],"payload":{"payload":2}}',
    b'["\\ud834\\udd1e"]',
    b'["\\u0000","\\/"]',
    '{"é":"\u2028\u2029\x7f"}'.encode(),
    nested(199),
    nested(200),
    b'{"a":"' + b"[" * 500 + b'"}',
    b'["\\"' + b"{[" * 300 + b'\\\\"]',
    b"[" + b",".join([b'{"price":"0.01"}'] * 500) + b"]",
    b"[" + b",".join([b'{"a":[{}]}'] * 300) + b"]",
]
TEXT = [
    b"",
    b" ",
    b"\r\n",
    b"NaN",
    b"[Infinity]",
    b"-Infinity",
    b'{"a":1,}',
    b"{'a':1}",
    b"01",
    b"1.",
    b"{}{}",
    b'{"a":\r\n1}',
    b'{"a":\n1}',
    b'["a\x01"]',
    b"\x00",
    b'["\\ud800"]',
    b'["\\udc00x"]',
    b'["\\ud834\\u0041"]',
    b"\xef\xbb\xbf{}",
    b"<html>429</html>",
    b'","payload":1}',
    "é\u2028\u2029".encode(),
    nested(201),
    nested(5000),
    b'["\\"' + b"{[" * 300 + b'\\\\"' + b",[" * 200 + b"]" * 201,
]
BASE64 = [b"\xff\xfe", b'{"a":"\xff"}', b'"\xed\xa0\x80"', b"\xef\xbb", b'["\xc0\x80"]', b"\x1f\x8b\x08"]


@pytest.mark.parametrize("body", EMBEDDED)
def test_strict_json_is_embedded_byte_for_byte(body: bytes) -> None:
    (line,) = split(lines.response(replace(RESPONSE, payload=body)))
    assert line.endswith(b',"payload":' + body + b"}")
    assert stored(body).payload == body
    assert payload.embeddable(body)


@pytest.mark.parametrize("body", TEXT)
def test_other_text_comes_back_from_a_json_string(body: bytes) -> None:
    assert key_of(body) == "payload_text"
    assert stored(body).payload == body


@pytest.mark.parametrize("body", BASE64)
def test_other_bytes_come_back_from_base64(body: bytes) -> None:
    assert key_of(body) == "payload_base64"
    assert stored(body).payload == body


@pytest.mark.parametrize(
    ("pre", "post"), [("", "\n"), ("", "\r\n"), (" ", ""), ("\t\n", " \r\n"), ("", " "), ("\n", "")]
)
@pytest.mark.parametrize("core", ['{"bids":[]}', "1", '" "'])
def test_white_space_around_json_stands_beside_it(core: str, pre: str, post: str) -> None:
    (line,) = split(lines.response(replace(RESPONSE, payload=f"{pre}{core}{post}".encode())))
    seen = json.loads(line)
    assert (seen.get("payload_pre", ""), seen.get("payload_post", "")) == (pre, post)
    assert list(seen)[-1] == "payload"
    assert lines.parse(line).payload == f"{pre}{core}{post}".encode()
    assert "payload_pre" not in lines.parse(line).envelope


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
BODIES = st.one_of(
    st.binary(),
    st.text().map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.text(alphabet='{}[]":\\,payload1 \r\n', max_size=40).map(str.encode),
    JSON.map(lambda value: json.dumps(value).encode()),
    JSON.map(lambda value: json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")),
    JSON.map(lambda value: json.dumps(value, separators=(",", ":")).encode() + b"\n"),
)


@examples(300)
@given(body=BODIES)
@example(body=b',"payload":')
@example(body=b'{"a":1,"payload":2,"payload_pre":"x"}')
def test_bytes_in_are_bytes_out(body: bytes) -> None:
    built = lines.response(replace(RESPONSE, payload=body))
    (line,) = split(built)
    assert lines.parse(line).payload == body
    assert lines.parse(line + b"\n") == lines.parse(line)
    assert b"\r" not in line
    line.decode()  # UTF-8
    seen = json.loads(line)  # and JSON to any reader
    if "payload" in seen and not any(constant in body for constant in (b"NaN", b"Infinity", b"e", b"E")):
        assert seen["payload"] == json.loads(body)


@examples(150)
@given(bodies=st.lists(BODIES, min_size=1, max_size=4), connection=st.text(max_size=4))
def test_a_usual_frame_is_read_quickly_as_parse_reads_it(bodies: list[bytes], connection: str) -> None:
    item = Frames("v", "f", connection, tuple((AT, n, body) for n, body in enumerate(bodies, 1)))
    for line in split(lines.frames(item)):
        whole, quick = lines.parse(line), lines.parse_frame(line)
        if quick is not None:
            assert quick[1] == whole.payload
            assert {name: getattr(quick[0], name) for name in quick[0].__struct_fields__} == whole.envelope


FRAME = b'{"kind":"frame","collected_at_utc":"2026-11-21T12:00:00.000000Z","seq":1,"connection":"c1"'


@pytest.mark.parametrize(
    "line",
    [
        FRAME.replace(b"frame", b"response") + b',"payload":1}',
        FRAME.replace(b'"seq":1,', b"") + b',"payload":1}',
        FRAME + b',"new":2,"payload":1}',
        FRAME + b',"payload_pre":" ","payload":1}',
        FRAME + b',"payload":1',
        FRAME + b"}",
        b"",
    ],
)
def test_every_other_line_is_left_to_parse(line: bytes) -> None:
    assert lines.parse_frame(line) is None


@examples(150)
@given(
    bodies=st.lists(BODIES, min_size=1, max_size=5), connection=st.text(alphabet=st.characters(codec="utf-8"))
)
def test_every_frame_comes_back(bodies: list[bytes], connection: str) -> None:
    item = Frames("v", "f", connection, tuple((AT + n, n + 1, body) for n, body in enumerate(bodies)))
    built = lines.frames(item)
    found = [lines.parse(line) for line in split(built)]
    assert [line.payload for line in found] == bodies
    assert [line.envelope["seq"] for line in found] == list(range(1, len(bodies) + 1))
    assert {line.envelope["connection"] for line in found} == {connection}
    assert list(built.seqs) == list(range(1, len(bodies) + 1))
    assert (built.first, built.last) == (AT, AT + len(bodies) - 1)


COMPACT = JSON.map(
    lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
)


@examples(150)
@given(
    bodies=st.lists(st.one_of(COMPACT, COMPACT, COMPACT, BODIES), min_size=1, max_size=6),
    step_ns=st.sampled_from([0, 1, 1000, 200_000_000]),
)
@example(bodies=[b"    [1", b"2], [1", b"2],3", b"4"], step_ns=1)
@example(bodies=[b"[1", b"2]", b"3,4"], step_ns=1)
@example(bodies=[b'"a', b'b"', b"1,2"], step_ns=1)
@example(bodies=[b"[" * 201 + b"]" * 201, b"[" * 200 + b"]" * 200, b"[" + b"{}," * 300 + b"1]"], step_ns=1)
@example(bodies=[b"{}", b"PONG", b""], step_ns=1)
@example(bodies=[b'"\xc3', b'\xa4"', b'"\xc3\xa4"'], step_ns=1)
@example(bodies=[b"1"] * 1000, step_ns=10_000_000)
def test_frames_together_have_the_lines_that_each_has_alone(bodies: list[bytes], step_ns: int) -> None:
    frames = tuple((AT + n * step_ns, n + 1, body) for n, body in enumerate(bodies))
    alone = [lines.frames(Frames("v", "f", "100%d", (frame,))).data for frame in frames]
    together = lines.frames(Frames("v", "f", "100%d", frames))
    assert together.data == b"".join(alone)
    assert (together.lines, together.size) == (len(bodies), len(together.data))
    bodies = [lines.parse(line).payload or b"" for line in split(together)]
    assert bodies == [body for _, _, body in frames]


def reference_depth(text: bytes) -> int:
    """By a plain state machine."""
    depth = deepest = 0
    in_string = escaped = False
    for byte in text.decode():
        if in_string:
            in_string, escaped = escaped or byte != '"', byte == "\\" and not escaped
        elif byte == '"':
            in_string = True
        elif byte in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in "]}":
            depth -= 1
    return deepest


@examples(50)
@given(
    st.integers(150, 250),
    st.lists(JSON, max_size=6),
    st.sampled_from(["", '"', '\\"]]', "{{[[", "\\"]),
)
def test_nesting_is_counted_exactly(depth: int, others: list[Any], text: str) -> None:
    inner: Any = [text] * 60
    for level in range(depth):
        inner = {text: inner, "o": others} if level % 2 else [*others, inner, [{}] * 30]
    body = json.dumps(inner, allow_nan=False, default=str) if _finite(inner) else "[]"
    assert payload.embeddable(body.encode()) == (reference_depth(body.encode()) <= MAX_NESTING)


def _finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("body", [b"x" * (50 * 2**20), b"\xff" * (9 * 2**20), "é€𝄞".encode() * 2**20])
def test_a_large_body_stands_in_numbered_parts(body: bytes) -> None:
    built = lines.response(replace(RESPONSE, payload=body))
    head, *parts = [lines.parse(line) for line in split(built)]
    assert head.payload is None
    assert (head.envelope["bytes"], head.envelope["parts"]) == (len(body), len(parts))
    assert head.envelope["sha256"] == hashlib.sha256(body).hexdigest()
    assert built.parts == len(parts)
    assert b"".join(part.payload or b"" for part in parts) == body
    assert [part.envelope["part"] for part in parts] == list(range(1, len(parts) + 1))
    assert {(part.kind, part.envelope["ref_seq"], part.envelope["parts"]) for part in parts} == {
        ("part", RESPONSE.seq, len(parts))
    }
    assert all(len(part.payload or b"") <= lines.PART_BYTES for part in parts)
    assert "seq" not in parts[0].envelope


def test_parts_begin_one_byte_above_the_limit() -> None:
    limit = b'"' + b"x" * (lines.PART_BYTES - 2) + b'"'
    assert stored(limit).payload == limit
    assert lines.response(replace(RESPONSE, payload=limit + b" ")).lines == 3


@given(st.text(alphabet="aé€𝄞", max_size=60), st.integers(4, 20))
def test_pieces_of_text_cut_no_character(text: str, size: int) -> None:
    pieces = payload.pieces(text.encode(), size)
    assert "".join(piece.decode() for piece in pieces) == text
    assert all(0 < len(piece) <= size for piece in pieces)


def test_a_large_frame_stands_in_parts_too() -> None:
    body = b"y" * (lines.PART_BYTES + 1)
    built = lines.frames(Frames("v", "f", "c1", ((AT, 1, b"1"), (AT, 2, body), (AT, 3, b"3"))))
    found = [lines.parse(line) for line in split(built)]
    assert [line.kind for line in found] == ["frame", "frame", "part", "part", "frame"]
    assert (found[2].payload or b"") + (found[3].payload or b"") == body


def test_a_response_line_has_the_keys_of_the_contract_in_order() -> None:
    item = replace(
        RESPONSE,
        method="POST",
        body=b'[{"token_id":"1"}]',
        headers={"etag": 'W/"1"'},
        flags=("dataloss",),
        payload=b' {"bids":[]}\n',
    )
    (line,) = split(lines.response(item))
    assert json.loads(line) == {
        "kind": "response",
        "collected_at_utc": "2026-11-21T10:00:00.000112Z",
        "seq": 7,
        "collector": COLLECTOR,
        "method": "POST",
        "url": "https://h/book",
        "params": {"a": "1"},
        "body": [{"token_id": "1"}],
        "status": 200,
        "latency_ms": 41.7,
        "headers": {"etag": 'W/"1"'},
        "flags": ["dataloss"],
        "sha256": hashlib.sha256(b' {"bids":[]}\n').hexdigest(),
        "payload_pre": " ",
        "payload_post": "\n",
        "payload": {"bids": []},
    }
    assert list(json.loads(line)) == [
        "kind", "collected_at_utc", "seq", "collector", "method", "url", "params", "body", "status",
        "latency_ms", "headers", "flags", "sha256", "payload_pre", "payload_post", "payload",
    ]  # fmt: skip


@pytest.mark.parametrize("body", [b"token_id=1", b'"1"', b'{"payload":1}', b' {"a":1}', b'{"a":1}\n', b"{"])
def test_a_request_body_that_is_no_plain_json_object_is_a_json_string(body: bytes) -> None:
    (line,) = split(lines.response(replace(RESPONSE, body=body)))
    assert json.loads(line)["body"] == body.decode()
    assert lines.parse(line).payload == b"{}"


def test_a_request_body_of_other_bytes_is_base64() -> None:
    (line,) = split(lines.response(replace(RESPONSE, body=b"\xff")))
    assert json.loads(line)["body"] == {"base64": "/w=="}


VALUES = st.dictionaries(st.sampled_from(["payload", "a", "payload_text"]) | st.text(), JSON, max_size=4)


@examples(60)
@given(params=VALUES, headers=VALUES)
@example(params={"a": 1, "payload": 2}, headers={"x": {"payload": []}})
@example(params={"lone": "\ud800"}, headers={})
def test_no_value_of_the_envelope_can_be_taken_for_the_payload(params: Any, headers: Any) -> None:
    (line,) = split(lines.response(replace(RESPONSE, params=params, headers=headers, payload=b"[1]")))
    assert line.partition(b',"payload":')[2] == b"[1]}"
    found = lines.parse(line)
    assert found.payload == b"[1]"
    if not any("NaN" in json.dumps(value) or "Infinity" in json.dumps(value) for value in (params, headers)):
        assert _plain(found.envelope["params"]) == params
        assert _plain(found.envelope["headers"]) == headers


def _plain(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def test_a_url_that_is_not_unicode_is_escaped() -> None:
    (line,) = split(lines.response(replace(RESPONSE, url="https://h/\udcff")))
    assert lines.parse(line).envelope["url"] == "https://h/\\udcff"


def test_connection_lines() -> None:
    opened = Connection(
        "v",
        "f",
        AT,
        1,
        "c1",
        "opened",
        "wss://h",
        ('{"type":"market"}', "PING", '{"payload":1}'),
        keys=("k", '"'),
    )
    (line,) = split(lines.connection(opened))
    assert line == (
        b'{"kind":"connection","collected_at_utc":"2026-11-21T10:00:00.000112Z","seq":1,"connection":"c1",'
        b'"event":"opened","url":"wss://h","subscribe":[{"type":"market"},"PING","{\\"payload\\":1}"],'
        b'"keys":["k","\\""]}'
    )
    (line,) = split(lines.connection(Connection("v", "f", AT, 2, "c1", "closed", "wss://h", (), 1006)))
    assert json.loads(line) == {
        "kind": "connection",
        "collected_at_utc": "2026-11-21T10:00:00.000112Z",
        "seq": 2,
        "connection": "c1",
        "event": "closed",
        "url": "wss://h",
        "subscribe": [],
        "close_code": 1006,
        "close_reason": None,
    }


def test_gap_lines() -> None:
    gap = Gap(
        "v", "f", AT, 4, AT - 10**9, AT, Scope("v", "f", connection="c1"), "disconnect", "venue", id="r:4"
    )
    built = lines.gap(gap)
    assert (built.reason, built.seqs) == ("disconnect", (4,))
    assert split(built) == [
        (
            b'{"kind":"gap","collected_at_utc":"2026-11-21T10:00:00.000112Z","seq":4,"id":"r:4",'
            b'"scope":{"connection":"c1"},"from":"2026-11-21T09:59:59.000112Z","to":"2026-11-21T10:00:00.000112Z","reason":"disconnect",'
            b'"cause":"venue"}'
        )
    ]
    (line,) = split(
        lines.gap(
            replace(gap, to_ns=None, detail="503, 3 times", scope=Scope("v", "f", ("payload",), kind="x"))
        )
    )
    assert json.loads(line)["to"] is None
    assert json.loads(line)["detail"] == "503, 3 times"
    assert json.loads(line)["scope"] == '{"subjects":["payload"],"kind":"x"}'
    later = lines.gap(replace(gap, seq=9))
    assert later.reason is None  # the gap was counted by its first line


def test_a_crash_gap_has_no_seq_and_names_the_first_lost_one() -> None:
    built = lines.crash_gap(AT, "v", "f", AT - 10**9, "crash", "the process died", 17)
    (line,) = split(built)
    assert (built.seqs, built.reason) == ((), "crash")
    assert json.loads(line) == {
        "kind": "gap",
        "collected_at_utc": "2026-11-21T10:00:00.000112Z",
        "scope": {"venue": "v", "feed": "f"},
        "from": "2026-11-21T09:59:59.000112Z",
        "to": None,
        "reason": "crash",
        "cause": "ours",
        "detail": "the process died",
        "first_lost_seq": 17,
    }


def test_book_state_and_invalid_lines() -> None:
    built = lines.build(BookState("v", "f", AT, "c1", "123", 1234, b'{"bids":[]}'))
    assert split(built) == [
        (
            b'{"kind":"book_state","collected_at_utc":"2026-11-21T10:00:00.000112Z","connection":"c1",'
            b'"asset":"123","derived_from_seq":1234,"payload":{"bids":[]}}'
        )
    ]
    built = lines.build(Invalid("v", "f", AT, 1, "Market", 'end "payload"', ("endDate", "é")))
    assert split(built) == [
        '{"kind":"invalid","collected_at_utc":"2026-11-21T10:00:00.000112Z","ref_seq":1,"item":"Market",'
        '"error":"end \\"payload\\"","fields":["endDate","é"]}'.encode()
    ]
    assert built.seqs == ()


def test_a_cycle_comes_back_from_its_line() -> None:
    at = AT // 1000 * 1000  # lines keep microseconds
    begun = at - 90 * 10**9
    running = Cycle("v", "markets", at, "snapshot", begun, "running", 3, 2987, 1, '{"step": 1, "place": {}}')
    over = Cycle("v", "markets", at, "snapshot", begun, "complete", 4, 3187, 1)
    for cycle in (running, over):
        built = lines.build(cycle)
        assert (built.kind, built.seqs) == ("cycle", ())
        line = lines.parse(built.data)
        assert lines.parse_cycle("v", "markets", line.envelope) == cycle
        assert ("position" in line.envelope) is not cycle.is_over


def test_segment_and_end_lines() -> None:
    built = lines.segment("r-1", "s", "v", "f", 2, 9, AT, 12, {"synchronised": None}, {"payload": "kept"})
    assert split(built) == [
        b'{"kind":"segment","schema":2,"run":"r-1","collector":"%b","spider":"s","venue":"v","feed":"f",'
        b'"n":2,"seq_next":9,"collected_at_utc":"2026-11-21T10:00:00.000112Z","mono_ns":12,'
        b'"clock":{"synchronised":null},"settings":"{\\"payload\\":\\"kept\\"}"}' % COLLECTOR.encode()
    ]
    assert lines.end(8, 1, 4, "rotated") == (
        b'{"kind":"end","lines":8,"seq_min":1,"seq_max":4,"reason":"rotated"}\n'
    )
    assert lines.parse(lines.end(2, None, None, "finished")).envelope["seq_min"] is None


@given(st.integers(0, 4_000_000_000 * 10**9))
@example(10**18 + 999_999_999)
@example(0)
def test_times_are_written_as_everywhere(ns: int) -> None:
    (line,) = split(lines.response(replace(RESPONSE, received_at=ns)))
    assert lines.parse(line).envelope["collected_at_utc"] == iso(ns)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"null",
        b"[1]",
        b'{"kind":"frame"',
        b'{"kind":"frame","payload":1',
        b'{"kind":"frame","payload_base64":"*"}',
        b'{"kind":"frame","payload_text":1}',
        b'{"seq":1,"payload":{}}',
        b'{"kind":"frame",,"payload":{}}',
        b'{"kind":"frame","a":"\xff","payload":{}}',
        b"[" * 5000,
    ],
)
def test_what_is_no_line_of_ours_is_refused(line: bytes) -> None:
    with pytest.raises(CorruptError, match="not a line of the archive"):
        lines.parse(line)
