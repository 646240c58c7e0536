"""Every statement outside of the owner's group. Each reads only what the unit of work's scope may see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from cordboard_chassis.auth.org_paths import within
from cordboard_chassis.unit_of_work import UnitOfWork
from sqlalchemy import Row, case, func, or_, select, text, tuple_

from routing.domain.customers import Customer
from routing.storage.tables import (
    agents,
    assignments,
    audit,
    calendars,
    queue_intervals,
    queues,
    rule_sets,
    work_items,
    workspaces,
)

# --- customers ---

_REMEMBER_CUSTOMER = text(
    """
    WITH newer AS (
        INSERT INTO customers (customer_id, org_path, name, active, tier, owner_agent_id, language, territory,
                               known_since, sequence)
        VALUES (:customer_id, :org_path, :name, :active, :tier, :owner_agent_id, :language, :territory,
                :known_since, :sequence)
        ON CONFLICT (customer_id) DO UPDATE SET
            org_path = excluded.org_path, name = excluded.name, active = excluded.active, tier = excluded.tier,
            owner_agent_id = excluded.owner_agent_id, language = excluded.language, territory = excluded.territory,
            known_since = excluded.known_since, sequence = excluded.sequence
        WHERE customers.sequence < excluded.sequence
        RETURNING customer_id
    ), gone AS (
        DELETE FROM customer_phones USING newer
        WHERE customer_phones.customer_id = newer.customer_id AND number <> ALL(CAST(:numbers AS text[]))
    ), there AS (
        INSERT INTO customer_phones (number, customer_id, own)
        SELECT number, customer_id, number = ANY(CAST(:own AS text[]))
        FROM newer, unnest(CAST(:numbers AS text[])) AS number
        ON CONFLICT (number, customer_id) DO UPDATE SET own = excluded.own
    )
    SELECT count(*) FROM newer
    """
)
# For each (number, place called): one index hit in customer_phones, then the customers that it leads to. As in
# accounts: only those on the same line of the organisation, active ones first, then those whose own number it is.
_CALLERS = text(
    """
    SELECT asked.number, asked.org_path AS called_at, found.*, last.agent_id AS last_agent_id,
        last.accepted_at AS last_accepted_at
    FROM unnest(CAST(:numbers AS text[]), CAST(:org_paths AS text[])) AS asked (number, org_path)
    CROSS JOIN LATERAL (
        SELECT c.customer_id, c.name, c.tier, c.owner_agent_id, c.language, c.territory
        FROM customer_phones p JOIN customers c ON c.customer_id = p.customer_id
        WHERE p.number = asked.number
          AND (asked.org_path = '/' OR c.org_path IN ('/', asked.org_path)
               OR starts_with(c.org_path, asked.org_path || '/') OR starts_with(asked.org_path, c.org_path || '/'))
        ORDER BY c.active DESC, p.own DESC, c.known_since, c.customer_id
        LIMIT 1
    ) AS found
    LEFT JOIN last_agents last ON last.workspace_id = :workspace_id AND last.customer_id = found.customer_id
    """
)
_CUSTOMERS = text(
    """
    SELECT c.customer_id, c.name, c.tier, c.owner_agent_id, c.language, c.territory, last.agent_id AS last_agent_id,
        last.accepted_at AS last_accepted_at
    FROM customers c
    LEFT JOIN last_agents last ON last.workspace_id = :workspace_id AND last.customer_id = c.customer_id
    WHERE c.customer_id = ANY(CAST(:ids AS uuid[]))
    """
)


async def remember_customer(uow: UnitOfWork, row: Mapping[str, Any]) -> bool:
    """Take over a customer with ``numbers``, of which some are their ``own``; False if a newer one is known."""
    return bool(await uow.scalar(_REMEMBER_CUSTOMER, dict(row)))


async def find_callers(
    uow: UnitOfWork, workspace_id: str, asked: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Customer]:
    """Who calls a workspace, by (number, org path that was called)."""
    if not asked:
        return {}
    rows = await uow.all(
        _CALLERS,
        {
            "workspace_id": workspace_id,
            "numbers": [number for number, _ in asked],
            "org_paths": [org_path for _, org_path in asked],
        },
    )
    return {(row.number, row.called_at): _customer(row) for row in rows}


async def find_customers(uow: UnitOfWork, workspace_id: str, ids: Sequence[UUID]) -> dict[UUID, Customer]:
    """Customers of a workspace by id."""
    if not ids:
        return {}
    rows = await uow.all(_CUSTOMERS, {"workspace_id": workspace_id, "ids": list(ids)})
    return {row.customer_id: _customer(row) for row in rows}


def _customer(row: Row[Any]) -> Customer:
    return Customer(
        customer_id=row.customer_id,
        name=row.name,
        tier=row.tier,
        owner_agent_id=row.owner_agent_id,
        language=row.language,
        territory=row.territory,
        last_agent_id=row.last_agent_id,
        last_accepted_at=row.last_accepted_at,
    )


# --- configuration ---

_CREATE_WORKSPACE = text(
    """
    INSERT INTO workspaces (workspace_id, org_path, name, agent_order, misses_allowed, weights, reoffer_after_s,
                            presence_grace_s, interrupts, version)
    VALUES (:workspace_id, :org_path, :name, :agent_order, CAST(:misses_allowed AS jsonb), CAST(:weights AS jsonb),
            :reoffer_after_s, :presence_grace_s, CAST(:interrupts AS jsonb), 1)
    ON CONFLICT DO NOTHING RETURNING workspace_id
    """
)
_CREATE_QUEUE = text(
    """
    INSERT INTO queues (workspace_id, queue_id, name, priority, offer_timeout_s, wrap_up_s, service_level_s, version)
    VALUES (:workspace_id, :queue_id, :name, :priority, :offer_timeout_s, :wrap_up_s, :service_level_s, 1)
    """
)


async def workspace_ids(uow: UnitOfWork) -> list[str]:
    """All workspaces."""
    return [row.workspace_id for row in await uow.all(select(workspaces.c.workspace_id))]


async def create_workspace(uow: UnitOfWork, row: Mapping[str, Any], queue: Mapping[str, Any]) -> bool:
    """A new workspace with its first queue; False when there is one of this id."""
    if await uow.scalar(_CREATE_WORKSPACE, dict(row)) is None:
        return False
    await uow.execute(_CREATE_QUEUE, dict(queue))
    return True


def _sees_workspace(scope: str) -> Any:
    """A workspace is seen by those above it and, as they work in it, by those below it."""
    ancestors = ["/", *("/".join(scope.split("/")[:depth]) for depth in range(2, scope.count("/") + 2))]
    return or_(within(workspaces.c.org_path, scope), workspaces.c.org_path.in_(ancestors))


async def find_workspace(uow: UnitOfWork, workspace_id: str) -> Row[Any] | None:
    """A workspace that the scope sees."""
    return await uow.one(
        select(workspaces).where(workspaces.c.workspace_id == workspace_id, _sees_workspace(uow.scope))
    )


async def list_workspaces(uow: UnitOfWork, after: str | None, limit: int) -> Sequence[Row[Any]]:
    """Workspaces by id."""
    statement = select(workspaces).where(_sees_workspace(uow.scope))
    if after is not None:
        statement = statement.where(workspaces.c.workspace_id > after)
    return await uow.all(statement.order_by(workspaces.c.workspace_id).limit(limit))


async def find_queue(uow: UnitOfWork, workspace_id: str, queue_id: str) -> Row[Any] | None:
    """A queue."""
    return await uow.one(select(queues).where(queues.c.workspace_id == workspace_id, queues.c.queue_id == queue_id))


async def list_queues(uow: UnitOfWork, workspace_id: str, after: str | None, limit: int) -> Sequence[Row[Any]]:
    """Queues by id."""
    statement = select(queues).where(queues.c.workspace_id == workspace_id)
    if after is not None:
        statement = statement.where(queues.c.queue_id > after)
    return await uow.all(statement.order_by(queues.c.queue_id).limit(limit))


async def find_calendar(uow: UnitOfWork, workspace_id: str, calendar_id: str) -> Row[Any] | None:
    """A calendar."""
    c = calendars.c
    return await uow.one(select(calendars).where(c.workspace_id == workspace_id, c.calendar_id == calendar_id))


async def list_calendars(uow: UnitOfWork, workspace_id: str, after: str | None, limit: int) -> Sequence[Row[Any]]:
    """Calendars by id."""
    statement = select(calendars).where(calendars.c.workspace_id == workspace_id)
    if after is not None:
        statement = statement.where(calendars.c.calendar_id > after)
    return await uow.all(statement.order_by(calendars.c.calendar_id).limit(limit))


async def find_rules(uow: UnitOfWork, workspace_id: str, version: int | None = None) -> Row[Any] | None:
    """A version of the rules, or the present one."""
    statement = select(rule_sets).where(rule_sets.c.workspace_id == workspace_id)
    if version is not None:
        statement = statement.where(rule_sets.c.version == version)
    return await uow.one(statement.order_by(rule_sets.c.version.desc()).limit(1))


async def list_rules(uow: UnitOfWork, workspace_id: str, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """Versions of the rules, the newest first."""
    c = rule_sets.c
    statement = select(c.version, c.written_by, c.written_at, func.jsonb_array_length(c.rules["rules"]).label("size"))
    statement = statement.where(c.workspace_id == workspace_id)
    if before is not None:
        statement = statement.where(c.version < before)
    return await uow.all(statement.order_by(c.version.desc()).limit(limit))


async def find_agent(uow: UnitOfWork, agent_id: str) -> Row[Any] | None:
    """An agent within the scope."""
    return await uow.one(select(agents).where(agents.c.agent_id == agent_id, within(agents.c.org_path, uow.scope)))


async def list_agents(
    uow: UnitOfWork, workspace_id: str, state: str | None, after: str | None, limit: int
) -> Sequence[Row[Any]]:
    """Agents by id."""
    statement = select(agents).where(agents.c.workspace_id == workspace_id, within(agents.c.org_path, uow.scope))
    if state is not None:
        statement = statement.where(agents.c.state == state)
    if after is not None:
        statement = statement.where(agents.c.agent_id > after)
    return await uow.all(statement.order_by(agents.c.agent_id).limit(limit))


async def list_audit(uow: UnitOfWork, workspace_id: str, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """Who did what to a workspace, the latest first."""
    statement = select(audit).where(audit.c.workspace_id == workspace_id)
    if before is not None:
        statement = statement.where(audit.c.entry_id < before)
    return await uow.all(statement.order_by(audit.c.entry_id.desc()).limit(limit))


async def profiles(uow: UnitOfWork, workspace_id: str) -> Sequence[Row[Any]]:
    """What the agents of a workspace can do, each combination once; ``device_id`` is null or not, never whose."""
    c = agents.c
    device = case((c.device_id.is_(None), None), else_="there").label("device_id")
    columns = (c.skills, c.territories, c.capacity, c.capacity_total, device)
    return await uow.all(select(*columns).where(c.workspace_id == workspace_id).distinct())


# --- work ---


@dataclass(frozen=True, slots=True)
class WorkFilter:
    """Which work items are wanted."""

    workspace_id: str
    state: str | None = None
    queue: str | None = None
    kind: str | None = None


async def find_work_item(uow: UnitOfWork, work_item_id: UUID) -> Row[Any] | None:
    """A work item within the scope."""
    return await uow.one(
        select(work_items).where(work_items.c.work_item_id == work_item_id, within(work_items.c.org_path, uow.scope))
    )


async def find_work_item_of(uow: UnitOfWork, work_item_id: UUID, agent_id: str) -> Row[Any] | None:
    """A work item that was offered to an agent, or taken by them."""
    theirs = select(assignments.c.work_item_id).where(
        assignments.c.work_item_id == work_item_id, assignments.c.agent_id == agent_id
    )
    return await uow.one(select(work_items).where(work_items.c.work_item_id.in_(theirs)))


async def list_work_items(
    uow: UnitOfWork, wanted: WorkFilter, before: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    """Work items, the latest first."""
    c = work_items.c
    statement = select(work_items).where(c.workspace_id == wanted.workspace_id, within(c.org_path, uow.scope))
    if wanted.queue is not None:
        statement = statement.where(c.queue == wanted.queue)
    if wanted.kind is not None:
        statement = statement.where(c.kind == wanted.kind)
    if wanted.state is not None:
        statement = statement.where(c.state == wanted.state)
        if wanted.state in ("waiting", "offered", "accepted"):
            statement = statement.where(c.ended_at.is_(None))  # lets the index of open items be used
    if before is not None:
        statement = statement.where(tuple_(c.submitted_at, c.work_item_id) < tuple_(*before))
    return await uow.all(statement.order_by(c.submitted_at.desc(), c.work_item_id.desc()).limit(limit))


async def find_assignment(uow: UnitOfWork, assignment_id: UUID) -> Row[Any] | None:
    """An assignment within the scope."""
    return await uow.one(
        select(assignments).where(
            assignments.c.assignment_id == assignment_id, within(assignments.c.org_path, uow.scope)
        )
    )


async def list_assignments(
    uow: UnitOfWork, agent_id: str, only_open: bool, before: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    """An agent's assignments, the latest first."""
    c = assignments.c
    statement = select(assignments).where(c.agent_id == agent_id, within(c.org_path, uow.scope))
    if only_open:
        statement = statement.where(c.ended_at.is_(None))
    if before is not None:
        statement = statement.where(tuple_(c.offered_at, c.assignment_id) < tuple_(*before))
    return await uow.all(statement.order_by(c.offered_at.desc(), c.assignment_id.desc()).limit(limit))


