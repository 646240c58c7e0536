"""How fast a call finds its agent: the whole system, from the PBX's event on its wire to the connect command on it.

Calls come as a Poisson process; nobody is known, nobody subscribes, there are always agents free, who pick up after
half a second and talk for three seconds on average. Everything runs on this machine: five services, the built-in PBX,
PostgreSQL, RabbitMQ, Redis, and this program.
"""

import asyncio
import math
import random
import time
from collections.abc import Sequence
from typing import Any

from telephony_gateway.virtual_pbx.control import ControlClient
from telephony_gateway.virtual_pbx.core.scripts import Behaviour, CallerScript, Fixed
from telephony_gateway.virtual_pbx.latency import percentiles

from bench.arrivals import poisson
from bench.machine import cpu_s, quiet
from dev.demo.api import Api
from dev.demo.centre import DID, ORG_PATH, PBX, TRUNK, WORKSPACE, agent_id, device_id, each
from dev.system import System

ANSWER_S, MEAN_TALK_S = 0.5, 3.0
AGENTS_PER_ERLANG = 1.5
SETTLE_S = 60.0
LOOK_S = 0.25
WARM_UP_CALLS = 40
SUSTAINED_P99_MS = 1000.0
"""A rate is sustained when every call is connected, and 99 of 100 within so long."""
STEP = 1.5
"""From one rate to the next, when the highest sustained one is looked for."""
MAX_RATE = 200.0


def run(rates: Sequence[float], seconds: float, *, highest: bool, seed: int = 1) -> dict[str, Any]:
    """Measure at each of the rates (calls/s); ``highest``: then at more, from the first one on, until one is not
    sustained."""
    top = MAX_RATE if highest else max(rates)
    agents = math.ceil(top * (ANSWER_S + MEAN_TALK_S) * AGENTS_PER_ERLANG) + 10
    with System("bench", fresh=True, say=quiet) as system:
        return asyncio.run(_measure(system, agents, rates, seconds, highest, random.Random(seed)))


async def _measure(
    system: System, agents: int, rates: Sequence[float], seconds: float, highest: bool, chance: random.Random
) -> dict[str, Any]:
    async with Api(system) as api, await ControlClient.connect("127.0.0.1", system.pbx_control_port) as pbx:
        await _set_up(system, api, pbx, agents)
        await _one_rate(system, pbx, 20.0, WARM_UP_CALLS / 20, chance)
        steps = [await _one_rate(system, pbx, rate, seconds, chance) for rate in rates]
        rate, step = rates[0], steps[0]
        while highest and step["sustained"] and rate * STEP <= MAX_RATE:
            rate *= STEP
            step = await _one_rate(system, pbx, rate, seconds / 2, chance)
            steps.append(step)
        sustained = [step["calls_per_s"] for step in steps if step["sustained"]]
        return {"agents": agents, "rates": steps, "highest_sustained_calls_per_s": max(sustained, default=0.0)}


async def _set_up(system: System, api: Api, pbx: ControlClient, agents: int) -> None:
    await api.ask("PUT", "routing", f"/v1/workspaces/{WORKSPACE}", {"org_path": "/cn/east", "name": "bench"})
    queue = {"name": "calls", "wrap_up_s": 0, "offer_timeout_s": 20}
    await api.ask("PUT", "routing", f"/v1/workspaces/{WORKSPACE}/queues/calls", queue)
    rule = {"name": "calls", "when": {}, "then": {"queue": "calls", "requirement": {"calls": 1}}}
    await api.ask("PUT", "routing", f"/v1/workspaces/{WORKSPACE}/rules", {"rules": [rule]})
    await pbx.set_trunk(TRUNK, [DID])
    await pbx.set_devices({device_id(n): Behaviour(answer_after=Fixed(ANSWER_S)) for n in range(agents)})
    trunk = {"trunk_id": TRUNK, "region": "CN", "territory": "CN-31", "dids": [DID], "org_path": ORG_PATH}
    place = {"driver": "virtual", "address": f"127.0.0.1:{system.pbx_port}", "workspace": WORKSPACE}
    await api.ask("PUT", "telephony", f"/v1/pbxs/{PBX}", {**place, "org_path": "/cn/east", "trunks": [trunk]})

    async def seat(number: int) -> None:
        who = agent_id(number)
        profile = {"workspace": WORKSPACE, "org_path": ORG_PATH, "name": who, "device_id": device_id(number)}
        await api.ask("PUT", "routing", f"/v1/agents/{who}", {**profile, "skills": {"calls": 50 + number % 50}})
        await api.ask("PUT", "routing", f"/v1/agents/{who}/state", {"state": "ready"}, agent_id=who)

    await each(range(agents), seat)


async def _one_rate(
    system: System, pbx: ControlClient, rate: float, seconds: float, chance: random.Random
) -> dict[str, Any]:
    moments = list(poisson(rate, seconds, chance))
    before = (await pbx.stats())["counts"]
    seen = (await pbx.request("samples", kind="assignment", after=0, limit=1))["made"]
    with cpu_s(system) as cpu:
        began = time.monotonic()
        await pbx.place_calls([(at_s, _caller(chance)) for at_s in moments])
        counts = await _over(pbx, before, len(moments))
        took_s = time.monotonic() - began
    latencies = [row["latency_us"] for row in await pbx.samples("assignment", after=seen)]
    figures = percentiles(latencies)
    connected = counts["answered"] - before["answered"]
    return {
        "calls_per_s": round(rate, 1),
        "calls": len(moments),
        "connected": connected,
        "took_s": round(took_s, 1),
        "latency_ms": {name: round(figures[name], 1) for name in ("p50", "p95", "p99", "max")},
        "cpu_ms_per_call": {name: round(used_s * 1000 / len(moments), 2) for name, used_s in cpu.items()},
        "sustained": connected == len(moments) and figures["p99"] <= SUSTAINED_P99_MS,
    }


def _caller(chance: random.Random) -> CallerScript:
    number = f"+86137{chance.randrange(10**8):08d}"
    return CallerScript(did=DID, number=number, talk=Fixed(chance.expovariate(1 / MEAN_TALK_S)))


async def _over(pbx: ControlClient, before: dict[str, int], calls: int) -> dict[str, int]:
    """Wait until all of them are over, within reason."""
    deadline = time.monotonic() + SETTLE_S + calls
    ends = ("completed", "abandoned", "rejected", "dropped")
    while True:
        stats = await pbx.stats()
        counts: dict[str, int] = stats["counts"]
        if sum(counts[name] - before[name] for name in ends) >= calls or time.monotonic() > deadline:
            return counts
        await asyncio.sleep(LOOK_S)
