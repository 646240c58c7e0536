"""The control link: the port for whoever plays the world around the PBX. See PROTOCOL.md, part two."""

import asyncio
import json
import logging
from dataclasses import asdict
from itertools import islice
from typing import Any

from telephony_gateway.virtual_pbx.control_requests import (
    MAX_CONTROL_LINE,
    AgentActs,
    Crash,
    CustomerActs,
    DropClients,
    Inject,
    Live,
    Offences,
    PlaceCalls,
    Records,
    Request,
    Samples,
    SetDevices,
    SetParties,
    SetTrunks,
    Stall,
    Stats,
    read,
)
from telephony_gateway.virtual_pbx.core import commands
from telephony_gateway.virtual_pbx.core.model import By, Call, Leg, LegState, Refused
from telephony_gateway.virtual_pbx.core.scripts import microseconds
from telephony_gateway.virtual_pbx.core.switch import MAX_ARRIVALS, Switch
from telephony_gateway.virtual_pbx.lines import LineSplitter, line
from telephony_gateway.virtual_pbx.link import Link

logger = logging.getLogger(__name__)

MAX_CONTROLLERS = 64
AGENT_TIMEOUT_S = 20.0
"""How long a device rings to which an agent transfers by hand."""


class Control:
    """Listens for controllers and does what they ask."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.exchange = link.exchange
        self.controllers: set[Controller] = set()
        self._server: asyncio.Server | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen; the port that was taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Controller(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop listening, and disconnect everybody."""
        if self._server is not None:
            self._server.close()
        for controller in list(self.controllers):
            controller.close()

    def perform(self, request: Request) -> dict[str, Any]:
        """Do it now; what there is to say about it.

        Raises:
            Refused: it makes no sense at the moment.
        """
        with self.exchange.moment() as switch:
            match request:
                case Stats() | Samples() | Records() | Live() | Offences():
                    return self._report(switch, request)
                case DropClients() | Stall() | Crash() | Inject():
                    return self._have_an_accident(request)
                case AgentActs():
                    return _agent_acts(switch, request)
                case CustomerActs():
                    return _customer_acts(switch, request)
                case _:
                    return _configure(switch, request)

    def _have_an_accident(self, request: DropClients | Stall | Crash | Inject) -> dict[str, Any]:
        match request:
            case DropClients():
                return {"dropped": self.link.drop_clients(request.refuse_s)}
            case Stall():
                self.link.stall(request.for_s)
                return {}
            case Crash():
                died = len(self.exchange.switch.calls)
                self.link.crash(request.down_s)
                return {"died": died}
            case Inject():
                self.link.inject(request.data())
                return {}

    def _report(self, switch: Switch, request: Stats | Samples | Records | Live | Offences) -> dict[str, Any]:
        latencies = self.exchange.latencies
        match request:
            case Stats():
                return self._stats(switch)
            case Samples(kind="assignment"):
                found = latencies.assignments_after(request.after, request.limit)
                rows = [{**asdict(sample), "latency_us": sample.latency_us} for sample in found]
                return _page(latencies.assignments_made, len(latencies.assignments), samples=rows)
            case Samples():
                freed = latencies.freed_after(request.after, request.limit)
                rows = [{**asdict(sample), "latency_us": sample.latency_us} for sample in freed]
                return _page(latencies.freed_made, len(latencies.freed), samples=rows)
            case Records():
                kept = switch.records
                skip = max(0, request.after - (switch.records_made - len(kept)))
                found_records = islice(kept, skip, skip + request.limit)
                rows = [self._in_the_world(asdict(record)) for record in found_records]
                return _page(switch.records_made, len(kept), records=rows)
            case Live():
                calls = list(switch.calls.values())[: request.limit]
                return {"calls": [self._in_the_world(_live_row(call)) for call in calls]}
            case Offences():
                return {"offences": [self._in_the_world(asdict(offence)) for offence in switch.offences]}

    def _stats(self, switch: Switch) -> dict[str, Any]:
        inbound = [call for call in switch.calls.values() if call.direction == "inbound"]
        talking = sum(bool(call.connected()) for call in inbound)
        return {
            "pbx": self.exchange.pbx_id,
            "boot": switch.boot,
            "up": switch.up,
            "speed": self.exchange.clock.speed,
            "at_us": self.exchange.clock.wall_us(switch.now_us),
            "seq": switch.seq,
            "counts": asdict(switch.counts),
            "live": {
                "arrivals": switch.arrivals,
                "inbound": len(inbound),
                "waiting": len(switch.waiting),
                "ringing": len(inbound) - talking - sum(call.id in switch.waiting for call in inbound),
                "talking": talking,
                "outbound": len(switch.calls) - len(inbound),
                "devices": len(switch.devices),
                "devices_free": switch.free_devices,
                "clients": len(self.link.clients),
                "gateways": sum(client.subscribed and client.acts for client in self.link.clients),
            },
            "link": asdict(self.link.counts),
            "latency_ms": self.exchange.latencies.summary(),
        }

    def _in_the_world(self, row: dict[str, Any]) -> dict[str, Any]:
        wall_us = self.exchange.clock.wall_us
        return {
            key: wall_us(value) if key.endswith("_us") and value is not None else value for key, value in row.items()
        }


