"""Every statement on the service's own tables. Each reads only what the unit of work's scope may see."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from cordboard_chassis.auth.org_paths import ROOT, is_within, within
from cordboard_chassis.unit_of_work import UnitOfWork
from pydantic_core import to_json
from sqlalchemy import (
    Row,
    Select,
    Text,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY

from accounts.domain.changes import Change
from accounts.domain.customers import Contact, Customer, Kind, Phone, Status
from accounts.domain.interactions import Interaction, Outcome
from accounts.domain.names import AFTER_EVERY_CHARACTER, name_key
from accounts.domain.service_requests import RequestStatus, ServiceRequest
from accounts.storage.tables import (
    audit_entries,
    contacts,
    customers,
    interactions,
    notes,
    phones,
    registrations,
    service_requests,
)

_uuid = postgresql.UUID(as_uuid=True)

MAX_MATCHES = 20
"""Customers that a look-up by number returns at most."""
MAX_LINKED = 200
"""Earlier interactions of its numbers that a customer gets with one change, the latest first."""

# --- what may be seen ---


# --- locks that are about a key, not about a row ---

_LOCK_KEYS = text("SELECT pg_advisory_xact_lock(hashtextextended(key, 0)) FROM unnest(CAST(:keys AS text[])) AS key")
_SHARE_KEY = text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:key, 0))")


def _number_key(number: str) -> str:
    return f"accounts.number:{number}"


async def lock_numbers(uow: UnitOfWork, numbers: Iterable[str]) -> None:
    """Until the end of the transaction nobody else gives these numbers to a customer.

    Writers that want several always take them in the same order.
    """
    keys = sorted({_number_key(number) for number in numbers})
    if keys:
        await uow.execute(_LOCK_KEYS, {"keys": keys})


async def lock_source(uow: UnitOfWork, source_ref: str) -> None:
    """Until the end of the transaction nobody else makes a customer of this source."""
    await uow.execute(_LOCK_KEYS, {"keys": [f"accounts.source:{source_ref}"]})


async def await_number(uow: UnitOfWork, number: str) -> None:
    """Wait for whoever is just giving this number to a customer, and let nobody begin until we are done."""
    await uow.execute(_SHARE_KEY, {"key": _number_key(number)})


# --- customers ---


async def insert_customer(uow: UnitOfWork, customer: Customer) -> None:
    """Store a new customer with contacts and phones."""
    row = _customer_row(customer) | {"created_at": customer.created_at, "updated_at": uow.now}
    await uow.execute(insert(customers).values(row))
    await _insert_contacts(uow, customer, customer.contacts)
    await _insert_phones(uow, customer, customer.phones)


async def update_customer(uow: UnitOfWork, before: Customer, after: Customer) -> None:
    """Store what differs between two versions."""
    await uow.execute(
        update(customers)
        .where(customers.c.customer_id == after.customer_id)
        .values(_customer_row(after) | {"updated_at": uow.now})
    )
    left = {phone.phone_id for phone in after.phones}
    gone = [phone.phone_id for phone in before.phones if phone.phone_id not in left]
    if gone:
        await uow.execute(delete(phones).where(phones.c.phone_id.in_(gone)))
    await _update_contacts(uow, before, after)
    present = {phone.phone_id for phone in before.phones}
    await _insert_phones(uow, after, [phone for phone in after.phones if phone.phone_id not in present])


async def _update_contacts(uow: UnitOfWork, before: Customer, after: Customer) -> None:
    known = {contact.contact_id: contact for contact in before.contacts}
    gone = known.keys() - {contact.contact_id for contact in after.contacts}
    if gone:
        await uow.execute(delete(contacts).where(contacts.c.contact_id.in_(gone)))
    for contact in after.contacts:
        if contact.contact_id in known and known[contact.contact_id] != contact:
            await uow.execute(
                update(contacts)
                .where(contacts.c.contact_id == contact.contact_id)
                .values(name=contact.name, role=contact.role, email=contact.email)
            )
    await _insert_contacts(uow, after, [contact for contact in after.contacts if contact.contact_id not in known])


async def find_customer(uow: UnitOfWork, customer_id: UUID, *, lock: bool = False) -> Customer | None:
    """The customer, whole; with ``lock``, nobody else changes it until the end of the transaction."""
    statement = select(customers).where(customers.c.customer_id == customer_id, within(customers.c.org_path, uow.scope))
    if lock:
        # Not FOR UPDATE: that would hold up everybody who writes a row that refers to the customer.
        statement = statement.with_for_update(key_share=True)
    row = await uow.one(statement)
    if row is None:
        return None
    contact_rows = await uow.all(
        select(contacts)
        .where(contacts.c.customer_id == customer_id, within(contacts.c.org_path, uow.scope))
        .order_by(contacts.c.position)
    )
    phone_rows = await phones_of(uow, [customer_id])
    return _customer(
        row,
        tuple(Contact(c.contact_id, c.name, c.role, c.email) for c in contact_rows),
        tuple(Phone(p.phone_id, p.number, p.contact_id) for p in phone_rows),
    )


async def phones_of(uow: UnitOfWork, customer_ids: Collection[UUID]) -> Sequence[Row[Any]]:
    """Every phone of these customers, the customers' own and the contacts', in the order in which they came."""
    return await uow.all(
        select(phones)
        .where(phones.c.customer_id == func.any(bindparam("ids", list(customer_ids), ARRAY(_uuid))))
        .where(within(phones.c.org_path, uow.scope))
        .order_by(phones.c.position)
    )


async def sharing(uow: UnitOfWork, customer_id: UUID, numbers: Collection[str]) -> Mapping[str, int]:
    """How many other customers have each of the numbers; those that nobody else has are missing."""
    if not numbers:
        return {}
    rows = await uow.all(
        select(phones.c.number, func.count(phones.c.customer_id.distinct()).label("others"))
        .where(phones.c.number == func.any(bindparam("numbers", list(numbers), ARRAY(Text))))
        .where(phones.c.customer_id != customer_id, within(phones.c.org_path, uow.scope))
        .group_by(phones.c.number)
    )
    return {row.number: row.others for row in rows}


@dataclass(frozen=True)
class CustomerFilter:
    """Which customers are listed; None does not filter. ``number`` is E.164."""

    name_prefix: str | None = None
    number: str | None = None
    tier: str | None = None
    kind: str | None = None
    status: str | None = None
    owner_agent_id: str | None = None
    org_path: str | None = None


async def list_customers(
    uow: UnitOfWork, wanted: CustomerFilter, after: tuple[str, UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    """Customers by name, then id."""
    c = customers.c
    statement = select(customers).where(within(c.org_path, uow.scope))
    if wanted.org_path is not None:
        statement = statement.where(within(c.org_path, wanted.org_path))
    if wanted.name_prefix is not None:
        prefix = name_key(wanted.name_prefix)
        statement = statement.where(c.name_key >= prefix, c.name_key < prefix + AFTER_EVERY_CHARACTER)
    if wanted.number is not None:
        owners = select(phones.c.customer_id).where(
            phones.c.number == wanted.number, within(phones.c.org_path, uow.scope)
        )
        statement = statement.where(c.customer_id.in_(owners))
    for column, value in (
        (c.tier, wanted.tier),
        (c.kind, wanted.kind),
        (c.status, wanted.status),
        (c.owner_agent_id, wanted.owner_agent_id),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if after is not None:
        statement = statement.where(tuple_(c.name_key, c.customer_id) > tuple_(*after))
    return await uow.all(statement.order_by(c.name_key, c.customer_id).limit(limit))


# --- callers ---


def callers_statement(number: str, scope: str, called_at: str = ROOT) -> Select[Any]:
    """Who may be calling from a number: one index hit in ``phones``, then the rows that it leads to.

    Best first: customers on the same line of the organisation as ``called_at`` (above or below it) before
    those of other branches, active before frozen, those whose own number it is before those with a contact who
    has it, longest known first.
    """
    same_line = or_(phones.c.org_path.in_(_ancestors(called_at)), within(phones.c.org_path, called_at))
    return (
        select(
            customers,
            contacts.c.contact_id.label("caller_id"),
            contacts.c.name.label("caller_name"),
            contacts.c.role.label("caller_role"),
            contacts.c.email.label("caller_email"),
        )
        .select_from(
            phones.join(customers, customers.c.customer_id == phones.c.customer_id).outerjoin(
                contacts, contacts.c.contact_id == phones.c.contact_id
            )
        )
        .where(phones.c.number == number, within(phones.c.org_path, scope), within(customers.c.org_path, scope))
        .order_by(
            case((same_line, 0), else_=1),
            case((customers.c.status == Status.ACTIVE, 0), else_=1),
            phones.c.contact_id.is_not(None),
            customers.c.created_at,
            customers.c.customer_id,
            contacts.c.position,
        )
        .limit(MAX_MATCHES * 2)
    )


async def find_callers(uow: UnitOfWork, number: str, called_at: str = ROOT) -> Sequence[Row[Any]]:
    """See `callers_statement`; a customer whose number is also a contact's comes once for each."""
    return await uow.all(callers_statement(number, uow.scope, called_at))


