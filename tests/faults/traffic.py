"""Calls, leads and service requests at a modest rate, for as long as a test breaks things, and their account."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cordboard_chassis.supervision import cancel
from cordboard_chassis.testing.deployment import eventually
from telephony_gateway.virtual_pbx.core.scripts import CallerScript, Fixed

from dev.demo.centre import DID, agent_id, customer_number, device_id
from dev.demo.desks import Desks
from dev.system import SERVICES
from tests.faults import account
from tests.faults.centre import CUSTOMERS, SPEED, Centre, Fault
from tests.faults.report import Entry

CALLS_A_SECOND = 2.5
OTHERS_A_SECOND = 1.0
"""Leads and service requests."""
SETTLE_S = 150.0
"""Longer than any message can be under way by itself: its retries after 1, 10 and 60 s, on a busy machine."""
SECONDS_S = 1e6
"""Microseconds of the PBX's books."""

_CALLS = """
    SELECT call_id::text AS id, body->>'pbx_call' AS pbx_call_id, state,
           ARRAY(SELECT leg->>'agent_id' FROM jsonb_array_elements(body->'connections') AS leg
                 WHERE leg->>'failure' = 'cancelled') AS given_up
    FROM calls WHERE body->>'pbx_call' = ANY(%s)
"""
_INTERACTIONS = """
    SELECT interaction_id::text AS id, outcome, ended_at, agent_ids FROM interactions
    WHERE interaction_id = ANY(%s::uuid[])
"""
_ITEMS = """
    SELECT work_item_id::text AS id, kind, subject_id::text, state FROM work_items WHERE subject_id = ANY(%s::uuid[])
"""
_ASSIGNMENTS = """
    SELECT assignment_id::text AS id, work_item_id::text, agent_id, accepted_at, ended_at FROM assignments
    WHERE work_item_id = ANY(%s::uuid[])
"""
_LEADS = "SELECT lead_id::text AS id, phone, status, customer_id::text FROM leads WHERE phone = ANY(%s)"
_CUSTOMERS = "SELECT customer_id::text AS id, source_ref FROM customers WHERE source_ref = ANY(%s)"
_REQUESTS = "SELECT service_request_id::text AS id, status FROM service_requests WHERE opened_at >= %s"
_LEFT_OVER = {
    "rows in the outbox": "SELECT count(*) AS number FROM outbox",
    "inputs of owners": "SELECT count(*) AS number FROM owner_inputs WHERE done_at IS NULL",
    "parked messages": (
        "SELECT count(*) AS number FROM parked_messages"
        " WHERE parked_at >= %(since)s AND NOT (message_id = ANY(%(poison)s))"
    ),
    "refused messages": "SELECT count(*) AS number FROM refused_messages WHERE refused_at >= %(since)s",
}
_UNDELIVERED = "SELECT count(*) AS number FROM deliveries WHERE state <> 'delivered'"
_OPEN = "SELECT count(*) AS number FROM work_items WHERE state NOT IN ('completed', 'cancelled')"


