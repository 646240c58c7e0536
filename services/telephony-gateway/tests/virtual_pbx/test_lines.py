"""Framing: however a stream is cut, the lines are the same, and nothing grows without bound."""

import json
import random

from hypothesis import given
from hypothesis import strategies as st
from telephony_gateway.virtual_pbx.lines import LineSplitter, gbk_line, line, text_of

LIMIT = 40


def cut(data: bytes, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    parts = []
    while data:
        size = chance.choice([1, 2, 5, 17, 100])
        parts.append(data[:size])
        data = data[size:]
    return parts


@given(st.lists(st.binary(max_size=2 * LIMIT)), st.integers(0, 1000))
def test_cutting_does_not_matter(parts: list[bytes], seed: int) -> None:
    data = b"\n".join(parts)
    splitter, whole = LineSplitter(LIMIT), LineSplitter(LIMIT)
    lines = [found for part in cut(data, seed) for found in splitter.feed(part)]
    assert lines == whole.feed(data)
    assert splitter.too_long == whole.too_long
    complete = data.split(b"\n")
    rest = complete.pop()
    assert lines == [found.rstrip() for found in complete if len(found) <= LIMIT and found.rstrip()]
    assert splitter.too_long == sum(len(found) > LIMIT for found in [*complete, rest])
    assert len(splitter._rest) <= LIMIT


def test_a_line_without_end_is_not_kept() -> None:
    splitter = LineSplitter(LIMIT)
    for _ in range(1000):
        assert splitter.feed(b"x" * 1000) == []
        assert len(splitter._rest) <= LIMIT
    assert splitter.feed(b"tail\nnext\n") == [b"next"]
    assert splitter.too_long == 1


@given(st.text(max_size=50))
def test_a_name_in_gbk_comes_through(name: str) -> None:
    name = name.encode("gb18030", "replace").decode("gb18030")
    raw = gbk_line({"event": "offered", "attributes": {"区域": "上海"}}, name)
    assert raw.endswith(b"}\n") and raw.count(b"\n") == 1
    if not _is_utf8(raw):
        assert json.loads(text_of(raw))["name"] == name


def test_names_whose_second_bytes_are_backslashes_survive() -> None:
    name = "誠 乗 俓"  # 0x5C as second byte in GBK, among others
    assert b"\\" in name.encode("gb18030")
    assert json.loads(text_of(gbk_line({"event": "offered"}, name))) == {"event": "offered", "name": name}


def test_text_that_cannot_be_encoded_does_no_harm() -> None:
    assert json.loads(line({"name": "\ud800x"})) == {"name": "?x"}
    assert text_of(b"\xff\xff\xff") != ""


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