async def find_known(uow: UnitOfWork, numbers: Iterable[str], org_path: str) -> UUID | None:
    """The best customer on this line of the organisation who has one of the numbers."""
    for number in numbers:
        row = await uow.one(callers_statement(number, uow.scope, org_path))
        if row is not None and (is_within(row.org_path, org_path) or is_within(org_path, row.org_path)):
            found: UUID = row.customer_id
            return found
    return None


def _ancestors(path: str) -> list[str]:
    """``/cn/east`` -> ``["/", "/cn", "/cn/east"]``."""
    parts = [part for part in path.split("/") if part]
    return [ROOT, *("/" + "/".join(parts[:depth]) for depth in range(1, len(parts) + 1))]


# --- registrations ---


async def find_registration(uow: UnitOfWork, source_ref: str) -> UUID | None:
    """The customer that was made of, or found for, a source."""
    found: UUID | None = await uow.scalar(
        select(registrations.c.customer_id).where(
            registrations.c.source_ref == source_ref, within(registrations.c.org_path, uow.scope)
        )
    )
    return found


async def insert_registration(uow: UnitOfWork, source_ref: str, customer: Customer) -> None:
    """Remember which customer a source became."""
    await uow.execute(
        insert(registrations).values(
            source_ref=source_ref,
            customer_id=customer.customer_id,
            org_path=customer.org_path,
            registered_at=uow.now,
        )
    )


