"""Strangers on the line: whatever comes is survived with bounded memory, and whatever is said stays in its line."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telephony_gateway.drivers import asterisk_ami_messages as wire
from telephony_gateway.drivers.asterisk_ami import AsteriskAmi
from telephony_gateway.drivers.asterisk_ami_calls import Calls
from telephony_gateway.drivers.asterisk_ami_channels import Channel
from telephony_gateway.drivers.asterisk_ami_commands import Dialplan, actions_for
from telephony_gateway.drivers.asterisk_ami_memory import Call, Leg
from telephony_gateway.drivers.asterisk_ami_messages import MAX_MESSAGE, MessageReader, Unspeakable, action, decoded
from telephony_gateway.drivers.credentials import Credentials
from telephony_gateway.drivers.interface import (
    BlindTransfer,
    CallOffered,
    CommandRefused,
    Connect,
    ConnectionUp,
    Direction,
    Mute,
    Originate,
    SetAttributes,
)
from telephony_gateway.drivers.interpreter import Refusal, Wire

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
EVENTS = (
    "Newchannel", "Newstate", "DialBegin", "DialEnd", "BridgeEnter", "BridgeLeave", "Hangup", "HangupRequest", "Hold",
    "SoftHangupRequest", "Unhold", "UserEvent", "BlindTransfer", "AttendedTransfer", "LocalBridge", "DTMFEnd",
    "OriginateResponse", "MusicOnHoldStart", "DeviceStateChange", "QueueCallerJoin", "Shutdown", "CoreShowChannel",
    "Status", "NoSuchEvent",
)  # fmt: skip
NAMES = ("PJSIP/1001-00000001", "PJSIP/carrier-00000002", "Local/1002@x-00000003;1", "PJSIP/1002-00000004", "?")
UIDS = tuple(f"179559.{n}" for n in range(4))
PREFIXES = ("", "Dest", "LocalOne", "LocalTwo", "Transferer", "Transferee", "OrigTransferer", "SecondTransferer")


def connected(**given: object) -> AsteriskAmi:
    """A gateway for whom nothing is up."""
    made = AsteriskAmi(Credentials("gateway", "open sesame"), **given)  # type: ignore[arg-type]
    made.opened(NOW, asks=False)
    made.heard(Wire(GREETING), NOW)
    assert any(isinstance(event, ConnectionUp) for event in made.take().events)
    return made


def message(headers: dict[str, str]) -> bytes:
    return ("".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode()


def inbound(uid: str = "1.0", **more: str) -> bytes:
    told = {"Event": "Newchannel", "Channel": "PJSIP/carrier-00000000", "ChannelState": "4", "Exten": "4008200"}
    return message({**told, "CallerIDNum": "13800138000", "Uniqueid": uid, "Linkedid": uid, **more})


@st.composite
def contradictory(draw: st.DrawFn) -> bytes:
    """Events that may well contradict each other."""
    headers = {"Event": draw(st.sampled_from(EVENTS)), "ActionID": draw(st.sampled_from(["", "cb-1", "x"]))}
    for prefix in draw(st.sets(st.sampled_from(PREFIXES), max_size=3)) | {""}:
        headers |= {
            f"{prefix}Channel": draw(st.sampled_from(NAMES)),
            f"{prefix}Uniqueid": draw(st.sampled_from(UIDS)),
            f"{prefix}Linkedid": draw(st.sampled_from(UIDS)),
            f"{prefix}ChannelState": draw(st.sampled_from(["0", "4", "5", "6", "99999", "-1", "x"])),
        }
    headers["BridgeUniqueid"] = draw(st.sampled_from(["b1", "b2", ""]))
    headers["UserEvent"] = draw(st.sampled_from(["CCWaiting", "Other"]))
    headers["Digit"] = draw(st.text(alphabet="0123456789*#ABCDx", max_size=3))
    headers["DialStatus"] = draw(st.sampled_from(["ANSWER", "BUSY", "NOANSWER", "CANCEL", "?"]))
    return message(headers)


@settings(max_examples=100, deadline=None)
@given(st.lists(contradictory(), max_size=60), st.data())
def test_contradictory_events_are_survived(told: list[bytes], data: st.DataObject) -> None:
    gateway = connected()
    at = NOW
    for one in told:
        at += timedelta(seconds=data.draw(st.sampled_from([0.0, 0.001, 0.3, 2.0])))
        gateway.heard(Wire(one), at)
        gateway.tick(at)
        gateway.take()
    assert len(gateway.calls.channels) <= len(UIDS)
    for channel in list(gateway.calls.channels):
        gateway.heard(
            Wire(message({"Event": "Hangup", "Channel": channel.name, "Uniqueid": channel.uid, "Cause": "16"})), at
        )
    gateway.take()
    assert gateway.calls.calls == {}, "when all channels are gone, no call is left"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=200), contradictory(), st.just(b"\r\n\r\n")), max_size=30))
def test_random_bytes_are_survived(pieces: list[bytes]) -> None:
    gateway = connected()
    for piece in pieces:
        gateway.heard(Wire(piece), NOW)
        assert gateway.take().broken is None
    gateway.heard(Wire(b"\r\n\r\n" + inbound("9.9")), NOW)
    offered = [event.call for event in gateway.take().events if isinstance(event, CallOffered)]
    assert "9.9" in offered, "the next whole message is understood"


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=1, max_size=2000))
def test_whoever_is_no_asterisk_is_left(data: bytes) -> None:
    reader = MessageReader()
    assert list(reader.feed(data + b"\r\n" * 300)) == [] or data.startswith(b"Asterisk Call Manager/")
    assert reader.refused is not None or data.startswith(b"Asterisk Call Manager/")


def test_a_megabyte_of_header_is_passed_over_and_counted() -> None:
    counted: list[str] = []
    gateway = connected(count=counted.append)
    for _ in range(64):
        gateway.heard(Wire(b"Event: Newchannel\r\nJunk: " + b"x" * 65536 if _ == 0 else b"x" * 65536), NOW)
        assert len(gateway.reader._buffer) <= MAX_MESSAGE + 65536 * 2, "memory is bounded"
    gateway.heard(Wire(b"\r\n\r\n" + inbound()), NOW)
    assert [type(event) for event in gateway.take().events] == [CallOffered]
    assert counted == ["too-long"]
    assert len(gateway.reader.set_aside[0].data) <= 200


def test_names_come_in_utf8_in_gbk_or_broken() -> None:
    assert decoded("王小明".encode()) == decoded("王小明".encode("gbk")) == "王小明"
    assert "\ufffd" in decoded(b"\xff\xfe\x80")
    gateway = connected()
    told = inbound().replace(b"\r\n\r\n", b"\r\nCallerIDName: " + "李雷".encode("gbk") + b"\r\n\r\n")
    gateway.heard(Wire(told), NOW)
    (offered,) = gateway.take().events
    assert isinstance(offered, CallOffered) and offered.from_name == "李雷"


@given(st.text(max_size=1500))
def test_a_value_stays_in_its_line(value: str) -> None:
    try:
        said = action("Setvar", "1", [("Value", value)])
    except Unspeakable:
        return
    assert said.count(b"\r\n") == 4 and said.endswith(b"\r\n\r\n")
    assert b"\r" not in said.replace(b"\r\n", b"") and b"\n" not in said.replace(b"\r\n", b"")
    (heard,) = wire.said(said)
    assert sorted(heard) == ["Action", "ActionID", "Value"]


BREAKING = "x\r\nAction: Originate\r\nChannel: PJSIP/1001\r\n\r\n"


@pytest.mark.parametrize(
    "evil", [BREAKING, "1001\nAction: Hangup", "1001\u2028", "1001&PJSIP/9999", "1001,1)", "../x y"]
)
def test_nothing_from_elsewhere_becomes_an_action(evil: str) -> None:
    gateway = connected()
    gateway.heard(Wire(inbound(CallerIDName="eve")), NOW)
    gateway.take()
    named = {"command_id": uuid4(), "call": "1.0"}
    commands = [
        Connect(leg="leg-1", device=evil, timeout_s=5.0, caller_number=evil, caller_name=evil, **named),
        BlindTransfer(leg="leg-1", new_leg="leg-2", device=evil, timeout_s=5.0, **named),
        Originate(leg="leg-3", device="1001", number=evil, timeout_s=5.0, command_id=uuid4(), call="call-2"),
        Originate(leg="leg-4", device=evil, number="13800138000", timeout_s=5.0, command_id=uuid4(), call="call-3"),
    ]
    gateway.order(commands, NOW)
    outbox = gateway.take()
    assert outbox.says == []
    assert len([event for event in outbox.events if isinstance(event, CommandRefused)]) == len(commands)


def test_attributes_become_variables_and_never_functions() -> None:
    gateway = connected()
    gateway.heard(Wire(inbound()), NOW)
    gateway.take()
    attributes = {"SHELL(id)": "x", "tier": "${SHELL(id)}", "名": "金"}
    gateway.order([SetAttributes(command_id=uuid4(), call="1.0", attributes=attributes)], NOW)
    said = [next(wire.said(one.data)) for one in gateway.take().says]
    assert [one["Variable"] for one in said] == ["CC_ATTRIBUTE_SHELL_id_", "CC_ATTRIBUTE_tier", "CC_ATTRIBUTE__"]
    gateway.order([SetAttributes(command_id=uuid4(), call="1.0", attributes={"tier": BREAKING})], NOW)
    outbox = gateway.take()
    assert outbox.says == [] and isinstance(outbox.events[0], CommandRefused)


def test_mute_is_about_the_agents_channel() -> None:
    calls = Calls()
    call = calls.calls["1.0"] = Call("1.0", Direction.INBOUND, "4008100", NOW)
    call.legs["2.0"] = Leg("leg-1", Channel("2.0", "PJSIP/1001-00000001", NOW), "1001")
    for on, state in ((True, "on"), (False, "off")):
        command = Mute(command_id=uuid4(), call="1.0", leg="leg-1", on=on)
        assert actions_for(command, calls, Dialplan(), NOW) == [
            ("MuteAudio", [("Channel", "PJSIP/1001-00000001"), ("Direction", "in"), ("State", state)])
        ]
    with pytest.raises(Refusal, match="no-such-leg"):
        actions_for(Mute(command_id=uuid4(), call="1.0", leg="leg-2", on=True), calls, Dialplan(), NOW)


def test_the_secret_is_shown_nowhere() -> None:
    gateway = AsteriskAmi(Credentials("gateway", "open sesame"))
    assert "open sesame" not in repr(gateway._credentials)
    gateway.opened(NOW)
    (login,) = gateway.take().says
    assert b"Secret: open sesame\r\n" in login.data
