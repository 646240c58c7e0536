"""The sample service's wiring."""

from collections.abc import Iterable
from typing import Annotated, Any

from cordboard_chassis.auth.principal import Principal, Role, principal
from cordboard_chassis.database import Database
from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.idempotency import Answer, IdempotencyKey, Once
from cordboard_chassis.http.owner_inputs import ask_owner
from cordboard_chassis.messaging import Delivery, Queue
from cordboard_chassis.ownership import OwnerInput, OwnerKind, Ownership
from cordboard_chassis.refusals import Conflict, Invalid
from cordboard_chassis.service import Service
from cordboard_chassis.settings import ServiceSettings
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import Envelope, OrgPath
from cordboard_contracts.accounts import RegisterCustomer
from cordboard_contracts.leads import LeadSubmitted
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from sqlalchemy import text

from sample import notes

ADD = text(
    "INSERT INTO counters (name, org_path, value) VALUES (:name, :org_path, :by)"
    " ON CONFLICT (name) DO UPDATE SET value = counters.value + :by RETURNING value"
)
Caller = Annotated[Principal, Depends(principal(Role.ADMINISTRATOR, Role.AGENT))]
router = APIRouter(prefix="/v1")


class Counter(BaseModel):
    name: str
    value: int


class Addition(Body):
    name: str
    org_path: OrgPath
    by: int = 1


async def add(uow: UnitOfWork, name: str, org_path: str, by: int = 1) -> Counter:
    """Count, and ask for a customer of that name: something to publish."""
    value = int(await uow.scalar(ADD, {"name": name, "org_path": org_path, "by": by}))
    command = RegisterCustomer(source_ref=f"counter:{name}:{value}", org_path=org_path, kind="person", name=name)
    uow.emit(command, subject=name, sequence=value, orgpath=org_path)
    return Counter(name=name, value=value)


@router.post("/counters", status_code=201)
async def count(body: Addition, _caller: Caller, once: Once) -> Counter:
    async def act(uow: UnitOfWork) -> Answer:
        if body.by == 13:
            raise Conflict("13 brings bad luck", "by")
        return Answer(await add(uow, body.name, body.org_path, body.by), 201)

    return await once(act)  # type: ignore[return-value]


@router.get("/counters")
async def list_counters(caller: Caller, database: Db) -> list[Counter]:
    async with database.transaction(caller.org_path) as uow:
        found = await uow.all(text("SELECT name, value FROM counters ORDER BY name LIMIT 100"))
    return [Counter(name=row.name, value=row.value) for row in found]


@router.post("/workspaces/{workspace}/counters")
async def count_by_owner(
    workspace: str, body: Addition, request: Request, caller: Caller, database: Db, key: IdempotencyKey = None
) -> Counter:
    result = await ask_owner(
        request, caller, database, kind="workspace", owner_id=workspace, name="add", payload=body, key=key
    )
    return Counter(**result)


async def on_lead(uow: UnitOfWork, envelope: Envelope[Any]) -> None:
    """The name of the lead says what shall happen."""
    name = envelope.data.lead.name
    if name == "refuse":
        raise Invalid("is refused", "name")
    if name == "break":
        raise RuntimeError("broken")
    await add(uow, name, envelope.orgpath)


async def own(ownership: Ownership) -> None:
    """Counts what reaches the owner of a workspace."""
    while True:
        items = await ownership.intake.drain()
        deliveries = [item for item in items if isinstance(item, Delivery)]
        async with ownership.transaction() as uow:
            for delivery in await ownership.admit(uow, deliveries):
                uow.cause = delivery.envelope
                await add(uow, f"{ownership.owner_id}:{delivery.envelope.data.lead.name}", delivery.envelope.orgpath)
            for item in items:
                if isinstance(item, OwnerInput):
                    if item.payload["by"] == 13:
                        await ownership.refuse(uow, item, Conflict("13 brings bad luck", "by"))
                        continue
                    if item.payload["by"] == 666:
                        raise RuntimeError("the owner fails at this")
                    counter = await add(uow, item.payload["name"], item.payload["org_path"], item.payload["by"])
                    await ownership.answer(uow, item, counter.model_dump())
        await ownership.acknowledgements.begin(deliveries)


async def workspaces(_database: Database) -> Iterable[str]:
    return ["north", "south"]


def build(settings: ServiceSettings) -> Service:
    database = Database(settings.database_url, service="sample")
    return Service(
        name="sample",
        settings=settings,
        database=database,
        migrations="sample.migrations",
        routers=[router, notes.router],
        queues=[Queue("sample.leads", {LeadSubmitted: on_lead})],
        owners=[OwnerKind("sample", "workspace", (LeadSubmitted,), workspaces, own)],
    )
