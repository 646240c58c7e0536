"""The agents' side: they log in and out, and take the leads and service requests that they are offered."""

import asyncio
import math
import random
import time
from collections import Counter
from typing import Any

from dev.demo.api import Api, Failed
from dev.demo.centre import agent_id, customer_number, each
from dev.demo.traffic import Day

HANDLING_S = 20.0
"""Of the day's clock: how long an agent has a lead or a service request in hand."""
CONVERTED_SHARE = 0.6
LOOK_S = 0.25
HEARD_LOOKS = 1200
"""How often a desk looks whether a lead has heard that it was accepted: a minute."""


class Desks:
    """All agents' desktops, on one event stream."""

    def __init__(self, api: Api, day: Day, speed: float) -> None:
        self._api = api
        self._day = day
        self._speed = speed
        self._chance = random.Random(7)
        self._tasks: set[asyncio.Task[None]] = set()
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []

    async def log_in_early(self) -> None:
        """Everybody whose shift begins with the day."""
        await each(
            (number for number, seat in enumerate(self._day.seats) if seat.from_s <= 0),
            lambda number: self._set_state(number, "ready"),
        )

    async def keep_shifts(self, began_at: float) -> None:
        """Log the others in and out when their time comes; ``began_at`` on the monotonic clock is second 0."""
        changes = sorted(
            change
            for number, seat in enumerate(self._day.seats)
            for change in ((seat.from_s, number, "ready"), (seat.until_s, number, "offline"))
            if 0 < change[0] < math.inf
        )
        for at_s, number, state in changes:
            await asyncio.sleep(max(0.0, began_at + at_s / self._speed - time.monotonic()))
            await self._set_state(number, state)

    async def keep_ready(self) -> None:
        """Who did not pick up was made not ready; a few seconds later they say that they are back."""
        while True:
            await asyncio.sleep(LOOK_S * 4)
            for row in await self._api.every("routing", "/v1/agents?workspace=main&state=not_ready"):
                await self._set_state(int(row["agent_id"][1:]) - 1001, "ready")

    async def serve(self) -> None:
        """Take whatever is offered that is not a call."""
        async for event in self._api.events(["routing.assignment.offered.v1"]):
            if event["data"]["work_item"]["kind"] != "call":
                task = asyncio.create_task(self._handle(event["data"]))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def submit_others(self, leads: int, requests: int, over_s: float) -> None:
        """Leads from a web form, and service requests of customers, evenly over the world's ``over_s`` seconds."""
        total = leads + requests
        for number in range(total):
            await (self.submit_lead(number) if number < leads else self.open_request(number))
            await asyncio.sleep(over_s / total)

    async def submit_lead(self, number: int) -> str:
        """The ``number``-th visitor of a web form; the lead's id."""
        lead = await self._api.ask(
            "POST",
            "leads",
            "/v1/leads",
            {
                "name": f"访客 {number}",
                "phone": f"137{number:08d}",
                "region": "CN",
                "interest": "开户咨询",
                "org_path": "/cn/east/shanghai",
                "language": "zh-CN",
            },
            headers={"Idempotency-Key": f"demo-lead-{number}"},
        )
        self.done["leads submitted"] += 1
        return str(lead["lead_id"])

    async def open_request(self, number: int) -> str | None:
        """The ``number``-th service request, of one of the first customers; its id, None when there is no customer."""
        found = await self._api.ask("GET", "accounts", f"/v1/customers?phone={customer_number(number % 20)}&region=CN")
        if not found["items"]:
            return None
        request = await self._api.ask(
            "POST",
            "accounts",
            "/v1/service-requests",
            {"customer_id": found["items"][0]["customer_id"], "subject": "地址变更", "workspace": "main"},
            headers={"Idempotency-Key": f"demo-request-{number}"},
        )
        self.done["service requests opened"] += 1
        return str(request["service_request_id"])

    async def _handle(self, offered: dict[str, Any]) -> None:
        assignment, item = offered["assignment"], offered["work_item"]
        who = assignment["agent_id"]
        try:
            await self._api.ask(
                "POST", "routing", f"/v1/assignments/{assignment['assignment_id']}/accept", agent_id=who
            )
            await asyncio.sleep(HANDLING_S / self._speed)
            if item["kind"] == "lead":
                await self._finish_lead(item["subject_id"], who)
            else:
                await self._api.ask(
                    "POST", "accounts", f"/v1/service-requests/{item['subject_id']}/resolve", {"resolution": "办妥"}
                )
                self.done["service requests resolved"] += 1
        except Failed as error:
            self.failures.append(f"{item['kind']} {item['subject_id']}: {error}")

    async def _finish_lead(self, lead_id: str, who: str) -> None:
        # The lead learns through the bus that the agent took it.
        for _ in range(HEARD_LOOKS):
            lead = await self._api.ask("GET", "leads", f"/v1/leads/{lead_id}")
            if lead["status"] == "accepted":
                break
            await asyncio.sleep(LOOK_S / 5)
        if self._chance.random() < CONVERTED_SHARE:
            await self._api.ask("POST", "leads", f"/v1/leads/{lead_id}/convert", {"kind": "person"}, agent_id=who)
            self.done["leads converted"] += 1
        else:
            await self._api.ask(
                "POST", "leads", f"/v1/leads/{lead_id}/reject", {"reason": "not interested"}, agent_id=who
            )
            self.done["leads rejected"] += 1

    async def _set_state(self, number: int, state: str) -> None:
        try:
            body = {"state": state}
            await self._api.ask(
                "PUT", "routing", f"/v1/agents/{agent_id(number)}/state", body, agent_id=agent_id(number)
            )
        except Failed as error:
            self.failures.append(str(error))

    async def settle(self, timeout_s: float) -> None:
        """Wait until nothing is in hand any more."""
        async with asyncio.timeout(timeout_s):
            while self._tasks:
                await asyncio.wait(set(self._tasks))