# --- interactions ---

_SNAPSHOT = {
    "sequence": "bigint",
    "workspace": "text",
    "org_path": "text",
    "direction": "text",
    "from_number": "text",
    "dialled": "text",
    "agent_ids": "text[]",
    "outcome": "text",
    "started_at": "timestamptz",
    "answered_at": "timestamptz",
    "ended_at": "timestamptz",
}


# Rows as one JSON document: one statement to prepare, however many there are. Ordered, so that two transactions
# with the same calls wait for each other instead of deadlocking.
_STORE_INTERACTIONS = text(
    f"""
    INSERT INTO interactions ({", ".join(_SNAPSHOT)}, interaction_id, recorded)
    SELECT {", ".join(_SNAPSHOT)}, interaction_id, false
    FROM json_to_recordset(CAST(:rows AS json)) AS given (
        {", ".join(f"{name} {kind}" for name, kind in _SNAPSHOT.items())}, interaction_id uuid
    )
    ORDER BY interaction_id
    ON CONFLICT (interaction_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _SNAPSHOT)}
    WHERE interactions.sequence < excluded.sequence
    RETURNING interaction_id, recorded
    """
)


async def store_interactions(uow: UnitOfWork, given: Iterable[Interaction]) -> dict[UUID, bool]:
    """Replace what is stored by what is newer, one row a call. Returns, for what was newer, whether its end was
    recorded before."""
    rows = [
        {name: getattr(interaction, name) for name in _SNAPSHOT} | {"interaction_id": interaction.interaction_id}
        for interaction in given
    ]
    stored = await uow.all(_STORE_INTERACTIONS, {"rows": to_json(rows).decode()})
    return {row.interaction_id: row.recorded for row in stored}


