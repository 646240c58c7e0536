"""Which type is which model, and what happens to a body that fits none."""

import json

import pytest
from cordboard_contracts import COMMANDS, EVENTS, CommandData, Envelope, EventData, MalformedMessage, UnknownType, parse
from cordboard_contracts.registry import command, event
from cordboard_contracts.telephony import CallOffered, HangUpCall

CALL_ID = "01993b5c-8a10-7c3e-9f52-6f1f4c6f0a01"
HANG_UP = HangUpCall.type


def body(**changes: object) -> bytes:
    sent = Envelope.of(HangUpCall(call_id=CALL_ID), source="/accounts", subject=CALL_ID, sequence=1, orgpath="/")
    document = {**json.loads(sent.to_json()), **changes}
    return json.dumps({name: value for name, value in document.items() if value is not ...}).encode()


def test_every_model_is_registered_under_its_own_type() -> None:
    assert {model.type for model in EVENTS.values()} == set(EVENTS)
    assert {model.type for model in COMMANDS.values()} == set(COMMANDS)
    assert not EVENTS.keys() & COMMANDS.keys()
    assert EVENTS["telephony.call.offered.v1"] is CallOffered


def test_every_type_says_in_a_sentence_what_happened() -> None:
    for model in [*EVENTS.values(), *COMMANDS.values()]:
        assert (model.__doc__ or "").strip().endswith("."), model


def test_unknown_fields_of_a_newer_publisher_are_ignored() -> None:
    read = parse(HANG_UP, body(data={"call_id": CALL_ID, "politely": True}, futureattribute="x"))
    assert read.data == HangUpCall(call_id=CALL_ID)


@pytest.mark.parametrize("unknown", ["telephony.call.offered.v99", "", "weather.sky.fell.v1", "#"])
def test_an_unknown_type(unknown: str) -> None:
    with pytest.raises(UnknownType):
        parse(unknown, body())


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b"", "body"),
        (b"\xff\xfe", "body"),
        (b"[]", "body"),
        (b"{}", "specversion"),
        (body(id=...), "id"),
        (body(specversion="0.3"), "specversion"),
        (body(data={}), "data.call_id"),
        (body(data={"call_id": "not a uuid"}), "data.call_id"),
        (body(time="2026-11-25T09:30:00"), "time"),
        (body(type="telephony.call.answered.v1"), "arrived under"),
    ],
    ids=lambda value: value[:30] if isinstance(value, bytes) else value,
)
def test_a_malformed_body_is_refused_with_the_field(raw: bytes, named: str) -> None:
    with pytest.raises(MalformedMessage, match=named):
        parse(HANG_UP, raw)


def test_a_type_is_registered_once_and_well_formed() -> None:
    with pytest.raises(ValueError, match="twice"):
        event("telephony.call.offered.v1")(EventData)
    with pytest.raises(ValueError, match="twice"):
        event(HANG_UP)(EventData)
    with pytest.raises(ValueError, match="major"):
        command("telephony.call.hang-up")(CommandData)
