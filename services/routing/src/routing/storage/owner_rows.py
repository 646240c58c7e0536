"""The rows that only the owner of a workspace writes: one statement for the work of a group, however large it is.

Rows travel as one JSON document, which costs neither a parameter per value nor a statement to compile per
number of rows.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from sqlalchemy import Row, func, select, text

from routing import engine as core
from routing.domain import rules
from routing.domain.times import milliseconds, moment
from routing.live import (
    AgentEntry,
    CalendarEntry,
    Changes,
    DeviceEntry,
    Figures,
    LiveWorkspace,
    Placed,
    QueueEntry,
    Work,
    WorkspaceConfig,
)
from routing.storage import tables

_WORK_COLUMNS = {
    "work_item_id": "uuid",
    "workspace_id": "text",
    "org_path": "text",
    "kind": "text",
    "subject_id": "uuid",
    "subject_sequence": "bigint",
    "state": "text",
    "queue": "text",
    "priority": "int",
    "requirement": "jsonb",
    "any_of": "jsonb",
    "wanted": "jsonb",
    "step": "int",
    "queued_at": "timestamptz",
    "due_at": "timestamptz",
    "preferred_until": "timestamptz",
    "required_territory": "text",
    "territory": "text",
    "language": "text",
    "customer_id": "uuid",
    "customer_name": "text",
    "customer_tier": "text",
    "preferred_agent": "text",
    "pbx_id": "text",
    "from_number": "text",
    "dialled": "text",
    "call_back": "text",
    "attributes": "jsonb",
    "rule": "text",
    "rule_version": "bigint",
    "avoid": "text",
    "avoid_until": "timestamptz",
    "version": "bigint",
    "submitted_at": "timestamptz",
    "accepted_at": "timestamptz",
    "ended_at": "timestamptz",
    "outcome": "text",
}
_WORK_FIXED = {
    "work_item_id",
    "workspace_id",
    "org_path",
    "kind",
    "subject_id",
    "submitted_at",
    "pbx_id",
    "from_number",
    "dialled",
}
_ASSIGNMENT_COLUMNS = {
    "assignment_id": "uuid",
    "workspace_id": "text",
    "work_item_id": "uuid",
    "org_path": "text",
    "agent_id": "text",
    "device_id": "text",
    "token": "bigint",
    "state": "text",
    "offered_at": "timestamptz",
    "expires_at": "timestamptz",
    "accepted_at": "timestamptz",
    "ended_at": "timestamptz",
    "outcome": "text",
    "reason": "jsonb",
}
_ASSIGNMENT_FIXED = _ASSIGNMENT_COLUMNS.keys() - {"state", "accepted_at", "ended_at", "outcome"}
_STATUS_COLUMNS = {
    "agent_id": "text",
    "version": "bigint",
    "state": "text",
    "reason": "text",
    "since": "timestamptz",
    "mode": "text",
    "mode_reason": "text",
    "device_state": "text",
    "idle_since": "timestamptz",
    "wrap_up_until": "timestamptz",
    "wrap_up_limit": "timestamptz",
    "misses": "int",
    "offers": "int",
    "last_token": "bigint",
    "device_lost_at": "timestamptz",
    "desktop_lost_at": "timestamptz",
}
_PROFILE_COLUMNS = {
    "agent_id": "text",
    "workspace_id": "text",
    "org_path": "text",
    "name": "text",
    "device_id": "text",
    "skills": "jsonb",
    "territories": "text[]",
    "capacity": "jsonb",
    "capacity_total": "int",
    "profile_version": "bigint",
    **{name: kind for name, kind in _STATUS_COLUMNS.items() if name != "agent_id"},
}
_QUEUE_COLUMNS = {
    "workspace_id": "text",
    "queue_id": "text",
    "name": "text",
    "priority": "int",
    "offer_timeout_s": "int",
    "wrap_up_s": "int",
    "wrap_up_extension_s": "int",
    "service_level_s": "int",
    "steps": "jsonb",
    "agent_order": "text",
    "priority_class": "int",
    "acceleration": "int",
    "due_after_s": "int",
    "paused": "boolean",
    "hours": "text",
    "after_hours": "jsonb",
    "version": "bigint",
}
_CALENDAR_COLUMNS = {"workspace_id": "text", "calendar_id": "text", "document": "jsonb", "version": "bigint"}
_DEVICE_COLUMNS = {"workspace_id": "text", "device_id": "text", "state": "text", "sequence": "bigint"}
_FIGURE_COLUMNS = {
    "workspace_id": "text",
    "queue_id": "text",
    "org_path": "text",
    "begins_at": "timestamptz",
    "submitted": "bigint",
    "accepted": "bigint",
    "accepted_in_time": "bigint",
    "completed": "bigint",
    "cancelled": "bigint",
    "waited_ms": "bigint",
}
_LAST_AGENT_COLUMNS = {
    "workspace_id": "text",
    "customer_id": "uuid",
    "agent_id": "text",
    "accepted_at": "timestamptz",
}
_FIGURE_KEY = ("workspace_id", "queue_id", "org_path", "begins_at")


def _source(columns: dict[str, str], placeholder: str = ":rows") -> str:
    typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    return f"json_to_recordset(CAST({placeholder} AS json)) AS given ({typed})"


def _upsert(
    table: str, columns: dict[str, str], key: Iterable[str], fixed: Iterable[str] = (), placeholder: str = ":rows"
) -> str:
    names = ", ".join(columns)
    changing = [name for name in columns if name not in {*key, *fixed}]
    updates = ", ".join(f"{name} = excluded.{name}" for name in changing)
    return (
        f"INSERT INTO {table} ({names}) SELECT {names} FROM {_source(columns, placeholder)}"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {updates}"
    )


# Everything that a call changes, in one statement: on this path each round trip counts.
_WRITE_WORK = f"""
    WITH works AS ({_upsert("work_items", _WORK_COLUMNS, ["work_item_id"], _WORK_FIXED, "%(works)s")}),
    placed AS ({_upsert("assignments", _ASSIGNMENT_COLUMNS, ["assignment_id"], _ASSIGNMENT_FIXED, "%(placed)s")}),
    last AS (
        {_upsert("last_agents", _LAST_AGENT_COLUMNS, ["workspace_id", "customer_id"], (), "%(last)s")}
        WHERE last_agents.accepted_at < excluded.accepted_at
    ),
    statuses AS (
        UPDATE agents SET {", ".join(f"{name} = given.{name}" for name in _STATUS_COLUMNS if name != "agent_id")}
        FROM {_source(_STATUS_COLUMNS, "%(statuses)s")}
        WHERE agents.agent_id = given.agent_id AND agents.agent_id = ANY(CAST(%(status_ids)s AS text[]))
    )
    INSERT INTO queue_intervals ({", ".join(_FIGURE_COLUMNS)})
    SELECT {", ".join(_FIGURE_COLUMNS)} FROM {_source(_FIGURE_COLUMNS, "%(figures)s")}
    ON CONFLICT ({", ".join(_FIGURE_KEY)}) DO UPDATE SET
    {", ".join(f"{n} = queue_intervals.{n} + excluded.{n}" for n in _FIGURE_COLUMNS if n not in _FIGURE_KEY)}
    """
# An id that another workspace took meanwhile is a unique violation of this statement's own insert, not an update.
_WRITE_PROFILES = text(
    _upsert("agents", _PROFILE_COLUMNS, ["agent_id"], ["workspace_id"])
    + " WHERE agents.workspace_id = excluded.workspace_id RETURNING agent_id"
)
_WRITE_QUEUES = text(_upsert("queues", _QUEUE_COLUMNS, ["workspace_id", "queue_id"]) + ", updated_at = now()")
_WRITE_CALENDARS = text(
    _upsert("calendars", _CALENDAR_COLUMNS, ["workspace_id", "calendar_id"]) + ", updated_at = now()"
)
_WRITE_DEVICES = text(_upsert("devices", _DEVICE_COLUMNS, ["workspace_id", "device_id"]))
_REMOVE_AGENTS = text("DELETE FROM agents WHERE agent_id = ANY(CAST(:ids AS text[]))")
_REMOVE_QUEUES = text("DELETE FROM queues WHERE workspace_id = :workspace_id AND queue_id = ANY(CAST(:ids AS text[]))")
_REMOVE_CALENDARS = text(
    "DELETE FROM calendars WHERE workspace_id = :workspace_id AND calendar_id = ANY(CAST(:ids AS text[]))"
)
_WRITE_RULES = text(
    "INSERT INTO rule_sets (workspace_id, version, rules, written_by)"
    " VALUES (:workspace_id, :version, CAST(:rules AS jsonb), :written_by)"
)
_WRITE_CONFIG = text(
    """
    UPDATE workspaces SET name = :name, agent_order = :agent_order, misses_allowed = CAST(:misses_allowed AS jsonb),
        weights = CAST(:weights AS jsonb), reoffer_after_s = :reoffer_after_s,
        presence_grace_s = :presence_grace_s, interrupts = CAST(:interrupts AS jsonb), version = :version,
        updated_at = now()
    WHERE workspace_id = :workspace_id
    """
)
_WRITE_AUDIT = text(
    "INSERT INTO audit (workspace_id, action, done_by, details) SELECT workspace_id, action, done_by, details FROM "
    + _source({"workspace_id": "text", "action": "text", "done_by": "text", "details": "jsonb"})
)
_KNOWN_ITEMS = text("SELECT work_item_id FROM work_items WHERE work_item_id = ANY(CAST(:ids AS uuid[]))")
_TAKEN_AGENTS = text(
    "SELECT agent_id FROM agents WHERE agent_id = ANY(CAST(:ids AS text[])) AND workspace_id <> :workspace_id"
)


class AgentTaken(Exception):
    """An agent id came to belong to another workspace between the look-up and the write."""


async def known_items(uow: UnitOfWork, ids: Sequence[UUID]) -> set[UUID]:
    """Which of the items were ever stored."""
    if not ids:
        return set()
    return {row.work_item_id for row in await uow.all(_KNOWN_ITEMS, {"ids": list(ids)})}


async def taken_agents(uow: UnitOfWork, workspace_id: str, ids: Sequence[str]) -> set[str]:
    """Which of the agents belong to another workspace."""
    if not ids:
        return set()
    rows = await uow.all(_TAKEN_AGENTS, {"ids": list(ids), "workspace_id": workspace_id})
    return {row.agent_id for row in rows}


async def write(uow: UnitOfWork, workspace_id: str, changes: Changes) -> None:
    """Write what a group changed.

    Raises:
        AgentTaken: see there.
    """
    await _write_configuration(uow, workspace_id, changes)
    if changes.audit:
        rows = [
            {"workspace_id": workspace_id, "action": action, "done_by": done_by, "details": details}
            for action, done_by, details in changes.audit
        ]
        await uow.execute(_WRITE_AUDIT, _rows(rows))
    statuses = [
        _status_row(entry)
        for entry in changes.statuses.values()
        if entry.agent_id not in changes.profiles and entry.agent_id not in changes.removed_agents
    ]
    if changes.works or changes.placed or statuses:
        await uow.execute_directly(
            _WRITE_WORK,
            {
                "works": _json(_work_row(workspace_id, work) for work in changes.works.values()),
                "placed": _json(_assignment_row(workspace_id, placed) for placed in changes.placed.values()),
                "last": _json(_last_agent_rows(workspace_id, changes)),
                "statuses": _json(statuses),
                # PostgreSQL takes a document for a hundred rows and would read all agents; an array leads to the index.
                "status_ids": [row["agent_id"] for row in statuses],
                "figures": _json(_figure_rows(workspace_id, changes.figures)),
            },
        )


async def _write_configuration(uow: UnitOfWork, workspace_id: str, changes: Changes) -> None:
    if changes.config is not None:
        config = changes.config
        await uow.execute(
            _WRITE_CONFIG,
            {
                "workspace_id": workspace_id,
                "name": config.name,
                "agent_order": config.agent_order,
                "misses_allowed": json.dumps(config.misses_allowed),
                "weights": json.dumps(config.weights),
                "reoffer_after_s": config.reoffer_after_s,
                "presence_grace_s": config.presence_grace_s,
                "interrupts": json.dumps(config.interrupts),
                "version": config.version,
            },
        )
    if changes.removed_queues:
        await uow.execute(_REMOVE_QUEUES, {"workspace_id": workspace_id, "ids": list(changes.removed_queues)})
    if changes.queues:
        await uow.execute(_WRITE_QUEUES, _rows(_queue_row(workspace_id, queue) for queue in changes.queues.values()))
    if changes.removed_calendars:
        await uow.execute(_REMOVE_CALENDARS, {"workspace_id": workspace_id, "ids": list(changes.removed_calendars)})
    if changes.calendars:
        rows = [
            {"workspace_id": workspace_id, "calendar_id": c.calendar_id, "document": c.document, "version": c.version}
            for c in changes.calendars.values()
        ]
        await uow.execute(_WRITE_CALENDARS, _rows(rows))
    for version, document, written_by in changes.rule_sets:
        await uow.execute(
            _WRITE_RULES,
            {
                "workspace_id": workspace_id,
                "version": version,
                "rules": json.dumps(document),
                "written_by": written_by,
            },
        )
    if changes.removed_agents:
        await uow.execute(_REMOVE_AGENTS, {"ids": list(changes.removed_agents)})
    if changes.profiles:
        rows = [_profile_row(workspace_id, entry) for entry in changes.profiles.values()]
        if len(await uow.all(_WRITE_PROFILES, _rows(rows))) < len(rows):
            raise AgentTaken
    if changes.devices:
        await uow.execute(
            _WRITE_DEVICES,
            _rows(
                {"workspace_id": workspace_id, "device_id": device_id, "state": d.state, "sequence": d.sequence}
                for device_id, d in changes.devices.items()
            ),
        )


def _rows(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    return {"rows": _json(rows)}


def _json(rows: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(rows), ensure_ascii=False)


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _iso_ms(ms: int | None) -> str | None:
    return None if ms is None else moment(ms).isoformat()


def _work_row(workspace_id: str, work: Work) -> dict[str, Any]:
    return {
        "work_item_id": str(work.work_item_id),
        "workspace_id": workspace_id,
        "org_path": work.org_path,
        "kind": work.kind,
        "subject_id": str(work.subject_id),
        "subject_sequence": work.subject_sequence,
        "state": work.state,
        "queue": work.queue,
        "priority": work.priority,
        "requirement": work.requirement,
        "any_of": work.any_of,
        "wanted": work.wanted,
        "step": work.step,
        "queued_at": _iso(work.queued_at),
        "due_at": _iso(work.due_at),
        "preferred_until": _iso(work.preferred_until),
        "required_territory": work.required_territory,
        "territory": work.territory,
        "language": work.language,
        "customer_id": None if work.customer_id is None else str(work.customer_id),
        "customer_name": work.customer_name,
        "customer_tier": work.customer_tier,
        "preferred_agent": work.preferred_agent,
        "pbx_id": work.pbx_id,
        "from_number": work.from_number,
        "dialled": work.dialled,
        "call_back": work.call_back,
        "attributes": work.attributes,
        "rule": work.rule,
        "rule_version": work.rule_version,
        "avoid": work.avoid,
        "avoid_until": _iso_ms(work.avoid_until),
        "version": work.version,
        "submitted_at": _iso(work.submitted_at),
        "accepted_at": _iso(work.accepted_at),
        "ended_at": _iso(work.ended_at),
        "outcome": work.outcome,
    }


def _assignment_row(workspace_id: str, placed: Placed) -> dict[str, Any]:
    made, why = placed.assignment, placed.reason
    reason = None
    if why is not None:
        reason = {
            "eligible": why.eligible,
            "winner_key": why.winner_key,
            "runner_up": why.runner_up,
            "runner_up_key": why.runner_up_key,
            "preferred": why.preferred,
            "step": why.step,
        }
    return {
        "assignment_id": made.assignment_id,
        "workspace_id": workspace_id,
        "work_item_id": made.item_id,
        "org_path": placed.org_path,
        "agent_id": made.agent_id,
        "device_id": made.device_id,
        "token": made.token,
        "state": made.state,
        "offered_at": _iso_ms(made.offered_at),
        "expires_at": _iso_ms(made.expires_at),
        "accepted_at": _iso_ms(made.accepted_at),
        "ended_at": _iso_ms(made.ended_at),
        "outcome": made.outcome,
        "reason": reason,
    }


def _last_agent_rows(workspace_id: str, changes: Changes) -> Iterable[dict[str, Any]]:
    """Who accepted something of a customer last; of several in one group, the last."""
    accepted: dict[UUID, core.Assignment] = {}
    for placed in changes.placed.values():
        made, customer_id = placed.assignment, changes.works[UUID(placed.assignment.item_id)].customer_id
        if customer_id is None or made.accepted_at is None:
            continue
        other = accepted.get(customer_id)
        if other is None or (other.accepted_at or 0) <= made.accepted_at:
            accepted[customer_id] = made
    for customer_id, made in accepted.items():
        yield {
            "workspace_id": workspace_id,
            "customer_id": str(customer_id),
            "agent_id": made.agent_id,
            "accepted_at": _iso_ms(made.accepted_at),
        }


def _status_row(entry: AgentEntry) -> dict[str, Any]:
    status = entry.status
    return {
        "agent_id": entry.agent_id,
        "version": entry.version,
        "state": status.state,
        "reason": status.reason,
        "since": _iso_ms(status.since),
        "mode": status.mode,
        "mode_reason": status.mode_reason,
        "device_state": status.device,
        "idle_since": _iso_ms(status.idle_since),
        "wrap_up_until": None if status.wrap_up is None else _iso_ms(status.wrap_up.until),
        "wrap_up_limit": None if status.wrap_up is None else _iso_ms(status.wrap_up.limit),
        "misses": status.misses,
        "offers": status.offers,
        "last_token": status.last_token,
        "device_lost_at": _iso_ms(status.device_lost_at),
        "desktop_lost_at": _iso_ms(status.desktop_lost_at),
    }


def _profile_row(workspace_id: str, entry: AgentEntry) -> dict[str, Any]:
    profile = entry.profile
    return {
        **_status_row(entry),
        "workspace_id": workspace_id,
        "org_path": entry.org_path,
        "name": entry.name,
        "device_id": profile.device_id,
        "skills": dict(profile.skills),
        "territories": list(profile.territories),
        "capacity": dict(profile.capacity.items),
        "capacity_total": profile.capacity.total,
        "profile_version": entry.profile_version,
    }


def _queue_row(workspace_id: str, queue: QueueEntry) -> dict[str, Any]:
    return {
        "workspace_id": workspace_id,
        "queue_id": queue.queue_id,
        "name": queue.name,
        "priority": queue.priority,
        "offer_timeout_s": queue.offer_timeout_s,
        "wrap_up_s": queue.wrap_up_s,
        "wrap_up_extension_s": queue.wrap_up_extension_s,
        "service_level_s": queue.service_level_s,
        "steps": queue.steps,
        "agent_order": queue.agent_order,
        "priority_class": queue.priority_class,
        "acceleration": queue.acceleration,
        "due_after_s": queue.due_after_s,
        "paused": queue.paused,
        "hours": queue.hours,
        "after_hours": queue.after_hours,
        "version": queue.version,
    }


def _figure_rows(workspace_id: str, figures: dict[tuple[str, str, int], Figures]) -> Iterable[dict[str, Any]]:
    for (queue_id, org_path, begins_at), counted in figures.items():
        yield {
            "workspace_id": workspace_id,
            "queue_id": queue_id,
            "org_path": org_path,
            "begins_at": _iso_ms(begins_at),
            "submitted": counted.submitted,
            "accepted": counted.accepted,
            "accepted_in_time": counted.accepted_in_time,
            "completed": counted.completed,
            "cancelled": counted.cancelled,
            "waited_ms": counted.waited_ms,
        }


# --- back into memory ---


async def restore(uow: UnitOfWork, workspace_id: str, *, with_work: bool = True) -> LiveWorkspace | None:
    """A workspace as its owner left it; None when there is no such workspace.

    Without its work it is only good for trying how it could be configured.
    """
    row = await uow.one(select(tables.workspaces).where(tables.workspaces.c.workspace_id == workspace_id))
    if row is None:
        return None
    queues = await uow.all(select(tables.queues).where(tables.queues.c.workspace_id == workspace_id))
    calendars = await uow.all(select(tables.calendars).where(tables.calendars.c.workspace_id == workspace_id))
    agents = await uow.all(
        select(tables.agents).where(tables.agents.c.workspace_id == workspace_id).order_by(tables.agents.c.agent_id)
    )
    works: Sequence[Row[Any]] = ()
    placed: Sequence[Row[Any]] = ()
    token = 0
    if with_work:
        works = await uow.all(
            select(tables.work_items).where(
                tables.work_items.c.workspace_id == workspace_id, tables.work_items.c.ended_at.is_(None)
            )
        )
        assignments = tables.assignments
        placed = await uow.all(
            select(assignments).where(assignments.c.workspace_id == workspace_id, assignments.c.ended_at.is_(None))
        )
        greatest = select(func.max(assignments.c.token)).where(assignments.c.workspace_id == workspace_id)
        token = await uow.scalar(greatest) or 0
    devices = await uow.all(select(tables.devices).where(tables.devices.c.workspace_id == workspace_id))
    rule_set = await uow.one(
        select(tables.rule_sets)
        .where(tables.rule_sets.c.workspace_id == workspace_id)
        .order_by(tables.rule_sets.c.version.desc())
        .limit(1)
    )
    return LiveWorkspace(
        workspace_config(row),
        queues={queue.queue_id: queue_entry(queue) for queue in queues},
        calendars={calendar.calendar_id: calendar_entry(calendar) for calendar in calendars},
        agents={agent.agent_id: _agent(agent) for agent in agents},
        works={work.work_item_id: _work(work) for work in works},
        placed={str(made.assignment_id): _placed(made) for made in placed},
        devices={d.device_id: DeviceEntry(core.DeviceState(d.state), d.sequence) for d in devices},
        rule_set=None if rule_set is None else rules.read(rule_set.version, rule_set.rules),
        token=token,
    )


def workspace_config(row: Row[Any]) -> WorkspaceConfig:
    """A row of workspaces."""
    return WorkspaceConfig(
        workspace_id=row.workspace_id,
        org_path=row.org_path,
        name=row.name,
        agent_order=row.agent_order,
        misses_allowed=row.misses_allowed,
        weights=row.weights,
        reoffer_after_s=row.reoffer_after_s,
        presence_grace_s=row.presence_grace_s,
        interrupts=row.interrupts,
        version=row.version,
    )


def queue_entry(row: Row[Any]) -> QueueEntry:
    """A row of queues."""
    return QueueEntry(
        queue_id=row.queue_id,
        name=row.name,
        priority=row.priority,
        offer_timeout_s=row.offer_timeout_s,
        wrap_up_s=row.wrap_up_s,
        wrap_up_extension_s=row.wrap_up_extension_s,
        service_level_s=row.service_level_s,
        steps=row.steps,
        priority_class=row.priority_class,
        acceleration=row.acceleration,
        due_after_s=row.due_after_s,
        paused=row.paused,
        hours=row.hours,
        after_hours=row.after_hours,
        agent_order=row.agent_order,
        version=row.version,
    )


def calendar_entry(row: Row[Any]) -> CalendarEntry:
    """A row of calendars."""
    return CalendarEntry(row.calendar_id, row.document, row.version)


def _agent(row: Row[Any]) -> AgentEntry:
    return AgentEntry(
        agent_id=row.agent_id,
        org_path=row.org_path,
        name=row.name,
        profile_version=row.profile_version,
        version=row.version,
        profile=agent_profile(row),
        status=core.AgentStatus(
            state=core.AgentState(row.state),
            reason=row.reason,
            since=milliseconds(row.since),
            mode=core.Mode(row.mode),
            mode_reason=row.mode_reason,
            device=core.DeviceState(row.device_state),
            idle_since=milliseconds(row.idle_since),
            wrap_up=_wrap_up(row),
            misses=row.misses,
            offers=row.offers,
            last_token=row.last_token,
            device_lost_at=_ms(row.device_lost_at),
            desktop_lost_at=_ms(row.desktop_lost_at),
        ),
    )


def _wrap_up(row: Row[Any]) -> core.WrapUp | None:
    return None if row.wrap_up_limit is None else core.WrapUp(_ms(row.wrap_up_until), milliseconds(row.wrap_up_limit))


def agent_profile(row: Row[Any]) -> core.AgentProfile:
    """What an agent can do, from a row with these columns of agents."""
    return core.AgentProfile(
        skills=row.skills,
        territories=tuple(row.territories),
        capacity=core.Capacity(
            {core.WorkKind(kind): count for kind, count in row.capacity.items()}, row.capacity_total
        ),
        device_id=row.device_id,
    )


def _work(row: Row[Any]) -> Work:
    return Work(
        work_item_id=row.work_item_id,
        kind=core.WorkKind(row.kind),
        subject_id=row.subject_id,
        subject_sequence=row.subject_sequence,
        org_path=row.org_path,
        queue=row.queue,
        priority=row.priority,
        requirement=row.requirement,
        any_of=row.any_of,
        wanted=row.wanted,
        step=row.step,
        queued_at=row.queued_at,
        due_at=row.due_at,
        preferred_until=row.preferred_until,
        submitted_at=row.submitted_at,
        state=row.state,
        required_territory=row.required_territory,
        territory=row.territory,
        language=row.language,
        customer_id=row.customer_id,
        customer_name=row.customer_name,
        customer_tier=row.customer_tier,
        preferred_agent=row.preferred_agent,
        pbx_id=row.pbx_id,
        from_number=row.from_number,
        dialled=row.dialled,
        call_back=row.call_back,
        attributes=row.attributes,
        rule=row.rule,
        rule_version=row.rule_version,
        avoid=row.avoid,
        avoid_until=_ms(row.avoid_until),
        version=row.version,
        accepted_at=row.accepted_at,
    )


def _placed(row: Row[Any]) -> Placed:
    why = row.reason
    reason = None
    if why is not None:
        reason = core.Reason(
            eligible=why["eligible"],
            winner_key=tuple(why["winner_key"]),
            runner_up=why["runner_up"],
            runner_up_key=None if why["runner_up_key"] is None else tuple(why["runner_up_key"]),
            preferred=why["preferred"],
            step=why.get("step", 0),
        )
    return Placed(
        core.Assignment(
            assignment_id=str(row.assignment_id),
            token=row.token,
            item_id=str(row.work_item_id),
            agent_id=row.agent_id,
            device_id=row.device_id,
            state=core.AssignmentState(row.state),
            offered_at=milliseconds(row.offered_at),
            expires_at=milliseconds(row.expires_at),
            accepted_at=_ms(row.accepted_at),
            ended_at=_ms(row.ended_at),
            outcome=row.outcome,
        ),
        row.org_path,
        reason,
    )


def _ms(time: datetime | None) -> int | None:
    return None if time is None else milliseconds(time)