async def record_end(uow: UnitOfWork, interaction_id: UUID, customer_id: UUID | None, contact_id: UUID | None) -> None:
    """Say that the end was told to everybody, and whose interaction it is."""
    await uow.execute(
        update(interactions)
        .where(interactions.c.interaction_id == interaction_id)
        .values(recorded=True, customer_id=customer_id, contact_id=contact_id)
    )


async def link_interactions(uow: UnitOfWork, customer: Customer, numbers: Collection[str]) -> int:
    """Give a customer the latest of the earlier interactions of these numbers that are nobody's.

    At most `MAX_LINKED`, and only those within the unit of work's scope. One that is being written just now is
    passed over. Returns how many.
    """
    if not numbers:
        return 0
    c = interactions.c
    nobodys = (
        select(c.interaction_id)
        .where(c.from_number == func.any(bindparam("numbers", list(numbers), ARRAY(Text))))
        .where(c.customer_id.is_(None), c.recorded, within(c.org_path, uow.scope))
        .order_by(c.started_at.desc(), c.interaction_id.desc())
        .limit(MAX_LINKED)
        .with_for_update(skip_locked=True)
        .cte("nobodys")
    )
    contact_id = (
        select(phones.c.contact_id)
        .where(phones.c.customer_id == customer.customer_id, phones.c.number == c.from_number)
        .order_by(phones.c.contact_id.is_(None), phones.c.position)
        .limit(1)
        .correlate(interactions)
        .scalar_subquery()
    )
    linked = await uow.execute(
        update(interactions)
        .where(c.interaction_id.in_(select(nobodys.c.interaction_id)))
        .values(customer_id=customer.customer_id, contact_id=contact_id)
    )
    return linked.rowcount


@dataclass(frozen=True)
class InteractionFilter:
    """Which interactions are listed; None does not filter. ``number`` is E.164."""

    customer_id: UUID | None = None
    number: str | None = None
    outcome: str | None = None
    org_path: str | None = None
    started_from: datetime | None = None
    started_before: datetime | None = None


async def list_interactions(
    uow: UnitOfWork, wanted: InteractionFilter, after: tuple[datetime, UUID] | None, limit: int
) -> list[Interaction]:
    """Interactions, the latest first."""
    c = interactions.c
    statement = select(interactions).where(within(c.org_path, uow.scope))
    if wanted.customer_id is not None:
        statement = statement.where(c.customer_id == wanted.customer_id)
    if wanted.number is not None:
        statement = statement.where(c.from_number == wanted.number)
    if wanted.outcome is not None:
        statement = statement.where(c.outcome == wanted.outcome)
    if wanted.org_path is not None:
        statement = statement.where(within(c.org_path, wanted.org_path))
    if wanted.started_from is not None:
        statement = statement.where(c.started_at >= wanted.started_from)
    if wanted.started_before is not None:
        statement = statement.where(c.started_at < wanted.started_before)
    if after is not None:
        statement = statement.where(tuple_(c.started_at, c.interaction_id) < tuple_(*after))
    rows = await uow.all(statement.order_by(c.started_at.desc(), c.interaction_id.desc()).limit(limit))
    return [_interaction(row) for row in rows]