def _page(made: int, kept: int, **rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows with how many were ever made and how many of them, the newest, are kept."""
    return {"made": made, "kept": kept, **rows}


def _configure(switch: Switch, request: SetTrunks | SetDevices | SetParties | PlaceCalls) -> dict[str, Any]:
    match request:
        case SetTrunks():
            for trunk in request.trunks:
                switch.set_trunk(trunk.trunk, trunk.dids, trunk.channels)
        case SetDevices():
            for device in request.devices:
                switch.set_device(
                    device.device,
                    registered=device.registered,
                    powered=device.powered,
                    behaviour=None if device.behaviour is None else device.behaviour.behaviour(),
                )
        case SetParties():
            for party in request.parties:
                switch.parties[party.number] = party.script()
        case PlaceCalls():
            if switch.arrivals + len(request.calls) > MAX_ARRIVALS:
                raise Refused("too-many", f"{MAX_ARRIVALS} callers at most may be on their way")
            for caller in request.calls:
                switch.place_call(caller.script(), microseconds(caller.after_s))
            switch.advance(switch.now_us)
    return {}


def _agent_acts(switch: Switch, request: AgentActs) -> dict[str, Any]:
    device = switch.devices.get(request.device)
    if device is None:
        raise Refused("no-such-device", f"there is no device {request.device}")
    match request.do:
        case "use_privately":
            switch.use_privately(device, microseconds(request.for_s))
            return {}
        case "dial":
            trunk = commands.outbound_trunk(switch, None)
            return {"call": switch.dial_from(device, _given(request.number, "number"), trunk).id}
        case _:
            pass
    leg = device.leg
    if leg is None or leg.state is LegState.INITIATED:
        raise Refused("wrong-state", f"device {device.id} neither rings nor talks")
    call = leg.call.id
    match request.do:
        case "answer":
            commands.answer(switch, call, leg.id)
        case "decline" if leg.up:
            raise Refused("wrong-state", f"device {device.id} does not ring")
        case "decline" | "hang_up":
            switch.agent_hangs_up(leg)
        case "hold":
            commands.hold(switch, call, leg.id)
        case "retrieve":
            commands.retrieve(switch, call, leg.id)
        case "press":
            _press(switch, leg.call, request.digits, leg)
        case "transfer":
            to = _given(request.to, "to")
            name = switch.new_name("leg")
            commands.transfer_blind(switch, call, leg.id, name, to, AGENT_TIMEOUT_S)
    return {"call": call}


def _customer_acts(switch: Switch, request: CustomerActs) -> dict[str, Any]:
    call = switch.calls.get(request.call)
    if call is None or not call.customer_there:
        raise Refused("no-such-call", f"there is no customer in a call {request.call}, or no longer")
    if request.do == "hang_up":
        switch.end(call, By.CUSTOMER, "normal clearing")
    else:
        _press(switch, call, request.digits, None)
    return {}


def _press(switch: Switch, call: Call, digits: str | None, leg: Leg | None) -> None:
    switch.press_all(call, _given(digits, "digits"), switch.now_us, leg)
    switch.advance(switch.now_us)


def _given(value: str | None, field: str) -> str:
    if value is None:
        raise Refused("malformed", f"{field}: missing")
    return value


def _live_row(call: Call) -> dict[str, Any]:
    return {
        "call": call.id,
        "tag": call.script.tag,
        "direction": call.direction,
        "dialled": call.dialled,
        "number": call.number,
        "offered_us": call.offered_us,
        "answered_us": call.answered_us,
        "legs": {leg.id: _leg(leg) for leg in call.legs.values()},
    }


def _leg(leg: Leg) -> dict[str, Any]:
    row: dict[str, Any] = {"device": leg.device_id, "state": leg.state}
    return {**row, "muted": True} if leg.muted else row


class Controller(asyncio.Protocol):
    """One connection of whoever plays the world. Requests are done in order; each gets one answer."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._splitter = LineSplitter(MAX_CONTROL_LINE)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self._control.controllers) >= MAX_CONTROLLERS:
            transport.abort()
            return
        self._control.controllers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """They are gone; what they asked for goes on."""
        self._control.controllers.discard(self)
        self._transport = None

    def close(self) -> None:
        """Disconnect."""
        if self._transport is not None:
            self._transport.close()

    def pause_writing(self) -> None:
        """They do not read their answers: take no more requests."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """They read again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        too_long = self._splitter.too_long
        lines = self._splitter.feed(data)
        for _ in range(self._splitter.too_long - too_long):
            self._write(_refusal(None, Refused("malformed", f"more than {MAX_CONTROL_LINE} bytes")))
        for each in lines:
            self._write(self._answer(each))

    def _write(self, row: dict[str, Any]) -> None:
        if self._transport is not None:
            self._transport.write(line(row))

    def _answer(self, raw: bytes) -> dict[str, Any]:
        try:
            request = read(raw)
        except Refused as refused:
            return _refusal(_id_of(raw), refused)
        try:
            return {"id": request.id, "ok": True, "result": self._control.perform(request)}
        except Refused as refused:
            return _refusal(request.id, refused)


def _refusal(request_id: int | None, refused: Refused) -> dict[str, Any]:
    return {"id": request_id, "ok": False, "reason": refused.reason, "detail": refused.detail}


def _id_of(raw: bytes) -> int | None:
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    found = row.get("id") if isinstance(row, dict) else None
    return found if type(found) is int else None
