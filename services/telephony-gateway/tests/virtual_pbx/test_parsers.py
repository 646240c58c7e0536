"""Whatever comes in, a parser either understands it or says what is wrong: no other error leaves it."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from telephony_gateway.virtual_pbx import control_requests, link_commands, messages
from telephony_gateway.virtual_pbx.core.model import Refused

PARSERS: dict[str, Callable[[bytes], Any]] = {
    "link": link_commands.read,
    "control": control_requests.read,
    "messages": messages.parse,
}
KNOWN = [
    {"event": "offered", "seq": 1, "at_us": 1, "call": "c", "direction": "inbound", "dialled": "1", "attributes": {}},
    {"event": "leg_failed", "seq": 1, "at_us": 1, "call": "c", "leg": "l", "device": "d", "reason": "busy"},
    {"event": "device", "seq": 1, "at_us": 1, "device": "d", "state": "idle"},
    {"snapshot": "call", "call": "c", "direction": "inbound", "dialled": "1", "offered_us": 1, "legs": [{"leg": "l"}]},
    {"snapshot": "begin", "id": "s", "seq": 1, "at_us": 1, "started_us": 1},
    {"heartbeat": 1, "at_us": 1},
    {"reply": "c", "ok": True, "at_us": 1},
    {"command": "connect", "id": "1", "call": "c", "leg": "l", "device": "d", "timeout_s": 1},
    {"command": "set_attributes", "id": "1", "call": "c", "attributes": {"a": "b"}},
    {"op": "place_calls", "id": 1, "calls": [{"did": "1", "talk": 1, "keys": [{"after_s": 1, "digits": "1"}]}]},
    {"op": "set_devices", "id": 1, "devices": [{"device": "d", "behaviour": {"answer_after": {"mean_s": 1}}}]},
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A line that is right but for some of its fields."""
    row = dict(draw(st.sampled_from(KNOWN)))
    for key in draw(st.lists(st.sampled_from(sorted(row)), max_size=2)):
        if draw(st.booleans()):
            row[key] = draw(anything)
        else:
            row.pop(key, None)
    return json.dumps(row).encode()


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)
@given(line=st.binary(max_size=60) | spoilt())
@example(line=b"[" * 100_000)
@example(line=b'{"heartbeat":' + b"9" * 5000 + b"}")
@example(line=b'{"event":[]}')
@example(line=b'{"event":"offered","event":null}')
@example(line=b'{"heartbeat":NaN,"at_us":Infinity}')
@example(line=b'{"command":"hang_up","id":"\\ud800","call":"x"}')
def test_no_line_breaks_a_parser(parser: Callable[[bytes], Any], line: bytes) -> None:
    with contextlib.suppress(Refused, messages.Malformed):
        parser(line)


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: "-".join(map(str, next(iter(row.items())))))
def test_the_examples_are_right(row: dict[str, Any]) -> None:
    row = {**row, **({"legs": []} if "legs" in row else {})}
    line = json.dumps(row).encode()
    if "command" in row:
        link_commands.read(line)
    elif "op" in row:
        control_requests.read(line)
    else:
        assert messages.parse(line) is not None