@dataclass
class Traffic:
    """What one test drives through the system."""

    centre: Centre
    name: str
    seed: int
    placed: int = 0
    strangers: dict[str, str] = field(default_factory=dict)
    """Tag of the call -> number."""
    leads: list[account.Submitted] = field(default_factory=list)
    requests: list[account.Submitted] = field(default_factory=list)
    poison: list[str] = field(default_factory=list)
    """Ids of messages that the test put there to be parked."""
    forged: set[str] = field(default_factory=set)
    """Ids of events that the test said itself: the partner rightly hears of them."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.desks = Desks(self.centre.api, self.centre.day, SPEED)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.entry = Entry.of(
            self.name, seed=self.seed, attempted=0, acknowledged=0, recovered=0, findings=(), faults=()
        )
        """The account as it was looked at last."""
        self._rejected_before = 0
        self._first_fault = len(self.centre.faults)
        self._began = self.centre.rows("accounts", "SELECT now() AS at")[0]["at"]

    async def begin(self) -> None:
        """Open the doors."""
        self._rejected_before = await self._rejected()
        work = (self.flow(), self.flow_of_others(), self.desks.serve(), self.desks.keep_ready())
        self.tasks = [asyncio.create_task(part) for part in work]
        await self.more(calls=2)

    async def more(self, calls: int) -> None:
        """Wait until so many more calls have arrived: a moment that depends on what happens, not on a clock."""
        wanted = (await self.centre.pbx.stats())["counts"]["offered"] + calls
        await eventually(lambda: self._offered(wanted), timeout_s=60, poll_s=0.05)

    async def moment(self) -> None:
        """A moment by chance."""
        await self.more(self.chance.randint(2, 6))

    async def _offered(self, wanted: int) -> bool:
        self._goes_on()
        return bool((await self.centre.pbx.stats())["counts"]["offered"] >= wanted)

    async def must_balance(self) -> None:
        """No more arrives; when everything has settled, the account must balance.

        Raises:
            AssertionError: it does not; says all that is lost, doubled or otherwise not as it must be.
        """
        self._flowing.clear()
        try:
            await eventually(self._balances, timeout_s=SETTLE_S, poll_s=0.5)
        except AssertionError as error:
            told = "\n  ".join(["what desks were told:", *self.desks.failures])
            raise AssertionError(f"the account does not balance (seed {self.seed}): {error}\n{told}") from None

    def _goes_on(self) -> None:
        """Whatever fails in the background fails the test."""
        for task in self.tasks:
            if task.done():
                task.result()

    async def _balances(self) -> bool:
        self._goes_on()
        books = await self.books()
        found = account.findings(books)
        self.entry = self._entry(books, found)
        assert not found, "".join(f"\n  {finding}" for finding in found)
        return True

    async def books(self) -> account.Books:
        """Both sides of the account, as of now."""
        centre, rows = self.centre, self.centre.rows
        records = [row for row in await centre.pbx.records() if self._is_ours(row["tag"])]
        ours = {row["call"] for row in records}
        books = account.Books(
            placed=self.placed - await self._rejected() + self._rejected_before,
            ledger=records,
            offences=[row for row in await centre.pbx.offences() if row["call"] in ours],
            strangers={row["call"]: self.strangers[row["tag"]] for row in records if row["tag"] in self.strangers},
            agent_at={device_id(number): agent_id(number) for number in range(len(centre.day.seats))},
            leads=self.leads,
            requests=self.requests,
            webhooks=[event for event in centre.partner.verified.values() if event["id"] not in self.forged],
        )
        books.calls = rows("telephony", _CALLS, (sorted(ours),))
        books.interactions = rows("accounts", _INTERACTIONS, (_ids(books.calls),))
        books.lead_rows = rows("leads", _LEADS, ([*self.strangers.values(), *(lead.phone for lead in self.leads)],))
        books.request_rows = rows("accounts", _REQUESTS, (self._began,))
        subjects = _ids(books.calls) + _ids(books.lead_rows) + _ids(books.request_rows)
        books.work_items = rows("routing", _ITEMS, (subjects,))
        books.assignments = rows("routing", _ASSIGNMENTS, (_ids(books.work_items),))
        books.customers = rows("accounts", _CUSTOMERS, ([f"lead:{row['id']}" for row in books.lead_rows],))
        books.left_over = await self._left_over()
        return books

    def _is_ours(self, tag: str) -> bool:
        return tag.startswith(f"{self.name}/")

    async def _rejected(self) -> int:
        """Calls that never came in, because the PBX was down."""
        return int((await self.centre.pbx.stats())["counts"]["rejected"])

    async def _left_over(self) -> dict[str, int]:
        rows, given = self.centre.rows, {"poison": self.poison, "since": self._began}
        left = {
            f"{name} ({service.name})": rows(service.name, statement, given)[0]["number"]
            for service in SERVICES
            for name, statement in _LEFT_OVER.items()
        }
        left["undelivered webhooks"] = rows("notifications", _UNDELIVERED)[0]["number"]
        left["open work items"] = rows("routing", _OPEN)[0]["number"]
        left.update({f"{name}: {problem}": 1 for name, problem in (await self.centre.not_ready()).items()})
        left["messages in queues"] = sum(queue.messages for queue in (await self.centre.queues()).values())
        agents = await self.centre.api.every("routing", "/v1/agents?workspace=main")
        left["agents who are not ready"] = sum(agent["state"] != "ready" for agent in agents)
        return left

    def _entry(self, books: account.Books, findings: list[account.Finding]) -> Entry:
        faults = self.centre.faults[self._first_fault :]
        asked = [*self.leads, *self.requests]
        hit = sum(_is_hit(record, faults) for record in books.ledger)
        return Entry.of(
            self.name,
            seed=self.seed,
            attempted=self.placed + len(asked),
            acknowledged=len({row["pbx_call_id"] for row in books.calls}) + len(asked),
            recovered=hit + sum(submitted.tries > 1 for submitted in asked),
            findings=findings,
            faults=faults,
        )

    # ---- what arrives

    async def call(self) -> None:
        """Whoever is next calls within the next second."""
        chance, self.centre.used = self.chance, self.centre.used + 1
        tag = f"{self.name}/{self.placed}"
        kind = chance.choices(("PS", "NW", "NE", "IN"), (70, 20, 5, 5))[0]
        if chance.random() < 0.7:
            number: str | None = customer_number(chance.randrange(CUSTOMERS))
        elif chance.random() < 0.9:
            number = f"1391{self.centre.used:07d}"
            self.strangers[tag] = f"+86{number}"
        else:
            number = None
        script = CallerScript(
            did=DID,
            number=number,
            attributes={"type": kind},
            patience=Fixed(60 * SPEED),
            talk=Fixed(chance.uniform(0.5, 2.5) * SPEED),
            tag=tag,
        )
        await self.centre.pbx.place_call(script, chance.random() * SPEED)
        self.placed += 1

    async def flow(self) -> None:
        """Calls until cancelled."""
        while True:
            await self._flowing.wait()
            await self.call()
            await asyncio.sleep(1 / CALLS_A_SECOND)

    async def flow_of_others(self) -> None:
        """Leads and service requests until cancelled."""
        tries = self.centre.api.tries
        while True:
            await self._flowing.wait()
            self.centre.used += 1
            number = self.centre.used
            if number % 2:
                lead_id = await self.desks.submit_lead(number)
                tried = tries[f"demo-lead-{number}"]
                self.leads.append(account.Submitted(lead_id, f"+86137{number:08d}", tried))
            else:
                request_id = await self.desks.open_request(number)
                assert request_id is not None
                self.requests.append(account.Submitted(request_id, tries=tries[f"demo-request-{number}"]))
            await asyncio.sleep(1 / OTHERS_A_SECOND)


@asynccontextmanager
async def flowing(centre: Centre, name: str, seed: int) -> AsyncIterator[Traffic]:
    """Traffic in the background."""
    traffic = Traffic(centre, name, seed)
    try:
        await traffic.begin()
        yield traffic
    finally:
        await cancel(*traffic.tasks)


def _ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def _is_hit(record: account.Row, faults: list[Fault]) -> bool:
    began, ended = record["offered_us"] / SECONDS_S, record["ended_us"] / SECONDS_S
    return any(began < fault.ended and ended > fault.began for fault in faults)
