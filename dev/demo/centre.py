"""Seeds a contact centre through the public APIs: agents, queues, rules, customers, a PBX, a partner."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from telephony_gateway.virtual_pbx.control import ControlClient
from telephony_gateway.virtual_pbx.core.scripts import (
    Behaviour,
    Exponential,
    Fixed,
    HoldHabit,
    MoveHabit,
    MoveKind,
    Uniform,
)

from dev.demo.api import Api, Failed
from dev.demo.running import Running
from dev.demo.traffic import TYPES, Day, Seat

WORKSPACE, PBX, TRUNK = "main", "pbx-1", "pstn-shanghai"
DID = "+862154601234"
ORG_PATH = "/cn/east/shanghai"
SUBSCRIBED = (
    "telephony.call.cleared.v1",
    "routing.assignment.accepted.v1",
    "accounts.interaction.recorded.v1",
    "accounts.service-request.resolved.v1",
    "leads.lead.captured.v1",
    "leads.lead.converted.v1",
)
AT_ONCE = 8

_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高单仇曾解欧阳"
_GIVEN = (
    "伟",
    "芳",
    "娜",
    "秀英",
    "敏",
    "静",
    "丽",
    "强",
    "磊",
    "军",
    "洋",
    "勇",
    "艳",
    "杰",
    "娟",
    "涛",
    "明",
    "超",
    "霞",
    "平",
)
_COMPANIES = ("远洋物流", "晨光电子", "东方纺织", "浦江机械", "海港食品", "Anker & Söhne", "Lotus Trading")
_TIERS = ("gold", "silver", None, None)


def agent_id(number: int) -> str:
    """Of the ``number``-th seat, from 0."""
    return f"a{1001 + number}"


def device_id(number: int) -> str:
    """The phone of the ``number``-th seat."""
    return str(1001 + number)


def customer_number(index: int) -> str:
    """A mobile number as a Chinese trunk sends it: national."""
    return f"138{index:08d}"


def customer_name(index: int) -> tuple[str, str]:
    """Kind and name of the ``index``-th customer; always the same."""
    chance = random.Random(index)
    if chance.random() < 0.2:
        return "organisation", f"{chance.choice(_COMPANIES)} {index}"
    return "person", chance.choice(_SURNAMES[:-2]) + chance.choice(_GIVEN)


async def seed(system: Running, api: Api, day: Day, speed: float, webhook_url: str) -> str:
    """Make everything that the day needs; returns the partner's signing secret."""
    await api.ask(
        "PUT",
        "routing",
        f"/v1/workspaces/{WORKSPACE}",
        {"org_path": "/cn/east", "name": "上海 Shanghai", "agent_order": "longest_idle"},
    )
    for queue, wrap_up_s in (("service", 5), ("sales", 10), ("stocks", 5), ("internet", 5), ("back-office", 0)):
        await api.ask(
            "PUT",
            "routing",
            f"/v1/workspaces/{WORKSPACE}/queues/{queue}",
            {"name": queue, "wrap_up_s": int(wrap_up_s / speed), "offer_timeout_s": max(3, int(20 / speed))},
        )
    await api.ask("PUT", "routing", f"/v1/workspaces/{WORKSPACE}/rules", {"rules": _rules()})
    await _together(_put_agent(api, number, seat) for number, seat in enumerate(day.seats))
    await _set_up_pbx(system, api, day)
    known = sorted({caller.customer for caller in day.callers if caller.customer})
    await _together(_add_customer(api, index, len(day.seats)) for index in range(len(known)))
    endpoint = await api.ask(
        "POST",
        "notifications",
        "/v1/endpoints",
        {"url": webhook_url, "event_types": list(SUBSCRIBED), "org_path": "/", "description": "the demo's partner"},
        headers={"Idempotency-Key": "demo-partner"},
    )
    secret: str = endpoint["secret"]
    return secret


