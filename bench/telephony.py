"""How fast the gateway itself is, and how much one process of it carries.

The other services are stopped. This program is routing, and decides at once: for each `telephony.call.offered` it
publishes `routing.assignment.offered` with the next free phone. What lies between the PBX's event on its wire and the
connect command on it, less the time in this program, is the gateway and two crossings of the bus. What a crossing takes
is measured in the same run, with echoes between the calls; the gateway's own share is without two of their median.
"""

import asyncio
import math
import random
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from uuid import UUID

from cordboard_contracts import EventData, new_id
from cordboard_contracts.routing import (
    Assignment,
    AssignmentFailed,
    AssignmentOffered,
    AssignmentState,
    CallAddress,
    WorkItem,
    WorkItemState,
    WorkKind,
)
from cordboard_contracts.telephony import Call, CallCleared, CallOffered
from telephony_gateway.virtual_pbx.clock import monotonic_us
from telephony_gateway.virtual_pbx.control import ControlClient
from telephony_gateway.virtual_pbx.core.scripts import Behaviour, CallerScript, Fixed
from telephony_gateway.virtual_pbx.latency import percentiles

from bench.arrivals import poisson
from bench.machine import cpu_s, quiet
from bench.partner import Partner
from dev.demo.api import Api
from dev.demo.centre import DID, ORG_PATH, PBX, TRUNK, WORKSPACE, agent_id, device_id
from dev.system import System

RATE, TALK_S = 20.0, 3.0
ANSWER_S = 0.5
OFFER_S = 60.0
LOOK_S = 0.25
SETTLE_S = 60.0
ECHOES_PER_S = 10.0
WARM_UP_S = 2.0
SPARE = 1.3
"""Phones per call at once: Poisson arrivals come in bunches."""
ELSEWHERE = "bench-echo"
"""The echoes' PBX: nobody's, so that no gateway is asked."""


def run(seconds: float, *, simultaneous: int, new_per_s: float, seed: int = 1) -> dict[str, Any]:
    """Measure ``seconds`` at ``RATE``; then as long with ``simultaneous`` calls up and ``new_per_s`` new ones a
    second."""
    phones = math.ceil(max(simultaneous, RATE * (ANSWER_S + TALK_S)) * SPARE) + 10
    with System("bench", fresh=True, say=quiet) as system:
        for service in ("accounts", "leads", "notifications", "routing"):
            system.scale(service, 0)
        return asyncio.run(_measure(system, phones, seconds, simultaneous, new_per_s, random.Random(seed)))


async def _measure(
    system: System, phones: int, seconds: float, simultaneous: int, new_per_s: float, chance: random.Random
) -> dict[str, Any]:
    async with (
        Api(system) as api,
        await ControlClient.connect("127.0.0.1", system.pbx_control_port) as pbx,
        _Routing(system.amqp_url, phones) as routing,
    ):
        await _set_up(system, api, pbx, phones)
        await _load(system, pbx, routing, list(poisson(RATE, WARM_UP_S, chance)), TALK_S)
        reaction = await _load(system, pbx, routing, list(poisson(RATE, seconds, chance)), TALK_S)
        # As many come as leave once the first ones do: calls at once are arrivals by how long they stay.
        talk_s = simultaneous / new_per_s - ANSWER_S
        moments = list(poisson(new_per_s, talk_s + ANSWER_S + seconds, chance))
        carried = await _load(system, pbx, routing, moments, talk_s)
        return {
            "phones": phones,
            "reaction": {"calls_per_s": RATE, **reaction},
            "load": {"calls_per_s": new_per_s, "simultaneous_wanted": simultaneous, **carried},
        }


async def _set_up(system: System, api: Api, pbx: ControlClient, phones: int) -> None:
    await pbx.set_trunk(TRUNK, [DID])
    await pbx.set_devices({device_id(n): Behaviour(answer_after=Fixed(ANSWER_S)) for n in range(phones)})
    trunk = {"trunk_id": TRUNK, "region": "CN", "territory": "CN-31", "dids": [DID], "org_path": ORG_PATH}
    place = {"driver": "virtual", "address": f"127.0.0.1:{system.pbx_port}", "workspace": WORKSPACE}
    await api.ask("PUT", "telephony", f"/v1/pbxs/{PBX}", {**place, "org_path": "/cn/east", "trunks": [trunk]})


async def _load(
    system: System, pbx: ControlClient, routing: "_Routing", moments: list[float], talk_s: float
) -> dict[str, Any]:
    """Calls at these moments (seconds from now), each of which is talked for so long."""
    routing.forget()
    before = (await pbx.stats())["counts"]
    seen = (await pbx.request("samples", kind="assignment", after=0, limit=1))["made"]
    numbers = (f"+86137{number % 10**8:08d}" for number in range(len(moments)))
    echoing = asyncio.create_task(routing.echo())
    with cpu_s(system) as cpu:
        began = time.monotonic()
        await pbx.place_calls(
            (at_s, CallerScript(did=DID, number=number, talk=Fixed(talk_s)))
            for at_s, number in zip(moments, numbers, strict=True)
        )
        counts = await _over(pbx, routing, before, len(moments), moments[-1] + talk_s)
        took_s = time.monotonic() - began
    echoing.cancel()
    samples = await pbx.samples("assignment", after=seen)
    crossing_us = round(median(routing.echoes_us))
    ways = [(row["told_us"], *routing.heard_and_said_us[row["call"]], row["connected_us"]) for row in samples]
    there = [heard_us - told_us for told_us, heard_us, _, _ in ways]
    back = [connected_us - said_us for _, _, said_us, connected_us in ways]
    own = [max(0, one_us + other_us - 2 * crossing_us) for one_us, other_us in zip(there, back, strict=True)]
    return {
        "calls": len(moments),
        "connected": counts["answered"] - before["answered"],
        "simultaneous": routing.most_at_once,
        "took_s": round(took_s, 1),
        "own_share_ms": _figures(own),
        "pbx_to_routing_ms": _figures(there),
        "routing_to_pbx_ms": _figures(back),
        "bus_crossing_ms": _figures(routing.echoes_us),
        "cpu_ms_per_call": {name: round(used_s * 1000 / len(moments), 2) for name, used_s in cpu.items()},
        "gateway_cores": round(cpu["telephony-1"] / took_s, 2),
    }