async def last_interactions(
    uow: UnitOfWork, customer_ids: Sequence[UUID], each: int
) -> Mapping[UUID, list[Interaction]]:
    """The latest interactions of each of these customers, in one statement."""
    if not customer_ids or not each:
        return {}
    wanted = (
        func.unnest(bindparam("ids", list(customer_ids), ARRAY(_uuid)))
        .table_valued("customer_id")
        .render_derived(name="wanted")
    )
    c = interactions.c
    latest = (
        select(interactions)
        .where(c.customer_id == wanted.c.customer_id, within(c.org_path, uow.scope))
        .order_by(c.started_at.desc(), c.interaction_id.desc())
        .limit(each)
        .lateral("latest")
    )
    rows = await uow.all(
        select(latest)
        .select_from(wanted.join(latest, true()))
        .order_by(latest.c.started_at.desc(), latest.c.interaction_id.desc())
    )
    found: dict[UUID, list[Interaction]] = {}
    for row in rows:
        found.setdefault(row.customer_id, []).append(_interaction(row))
    return found


async def find_interaction(uow: UnitOfWork, interaction_id: UUID) -> Interaction | None:
    """One interaction."""
    row = await uow.one(
        select(interactions).where(
            interactions.c.interaction_id == interaction_id, within(interactions.c.org_path, uow.scope)
        )
    )
    return None if row is None else _interaction(row)


# --- notes ---


async def insert_note(uow: UnitOfWork, note_id: UUID, customer: Customer, author: str, words: str) -> None:
    """Store a note."""
    await uow.execute(
        insert(notes).values(
            note_id=note_id,
            customer_id=customer.customer_id,
            org_path=customer.org_path,
            author=author,
            text=words,
            created_at=uow.now,
        )
    )