def _rules() -> list[dict[str, Any]]:
    """Which calls go where: by what the IVR learned, in the bank's words."""
    queues = {"PS": "service", "NW": "sales", "NE": "stocks", "IN": "internet", "TT": "internet", "PE": "service"}
    rules: list[dict[str, Any]] = [
        {
            "name": f"call-{kind.lower()}",
            "when": {"kind": ["call"], "attributes": {"type": [kind]}},
            "then": {"queue": queues[kind], "requirement": {kind: 1}},
        }
        for kind in TYPES
    ]
    rules.append({"name": "leads", "when": {"kind": ["lead"]}, "then": {"queue": "sales", "requirement": {"NW": 1}}})
    rules.append({"name": "rest", "when": {}, "then": {"queue": "back-office"}})
    return rules


async def _put_agent(api: Api, number: int, seat: Seat) -> None:
    await api.ask(
        "PUT",
        "routing",
        f"/v1/agents/{agent_id(number)}",
        {
            "workspace": WORKSPACE,
            "org_path": ORG_PATH,
            "name": seat.name,
            "device_id": device_id(number),
            # Levels differ from agent to agent, as they do among people.
            "skills": dict.fromkeys(sorted(seat.skills), 60 + number * 7 % 40) | {"language:zh-CN": 100},
            "territories": ["CN-31"] if number % 2 else ["CN"],
        },
    )


async def _set_up_pbx(system: Running, api: Api, day: Day) -> None:
    async with await ControlClient.connect(system.pbx_host, system.pbx_control_port) as pbx:
        await pbx.set_trunk(TRUNK, [DID])
        await pbx.set_devices(
            {device_id(number): _behaviour(number, len(day.seats)) for number in range(len(day.seats))}
        )
    await api.ask(
        "PUT",
        "telephony",
        f"/v1/pbxs/{PBX}",
        {
            "driver": "virtual",
            "address": f"{system.pbx_host}:{system.pbx_port}",
            "workspace": WORKSPACE,
            "org_path": "/cn/east",
            "trunks": [{"trunk_id": TRUNK, "region": "CN", "territory": "CN-31", "dids": [DID], "org_path": ORG_PATH}],
            "outbound_prefixes": ["+86"],
        },
    )
    for _ in range(150):
        connection = (await api.ask("GET", "telephony", f"/v1/pbxs/{PBX}"))["connection"]
        if connection["state"] == "connected":
            return
        await asyncio.sleep(0.2)
    raise Failed(f"the gateway does not reach the PBX: {connection['detail']}")


def _behaviour(number: int, size: int) -> Behaviour:
    """Most pick up within seconds; some transfer, some put on hold, one in a while lets it ring."""
    colleagues = tuple(device_id((number + step) % size) for step in (1, 2))
    return Behaviour(
        answer_after=Uniform(1.0, 4.0),
        decline_chance=0.01,
        talk=Exponential(180.0),
        hold=HoldHabit(0.1, Fixed(10.0), Uniform(5.0, 20.0)),
        move=MoveHabit(0.05, MoveKind.BLIND if number % 2 else MoveKind.ATTENDED, Uniform(5.0, 30.0), colleagues)
        if size > 3
        else None,
    )


async def _add_customer(api: Api, index: int, seats: int) -> None:
    kind, name = customer_name(index)
    body: dict[str, Any] = {
        "kind": kind,
        "name": name,
        "org_path": ORG_PATH,
        "phones": [customer_number(index)],
        "region": "CN",
        "tier": _TIERS[index % len(_TIERS)],
        "language": "zh-CN",
        "territory": "CN-31",
        "owner_agent_id": agent_id(index % seats) if index % 10 == 0 else None,
    }
    if kind == "organisation":
        body["contacts"] = [{"name": "陈静", "role": "采购经理", "phones": [f"139{index:08d}"]}]
    await api.ask("POST", "accounts", "/v1/customers", body, headers={"Idempotency-Key": f"demo-customer-{index}"})


async def _together(work: Iterable[Awaitable[None]]) -> None:
    """A bounded number at a time."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(job: Awaitable[None]) -> None:
        async with slots:
            await job

    await asyncio.gather(*(one(job) for job in work))


async def each(numbers: Iterable[int], do: Callable[[int], Awaitable[None]]) -> None:
    """Do the same for many seats, a bounded number at a time."""
    await _together(do(number) for number in numbers)