def _figures(latencies_us: list[int]) -> dict[str, float]:
    figures = percentiles(latencies_us)
    return {name: round(figures[name], 1) for name in ("p50", "p95", "p99", "max")}


async def _over(
    pbx: ControlClient, routing: "_Routing", before: dict[str, int], calls: int, last_s: float
) -> dict[str, int]:
    """Wait until all of them are over, here and at the PBX, within reason."""
    deadline = time.monotonic() + last_s + SETTLE_S
    ends = ("completed", "abandoned", "rejected", "dropped")
    while True:
        counts: dict[str, int] = (await pbx.stats())["counts"]
        over = sum(counts[name] - before[name] for name in ends) >= calls and not routing.calls
        if over or time.monotonic() > deadline:
            return counts
        await asyncio.sleep(LOOK_S)


class _Routing(Partner):
    """Always has an agent, and needs no time to say whom."""

    hears = (CallOffered, CallCleared, AssignmentFailed)

    def __init__(self, amqp_url: str, phones: int) -> None:
        super().__init__(amqp_url)
        self.calls: dict[UUID, int] = {}
        """Those that are up, and which seat has each."""
        self.most_at_once = 0
        self.heard_and_said_us: dict[str, tuple[int, int]] = {}
        """By the PBX's name of the call, when it was heard here, and when its assignment was said."""
        self.echoes_us: list[int] = []
        self._free = deque(range(phones))
        self._tokens = 0
        self._echoed: dict[UUID, int] = {}

    def forget(self) -> None:
        """What was measured before."""
        self.most_at_once = len(self.calls)
        self.heard_and_said_us, self.echoes_us = {}, []

    async def echo(self) -> None:
        """Say something now and then that only this program hears, and see how long that takes."""
        while True:
            told = _offer(new_id(), ELSEWHERE, agent_id(0), device_id(0), 1)
            said = AssignmentFailed(assignment=told.assignment, work_item=told.work_item)
            self._echoed[told.assignment.assignment_id] = monotonic_us()
            await self._publish(said)
            await asyncio.sleep(1 / ECHOES_PER_S)

    async def hear(self, data: EventData) -> None:
        """See `Partner.hear`."""
        now_us = monotonic_us()
        match data:
            case CallOffered(call=call) if call.call_id not in self.calls:
                await self._assign(call, now_us)
            case CallCleared(call=call):
                seat = self.calls.pop(call.call_id, None)
                if seat is not None:
                    self._free.append(seat)
            case AssignmentFailed(assignment=assignment):
                said_us = self._echoed.pop(assignment.assignment_id, None)
                if said_us is not None:
                    self.echoes_us.append(now_us - said_us)
            case _:
                pass

    async def _assign(self, call: Call, heard_us: int) -> None:
        seat = self._free.popleft()
        self.calls[call.call_id] = seat
        self.most_at_once = max(self.most_at_once, len(self.calls))
        self._tokens += 1
        offered = _offer(call.call_id, PBX, agent_id(seat), device_id(seat), self._tokens)
        self.heard_and_said_us[call.pbx_call_id] = heard_us, monotonic_us()
        await self._publish(offered)

    async def _publish(self, data: AssignmentOffered | AssignmentFailed) -> None:
        await self.say(
            data,
            subject=data.assignment.assignment_id,
            sequence=1,
            org_path=ORG_PATH,
            workspace=WORKSPACE,
            pbx=data.work_item.call.pbx_id if data.work_item.call is not None else None,
        )


def _offer(call_id: UUID, pbx_id: str, agent: str, device: str, token: int) -> AssignmentOffered:
    now = datetime.now(UTC)
    return AssignmentOffered(
        assignment=Assignment(
            assignment_id=new_id(),
            work_item_id=call_id,
            workspace=WORKSPACE,
            org_path=ORG_PATH,
            agent_id=agent,
            device_id=device,
            token=token,
            state=AssignmentState.OFFERED,
            offered_at=now,
            expires_at=now + timedelta(seconds=OFFER_S),
        ),
        work_item=WorkItem(
            work_item_id=call_id,
            workspace=WORKSPACE,
            org_path=ORG_PATH,
            kind=WorkKind.CALL,
            subject_id=call_id,
            state=WorkItemState.OFFERED,
            queue="calls",
            priority=0,
            call=CallAddress(call_id=call_id, pbx_id=pbx_id),
            submitted_at=now,
        ),
    )