async def list_notes(
    uow: UnitOfWork, customer_id: UUID, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    """Notes on a customer, the latest first."""
    c = notes.c
    statement = select(notes).where(c.customer_id == customer_id, within(c.org_path, uow.scope))
    if after is not None:
        statement = statement.where(tuple_(c.created_at, c.note_id) < tuple_(*after))
    return await uow.all(statement.order_by(c.created_at.desc(), c.note_id.desc()).limit(limit))


# --- service requests ---


async def insert_service_request(uow: UnitOfWork, request: ServiceRequest) -> None:
    """Store a new service request."""
    await uow.execute(insert(service_requests).values(_request_row(request)))


async def update_service_request(uow: UnitOfWork, request: ServiceRequest) -> None:
    """Store the present version."""
    await uow.execute(
        update(service_requests)
        .where(service_requests.c.service_request_id == request.service_request_id)
        .values(_request_row(request))
    )


async def find_service_request(
    uow: UnitOfWork, service_request_id: UUID, *, lock: bool = False
) -> ServiceRequest | None:
    """One service request; with ``lock``, nobody else changes it until the end of the transaction."""
    statement = select(service_requests).where(
        service_requests.c.service_request_id == service_request_id,
        within(service_requests.c.org_path, uow.scope),
    )
    if lock:
        statement = statement.with_for_update(key_share=True)
    row = await uow.one(statement)
    return None if row is None else _request(row)


@dataclass(frozen=True)
class RequestFilter:
    """Which service requests are listed; None does not filter."""

    customer_id: UUID | None = None
    status: str | None = None
    workspace: str | None = None
    agent_id: str | None = None


async def list_service_requests(
    uow: UnitOfWork, wanted: RequestFilter, after: tuple[datetime, UUID] | None, limit: int
) -> list[ServiceRequest]:
    """Service requests, the latest first."""
    c = service_requests.c
    statement = select(service_requests).where(within(c.org_path, uow.scope))
    for column, value in (
        (c.customer_id, wanted.customer_id),
        (c.status, wanted.status),
        (c.workspace, wanted.workspace),
        (c.agent_id, wanted.agent_id),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.status in (RequestStatus.OPEN, RequestStatus.ASSIGNED):
        statement = statement.where(c.ended_at.is_(None))  # says the same again, for the sake of the partial index
    if after is not None:
        statement = statement.where(tuple_(c.opened_at, c.service_request_id) < tuple_(*after))
    rows = await uow.all(statement.order_by(c.opened_at.desc(), c.service_request_id.desc()).limit(limit))
    return [_request(row) for row in rows]


# --- audit ---


async def insert_audit(
    uow: UnitOfWork, customer_id: UUID, org_path: str, changes: Sequence[Change], by: str, reason: str
) -> None:
    """Remember who changed what."""
    if changes:
        cause_id = uow.cause.id if uow.cause else None
        rows = [
            {
                "customer_id": customer_id,
                "org_path": org_path,
                "changed_by": by,
                "changed_at": uow.now,
                "cause_id": cause_id,
                "reason": reason,
                **asdict(change),
            }
            for change in changes
        ]
        await uow.execute(insert(audit_entries), rows)


async def list_audit(uow: UnitOfWork, customer_id: UUID, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """Changes of a customer's data, the latest first."""
    c = audit_entries.c
    statement = select(audit_entries).where(c.customer_id == customer_id, within(c.org_path, uow.scope))
    if before is not None:
        statement = statement.where(c.entry_id < before)
    return await uow.all(statement.order_by(c.entry_id.desc()).limit(limit))


# --- rows and values ---


def _customer_row(customer: Customer) -> dict[str, Any]:
    return {
        "customer_id": customer.customer_id,
        "org_path": customer.org_path,
        "kind": customer.kind,
        "status": customer.status,
        "name": customer.name,
        "name_key": name_key(customer.name),
        "tier": customer.tier,
        "owner_agent_id": customer.owner_agent_id,
        "language": customer.language,
        "territory": customer.territory,
        "born_on": customer.born_on,
        "source_ref": customer.source_ref,
        "version": customer.version,
    }


def _customer(row: Row[Any], of_contacts: tuple[Contact, ...], of_phones: tuple[Phone, ...]) -> Customer:
    return Customer(
        customer_id=row.customer_id,
        org_path=row.org_path,
        kind=Kind(row.kind),
        name=row.name,
        created_at=row.created_at,
        status=Status(row.status),
        tier=row.tier,
        owner_agent_id=row.owner_agent_id,
        language=row.language,
        territory=row.territory,
        born_on=row.born_on,
        source_ref=row.source_ref,
        version=row.version,
        contacts=of_contacts,
        phones=of_phones,
    )


async def _insert_contacts(uow: UnitOfWork, customer: Customer, new: Sequence[Contact]) -> None:
    if new:
        common = {"customer_id": customer.customer_id, "org_path": customer.org_path}
        await uow.execute(insert(contacts), [asdict(contact) | common for contact in new])


async def _insert_phones(uow: UnitOfWork, customer: Customer, new: Sequence[Phone]) -> None:
    if new:
        common = {"customer_id": customer.customer_id, "org_path": customer.org_path}
        await uow.execute(insert(phones), [asdict(phone) | common for phone in new])


def _interaction(row: Row[Any]) -> Interaction:
    return Interaction(
        interaction_id=row.interaction_id,
        customer_id=row.customer_id,
        contact_id=row.contact_id,
        **{name: getattr(row, name) for name in _SNAPSHOT}
        | {
            "agent_ids": tuple(row.agent_ids),
            "outcome": Outcome(row.outcome),
        },
    )


def _request_row(request: ServiceRequest) -> dict[str, Any]:
    return {column.name: getattr(request, column.name) for column in service_requests.columns}


def _request(row: Row[Any]) -> ServiceRequest:
    values = {column.name: getattr(row, column.name) for column in service_requests.columns}
    return ServiceRequest(**values | {"status": RequestStatus(row.status)})
