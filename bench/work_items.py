"""How many work items a second routing takes through submit, offer, accept and complete, all of it durable.

This program is the telephony gateway: it says on the bus that a call was offered, waits for routing's offer to an
agent, says that the agent answered, and at once that the call is over. The other services are stopped; their queues
are there and get their copies. ``AT_ONCE`` calls are under way at any time; then a Poisson process at ``RATE``, of
which the latency is from the publish of ``telephony.call.offered`` to the receipt of ``routing.assignment.offered``.
"""

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cordboard_contracts import EventData, new_id
from cordboard_contracts.routing import Assignment, AssignmentOffered, WorkItemCompleted
from cordboard_contracts.telephony import (
    AgentConnection,
    Call,
    CallAnswered,
    CallCleared,
    CallEvent,
    CallOffered,
    CallState,
    ConnectionState,
    Direction,
    Party,
)
from telephony_gateway.virtual_pbx.latency import percentiles

from bench.arrivals import poisson
from bench.machine import cpu_s, quiet
from bench.partner import Partner
from dev.demo.api import Api
from dev.demo.centre import each
from dev.system import System

AGENTS = 400
AT_ONCE = 200
RATE = 100.0
WORKSPACE, PBX, ORG_PATH = "bench", "bench-pbx", "/cn/east"
SETTLE_S = 60.0


def run(seconds: float, seed: int = 1) -> dict[str, Any]:
    """Measure the most that it takes, and the latency at ``RATE``."""
    with System("bench", fresh=True, say=quiet) as system:
        for service in ("accounts", "leads", "notifications", "telephony"):
            system.scale(service, 0)
        return asyncio.run(_measure(system, seconds, random.Random(seed)))


async def _measure(system: System, seconds: float, chance: random.Random) -> dict[str, Any]:
    await _set_up(system)
    async with _Gateway(system.amqp_url) as gateway:
        with cpu_s(system) as cpu:
            most = await gateway.keep_busy(AT_ONCE, seconds)
        steady = await gateway.offer_at([*poisson(RATE, seconds, chance)])
    figures = percentiles([round(latency_s * 1e6) for latency_s in steady])
    return {
        "agents": AGENTS,
        "items": most,
        "items_per_s": round(most / seconds, 1),
        "cpu_ms_per_item": {name: round(cpu[name] * 1000 / most, 2) for name in ("routing-1", "machine")},
        "at_items_per_s": RATE,
        "latency_ms": {name: round(figures[name], 1) for name in ("p50", "p95", "p99", "max")},
    }


async def _set_up(system: System) -> None:
    async with Api(system) as api:
        await api.ask("PUT", "routing", f"/v1/workspaces/{WORKSPACE}", {"org_path": ORG_PATH, "name": "bench"})
        queue = {"name": "calls", "wrap_up_s": 0, "offer_timeout_s": 60}
        await api.ask("PUT", "routing", f"/v1/workspaces/{WORKSPACE}/queues/calls", queue)
        rule = {"name": "calls", "when": {}, "then": {"queue": "calls", "requirement": {"calls": 1}}}
        await api.ask("PUT", "routing", f"/v1/workspaces/{WORKSPACE}/rules", {"rules": [rule]})

        async def seat(number: int) -> None:
            who = f"b{number}"
            profile = {"workspace": WORKSPACE, "org_path": ORG_PATH, "name": who, "device_id": who}
            await api.ask("PUT", "routing", f"/v1/agents/{who}", {**profile, "skills": {"calls": 50 + number % 50}})
            await api.ask("PUT", "routing", f"/v1/agents/{who}/state", {"state": "ready"}, agent_id=who)

        await each(range(AGENTS), seat)


class _Gateway(Partner):
    """Says what a gateway would, and hears what routing says to it."""

    hears = (AssignmentOffered, WorkItemCompleted)

    def __init__(self, amqp_url: str) -> None:
        super().__init__(amqp_url)
        self._calls: dict[UUID, Call] = {}
        self._offered_s: dict[UUID, float] = {}
        self._latencies: list[float] = []
        self._done = 0
        self._room: asyncio.Semaphore | None = None
        self._idle = asyncio.Event()

    async def keep_busy(self, at_once: int, seconds: float) -> int:
        """So many calls under way at any time; how many were completed in that time."""
        self._room = asyncio.Semaphore(at_once)
        until = time.monotonic() + seconds
        done_before = self._done
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < until:
                await self._room.acquire()
                group.create_task(self._offer())
        done = self._done - done_before
        self._room = None
        await self._settle()
        return done

    async def offer_at(self, moments: list[float]) -> list[float]:
        """Offer calls at these seconds from now; the seconds from each to its assignment."""
        self._latencies = []
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for at_s in moments:
                await asyncio.sleep(max(0.0, began + at_s - time.monotonic()))
                group.create_task(self._offer())
        await self._settle()
        return self._latencies

    async def _settle(self) -> None:
        async with asyncio.timeout(SETTLE_S):
            while self._calls:
                self._idle.clear()
                await self._idle.wait()

    async def _offer(self) -> None:
        call_id = new_id()
        call = Call(
            call_id=call_id,
            pbx_id=PBX,
            pbx_call_id=str(call_id),
            workspace=WORKSPACE,
            org_path=ORG_PATH,
            direction=Direction.INBOUND,
            state=CallState.OFFERED,
            from_number=f"+86137{call_id.int % 10**8:08d}",
            dialled="4008100",
            offered_at=datetime.now(UTC),
        )
        self._calls[call_id] = call
        self._offered_s[call_id] = time.monotonic()
        await self._say(CallOffered(call=call), 1)

    async def hear(self, data: EventData) -> None:
        """See `Partner.hear`."""
        if isinstance(data, AssignmentOffered) and data.work_item.call is not None:
            self._latencies.append(time.monotonic() - self._offered_s.pop(data.work_item.call.call_id))
            await self._answer_and_clear(self._calls[data.work_item.call.call_id], data.assignment)
        elif isinstance(data, WorkItemCompleted) and data.work_item.call is not None:
            del self._calls[data.work_item.call.call_id]
            self._done += 1
            self._idle.set()
            if self._room is not None:
                self._room.release()

    async def _answer_and_clear(self, call: Call, assignment: Assignment) -> None:
        now = datetime.now(UTC)
        talking = AgentConnection(
            connection_id=assignment.assignment_id,
            agent_id=assignment.agent_id,
            device_id=assignment.device_id or "",
            assignment_id=assignment.assignment_id,
            token=assignment.token,
            state=ConnectionState.CONNECTED,
            initiated_at=now,
            alerting_at=now,
            answered_at=now,
            joined_at=now,
        )
        state = {"state": CallState.ESTABLISHED, "answered_at": now, "connections": (talking,)}
        answered = call.model_copy(update=state)
        await self._say(CallAnswered(call=answered, connection_id=talking.connection_id), 2)
        over = talking.model_copy(update={"state": ConnectionState.CLEARED, "ended_at": now})
        end = {"state": CallState.CLEARED, "cleared_at": now, "cleared_by": Party.CUSTOMER, "connections": (over,)}
        await self._say(CallCleared(call=answered.model_copy(update=end)), 3)

    async def _say(self, data: CallEvent, sequence: int) -> None:
        await self.say(data, subject=data.call.call_id, sequence=sequence, org_path=ORG_PATH, workspace=WORKSPACE)
