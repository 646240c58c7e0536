"""The words of the open interface: they lose nothing on the way, and nothing else gets in."""

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from telephony_gateway.domain import pbx_commands, pbx_events
from telephony_gateway.drivers import http_messages
from telephony_gateway.drivers.http_messages import (
    AnyCommand,
    AnyEvent,
    Snapshot,
    of_command,
    of_event,
    of_snapshot,
    to_command,
    to_event,
    to_snapshot,
)

EVENTS: TypeAdapter[Any] = TypeAdapter(AnyEvent)
COMMANDS: TypeAdapter[Any] = TypeAdapter(AnyCommand)
printable = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=40)
given_fields: dict[str, st.SearchStrategy[Any]] = {
    "at": st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    "attributes": st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True), st.text(max_size=20), max_size=3),
    "digit": st.sampled_from("0123456789*#ABCD"),
    "reason": st.just("busy"),
    "offered_at": st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    "timeout_s": st.floats(0.1, 300),
    "to": st.just("1002"),
    "trunk": st.none() | st.just("carrier"),
}
named = dict.fromkeys(("call", "leg", "device", "new_leg", "to_leg", "from_leg", "number", "dialled"), printable)


def made(cls: type) -> st.SearchStrategy[Any]:
    """Any instance of a dataclass of the domain."""
    fields = {field.name for field in dataclasses.fields(cls)}
    strategies = {name: made_of for name, made_of in {**given_fields, **named}.items() if name in fields}
    if "reason" in fields and "cause" in fields:
        strategies["reason"] = st.sampled_from(http_messages.FailureReason)
    return st.builds(cls, **strategies)


@pytest.mark.parametrize("cls", get_args(http_messages.Event), ids=lambda cls: cls.__name__)
@settings(max_examples=10, deadline=None)
@given(st.data())
def test_an_event_arrives_as_it_was(cls: type, data: st.DataObject) -> None:
    event = data.draw(made(getattr(pbx_events, cls.__name__)))
    assert to_event(EVENTS.validate_json(to_json(of_event(event)))) == event


@pytest.mark.parametrize("cls", get_args(http_messages.Command), ids=lambda cls: cls.__name__)
@settings(max_examples=10, deadline=None)
@given(st.data())
def test_a_command_arrives_as_it_was(cls: type, data: st.DataObject) -> None:
    command = data.draw(made(getattr(pbx_commands, cls.__name__)))
    assert to_command(COMMANDS.validate_json(to_json(of_command(command)))) == command


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_a_snapshot_arrives_as_it_was(data: st.DataObject) -> None:
    up = data.draw(
        st.builds(
            pbx_events.ConnectionUp,
            at=given_fields["at"],
            calls=st.lists(made(pbx_events.LiveCall), max_size=2).map(tuple),
            devices=st.lists(made(pbx_events.LiveDevice), max_size=2).map(tuple),
            ended=st.lists(made(pbx_events.CallCleared) | made(pbx_events.LegFailed), max_size=2).map(tuple),
        )
    )
    assert to_snapshot(Snapshot.model_validate_json(to_json(of_snapshot(up)))) == up


def test_there_is_a_word_for_every_event_and_command() -> None:
    events = {cls.__name__ for cls in _kinds(pbx_events.PbxEvent)} - {"CallEvent", "LegEvent", "ConnectionUp"}
    assert events == {cls.__name__ for cls in get_args(http_messages.Event)}
    commands = {cls.__name__ for cls in _kinds(pbx_commands.Command)}
    assert commands == {cls.__name__ for cls in get_args(http_messages.Command)}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
half_right = st.fixed_dictionaries(
    {"event": st.sampled_from(["call-offered", "leg-failed", "call-cleared", "device-changed", "command-done"])},
    optional=dict.fromkeys(("at", "call", "leg", "device", "attributes", "by", "reason", "state"), json_values),
)


@settings(max_examples=300, deadline=None)
@given(json_values | half_right)
def test_whatever_is_said_is_understood_or_refused_with_its_place(value: Any) -> None:
    try:
        EVENTS.validate_json(json.dumps(value).encode("utf-8", "surrogatepass"), strict=True)
    except ValidationError as refused:
        assert all(problem["msg"] for problem in refused.errors())


def _kinds(cls: type) -> set[type]:
    return {kind for below in cls.__subclasses__() for kind in {below, *_kinds(below)}}
