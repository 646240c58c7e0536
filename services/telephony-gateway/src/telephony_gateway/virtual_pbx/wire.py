"""What the PBX writes on the switch link. See PROTOCOL.md."""

from collections.abc import Iterable, Mapping
from typing import Any

from telephony_gateway.virtual_pbx.clock import PbxClock
from telephony_gateway.virtual_pbx.core.model import Call, Event, Leg, Refused
from telephony_gateway.virtual_pbx.core.scripts import NameEncoding
from telephony_gateway.virtual_pbx.core.switch import Switch
from telephony_gateway.virtual_pbx.lines import MAX_LINE, gbk_line, line
from telephony_gateway.virtual_pbx.link_commands import PROTOCOL


def hello_line(switch: Switch, clock: PbxClock, pbx_id: str, heartbeat_s: float) -> bytes:
    """The first line of every connection."""
    return line(
        {
            "hello": "cordboard-virtual-pbx",
            "protocol": PROTOCOL,
            "pbx": pbx_id,
            "boot": switch.boot,
            "started_us": clock.wall_us(switch.started_us),
            "heartbeat_s": heartbeat_s,
            "max_line": MAX_LINE,
        }
    )


def heartbeat_line(switch: Switch, clock: PbxClock) -> bytes:
    """The PBX lives, and this is the last event it told."""
    return line({"heartbeat": switch.seq, "at_us": clock.wall_us(clock.now_us())})


def bye_line(reason: str) -> bytes:
    """The PBX is about to close the connection."""
    return line({"bye": reason})


def reply_line(clock: PbxClock, command_id: str | None, refused: Refused | None, repeated: bool) -> bytes:
    """What became of a command."""
    row: dict[str, Any] = {"reply": command_id, "ok": refused is None}
    if refused is not None:
        row["reason"] = refused.reason
        row["detail"] = refused.detail
    if repeated:
        row["again"] = True
    row["at_us"] = clock.wall_us(clock.now_us())
    return line(row)


def event_line(event: Event, clock: PbxClock) -> bytes:
    """One event."""
    row = {"event": event.kind, "seq": event.seq, "at_us": clock.wall_us(event.at_us), **event.body}
    return _named_line(row, event.name_encoding)


def noise_line(clock: PbxClock) -> bytes:
    """An empty line and an event outside the sequence: a client has to pass over both."""
    return b"\n" + line({"event": "voice_quality", "at_us": clock.wall_us(clock.now_us()), "mos": 4.2})


def snapshot_lines(switch: Switch, clock: PbxClock, snapshot_id: str, since_us: int) -> bytes:
    """Everything that is up, and what has ended since ``since_us``."""
    past_calls = switch.calls_ended_since(since_us)
    past_legs = switch.leg_events_since(since_us)
    begin = {
        "snapshot": "begin",
        "id": snapshot_id,
        "boot": switch.boot,
        "seq": switch.seq,
        "at_us": clock.wall_us(switch.now_us),
        "started_us": clock.wall_us(switch.started_us),
        "devices": len(switch.devices),
        "calls": len(switch.calls),
        "past_calls": len(past_calls),
        "past_legs": len(past_legs),
    }
    parts = [line(begin)]
    for device in switch.devices.values():
        parts.append(line({"snapshot": "device", "device": device.id, "state": switch.device_state(device)}))
    for call in switch.calls.values():
        parts.append(_call_line("call", call, call.legs.values(), clock))
    for event in reversed(past_legs):
        parts.append(b'{"snapshot":"past_leg",' + event_line(event, clock)[1:])
    for past in reversed(past_calls):
        ending = {"ended_us": clock.wall_us(past.ended_us), "by": past.by, "cause": past.cause}
        parts.append(_call_line("past_call", past.call, past.legs, clock, ending))
    parts.append(line({"snapshot": "end", "id": snapshot_id, "seq": switch.seq}))
    return b"".join(parts)


def _named_line(row: dict[str, Any], encoding: NameEncoding) -> bytes:
    if encoding is NameEncoding.GBK and "name" in row:
        return gbk_line({key: value for key, value in row.items() if key != "name"}, row["name"])
    return line(row)


def _call_line(
    kind: str, call: Call, legs: Iterable[Leg], clock: PbxClock, ending: Mapping[str, Any] | None = None
) -> bytes:
    row: dict[str, Any] = {
        "snapshot": kind,
        "call": call.id,
        "direction": call.direction,
        "dialled": call.dialled,
        "trunk": call.trunk.id,
        "number": call.number,
        "name": call.script.name,
        "attributes": call.attributes,
        "offered_us": clock.wall_us(call.offered_us),
        "legs": [_leg_row(leg, clock) for leg in legs],
    }
    if call.script.diverted_from is not None:
        row["diverted_from"] = call.script.diverted_from
    _add_times(row, clock, customer_answered_us=call.customer_answered_us, answered_us=call.answered_us)
    row.update(ending or {})
    return _named_line(row, call.script.name_encoding)


def _leg_row(leg: Leg, clock: PbxClock) -> dict[str, Any]:
    row: dict[str, Any] = {"leg": leg.id, "device": leg.device_id, "state": leg.state}
    if leg.consults is not None:
        row["consults"] = leg.consults.id
    _add_times(
        row,
        clock,
        initiated_us=leg.initiated_us,
        ringing_us=leg.ringing_us,
        answered_us=leg.answered_us,
        held_us=leg.held_us,
    )
    return row


def _add_times(row: dict[str, Any], clock: PbxClock, **times: int | None) -> None:
    for key, pbx_us in times.items():
        if pbx_us is not None:
            row[key] = clock.wall_us(pbx_us)