async def assignments_of(uow: UnitOfWork, work_item_id: UUID, limit: int) -> Sequence[Row[Any]]:
    """Who was offered a work item, in order."""
    c = assignments.c
    return await uow.all(select(assignments).where(c.work_item_id == work_item_id).order_by(c.token).limit(limit))


async def work_items_of(uow: UnitOfWork, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Work items by id, whatever the scope of who asks: for agents who have them in hand."""
    if not ids:
        return {}
    rows = await uow.all(select(work_items).where(work_items.c.work_item_id.in_(list(ids))))
    return {row.work_item_id: row for row in rows}


async def queues_with_work(uow: UnitOfWork, workspace_id: str, queue_ids: Sequence[str]) -> list[str]:
    """Which of the queues have open items."""
    c = work_items.c
    statement = select(c.queue).where(
        c.workspace_id == workspace_id, c.ended_at.is_(None), c.queue.in_(list(queue_ids))
    )
    return [row.queue for row in await uow.all(statement.distinct())] if queue_ids else []


async def agents_with_work(uow: UnitOfWork, agent_ids: Sequence[str]) -> list[str]:
    """Which of the agents have accepted work."""
    c = assignments.c
    statement = select(c.agent_id).where(c.agent_id.in_(list(agent_ids)), c.state == "accepted", c.ended_at.is_(None))
    return [row.agent_id for row in await uow.all(statement.distinct())] if agent_ids else []


# --- figures ---


async def open_figures(uow: UnitOfWork, workspace_id: str) -> Sequence[Row[Any]]:
    """How many open items each queue has in each state, and since when the first of them is there."""
    c = work_items.c
    return await uow.all(
        select(c.queue, c.state, func.count().label("items"), func.min(c.submitted_at).label("oldest"))
        .where(c.workspace_id == workspace_id, c.ended_at.is_(None), within(c.org_path, uow.scope))
        .group_by(c.queue, c.state)
    )


async def recent_figures(uow: UnitOfWork, workspace_id: str, since: datetime) -> Sequence[Row[Any]]:
    """What happened in each queue since then."""
    c = queue_intervals.c
    return await uow.all(
        select(c.queue_id, *_counted())
        .where(c.workspace_id == workspace_id, c.begins_at >= since, within(c.org_path, uow.scope))
        .group_by(c.queue_id)
    )


async def interval_figures(
    uow: UnitOfWork,
    workspace_id: str,
    queue_id: str | None,
    minutes: int,
    window: tuple[datetime, datetime],
    after: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """What happened in each queue within intervals of so many minutes (15 or a multiple), by time and queue."""
    c = queue_intervals.c
    # From the epoch, as the owner counts.
    begin = func.date_bin(timedelta(minutes=minutes), c.begins_at, datetime.fromtimestamp(0, UTC)).label("begins_at")
    statement = select(begin, c.queue_id, *_counted()).where(
        c.workspace_id == workspace_id, c.begins_at >= window[0], c.begins_at < window[1], within(c.org_path, uow.scope)
    )
    if queue_id is not None:
        statement = statement.where(c.queue_id == queue_id)
    if after is not None:
        statement = statement.where(tuple_(begin, c.queue_id) > tuple_(*after))
    return await uow.all(statement.group_by(begin, c.queue_id).order_by(begin, c.queue_id).limit(limit))


def _counted() -> list[Any]:
    names = ("submitted", "accepted", "accepted_in_time", "completed", "cancelled", "waited_ms")
    return [func.sum(queue_intervals.c[name]).label(name) for name in names]


async def agent_figures(uow: UnitOfWork, workspace_id: str) -> Sequence[Row[Any]]:
    """How many agents are in each state."""
    c = agents.c
    return await uow.all(
        select(c.state, func.count().label("agents"))
        .where(c.workspace_id == workspace_id, within(c.org_path, uow.scope))
        .group_by(c.state)
    )
