"""Every statement of the service."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from cordboard_chassis.auth.org_paths import within
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.routing import Agent, AgentState
from pydantic_core import to_json
from sqlalchemy import Row
from sqlalchemy.dialects.postgresql import distinct_on, insert

from telephony_gateway.domain.call import Call
from telephony_gateway.domain.devices import Device
from telephony_gateway.domain.dialling import Dialled, DialLimit
from telephony_gateway.domain.lines import Pbx, Trunk
from telephony_gateway.domain.words import DeviceState
from telephony_gateway.storage import call_json
from telephony_gateway.storage.tables import adapter_commands as waiting_commands
from telephony_gateway.storage.tables import agents, calls, devices, pbxs

# Rows travel as one JSON document: that is quicker to write than arrays of texts full of quotes.
_WRITE_CALLS = """
    INSERT INTO calls (call_id, pbx_id, workspace, org_path, direction, state, from_number, agent_ids, offered_at,
                       cleared_at, version, body)
    SELECT call_id, pbx_id, workspace, org_path, direction, state, from_number, string_to_array(agent_ids, ','),
           offered_at, cleared_at, version, CAST(body AS jsonb)
    FROM json_to_recordset(CAST(%(rows)s AS json)) AS c (
        call_id uuid, pbx_id text, workspace text, org_path text, direction text, state text, from_number text,
        agent_ids text, offered_at timestamptz, cleared_at timestamptz, version bigint, body text
    )
    ON CONFLICT (call_id) DO UPDATE SET
        state = excluded.state, agent_ids = excluded.agent_ids, cleared_at = excluded.cleared_at,
        version = excluded.version, body = excluded.body
    WHERE calls.version < excluded.version
    """
_WRITE_DEVICES = sa.text(
    """
    INSERT INTO devices (pbx_id, device_id, workspace, org_path, state, told, changed_at, version)
    SELECT pbx_id, device_id, workspace, org_path, state, told, changed_at, version
    FROM unnest(
        CAST(:pbx_id AS text[]), CAST(:device_id AS text[]), CAST(:workspace AS text[]), CAST(:org_path AS text[]),
        CAST(:state AS text[]), CAST(:told AS text[]), CAST(:changed_at AS timestamptz[]),
        CAST(:version AS bigint[])
    ) AS d (pbx_id, device_id, workspace, org_path, state, told, changed_at, version)
    ON CONFLICT (pbx_id, device_id) DO UPDATE SET
        state = excluded.state, told = excluded.told, changed_at = excluded.changed_at, version = excluded.version
    """
)
# Ordered, so that two transactions with the same agents wait for each other instead of deadlocking.
_WRITE_AGENTS = sa.text(
    """
    INSERT INTO agents (workspace, agent_id, org_path, device_id, on_duty, since, version)
    SELECT workspace, agent_id, org_path, device_id, on_duty, since, version
    FROM json_to_recordset(CAST(:rows AS json)) AS a (
        workspace text, agent_id text, org_path text, device_id text, on_duty boolean, since timestamptz,
        version bigint
    )
    ORDER BY workspace, agent_id
    ON CONFLICT (workspace, agent_id) DO UPDATE SET
        org_path = excluded.org_path, device_id = excluded.device_id, on_duty = excluded.on_duty,
        since = excluded.since, version = excluded.version
    WHERE agents.version < excluded.version
    """
)
_PURGE = sa.text(
    """
    DELETE FROM calls WHERE call_id = ANY(ARRAY(
        SELECT call_id FROM calls WHERE cleared_at < :before ORDER BY cleared_at LIMIT :limit
    ))
    """
)
ADAPTER_COMMANDS_CHANNEL = "adapter_commands"
_NOTIFY = sa.text("SELECT pg_notify(:channel, :payload)")
_TRY_OWNERS_LOCK = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")


# PBXs


def to_pbx(row: Row[Any]) -> Pbx:
    """A row as what is configured."""
    return Pbx(
        pbx_id=row.pbx_id,
        driver=row.driver,
        host=row.host,
        port=row.port,
        workspace=row.workspace,
        org_path=row.org_path,
        trunks=tuple(Trunk(**{**trunk, "dids": tuple(trunk["dids"])}) for trunk in row.trunks),
        enabled=row.enabled,
        outbound_prefixes=tuple(row.outbound_prefixes),
        outbound_limits=tuple(DialLimit(**limit) for limit in row.outbound_limits),
        version=row.version,
    )


async def enabled_pbx_ids(uow: UnitOfWork) -> list[str]:
    """The PBXs that shall have an owner."""
    rows = await uow.all(sa.select(pbxs.c.pbx_id).where(pbxs.c.enabled).order_by(pbxs.c.pbx_id).limit(10_000))
    return [row.pbx_id for row in rows]


async def find_pbx(uow: UnitOfWork, pbx_id: str, *, lock: bool = False) -> Row[Any] | None:
    """One PBX, as far as it is in scope."""
    statement = sa.select(pbxs).where(pbxs.c.pbx_id == pbx_id, within(pbxs.c.org_path, uow.scope))
    return await uow.one(statement.with_for_update() if lock else statement)


async def pbx_versions(uow: UnitOfWork, pbx_id: str) -> tuple[int, int] | None:
    """The versions of what is configured, about the PBX and about its devices; None when it is gone or disabled."""
    row = await uow.one(
        sa.select(pbxs.c.version, pbxs.c.devices_version).where(pbxs.c.pbx_id == pbx_id, pbxs.c.enabled)
    )
    return (row.version, row.devices_version) if row is not None else None


async def list_pbxs(uow: UnitOfWork, after: str | None, limit: int) -> Sequence[Row[Any]]:
    """PBXs by id."""
    statement = sa.select(pbxs).where(within(pbxs.c.org_path, uow.scope)).order_by(pbxs.c.pbx_id).limit(limit)
    return await uow.all(statement.where(pbxs.c.pbx_id > after) if after is not None else statement)


async def insert_pbx(uow: UnitOfWork, pbx: Pbx) -> bool:
    """A new PBX; False when the id is taken."""
    statement = insert(pbxs).values(**_pbx_columns(pbx, uow.now)).on_conflict_do_nothing().returning(pbxs.c.pbx_id)
    return await uow.scalar(statement) is not None


async def update_pbx(uow: UnitOfWork, pbx: Pbx) -> None:
    """Another configuration of a PBX that is locked."""
    await uow.execute(sa.update(pbxs).where(pbxs.c.pbx_id == pbx.pbx_id).values(**_pbx_columns(pbx, uow.now)))


async def bump_devices(uow: UnitOfWork, pbx_id: str) -> None:
    """Have the owner read once more where devices belong."""
    await uow.execute(sa.update(pbxs).where(pbxs.c.pbx_id == pbx_id).values(devices_version=pbxs.c.devices_version + 1))


async def rehome_devices(uow: UnitOfWork, pbx: Pbx) -> None:
    """Devices belong where their PBX does, unless they were configured otherwise, and somewhere within that."""
    outside = ~within(devices.c.org_path, pbx.org_path)
    own = sa.update(devices).where(devices.c.pbx_id == pbx.pbx_id)
    await uow.execute(own.where(~devices.c.configured).values(workspace=pbx.workspace, org_path=pbx.org_path))
    await uow.execute(own.where(devices.c.configured, outside).values(org_path=pbx.org_path))


async def delete_pbx(uow: UnitOfWork, pbx_id: str) -> None:
    """Forget a PBX and its devices; its calls remain until they are purged."""
    await uow.execute(sa.delete(devices).where(devices.c.pbx_id == pbx_id))
    await uow.execute(sa.delete(pbxs).where(pbxs.c.pbx_id == pbx_id))


async def lock_out_owners(uow: UnitOfWork, pbx_id: str) -> bool:
    """Be the one writer of an unowned PBX's calls until the transaction ends; False when it has an owner."""
    name = f"cordboard.telephony.pbx.{pbx_id}"
    return bool(await uow.scalar(_TRY_OWNERS_LOCK, {"name": name}))


async def write_connection(uow: UnitOfWork, pbx_id: str, *, connected: bool, detail: str, owned_by: str) -> None:
    """What the owner knows about the connection."""
    await uow.execute(
        sa.update(pbxs)
        .where(pbxs.c.pbx_id == pbx_id)
        .values(connected=connected, connection_since=uow.now, connection_detail=detail, owned_by=owned_by)
    )


def _pbx_columns(pbx: Pbx, now: datetime) -> dict[str, Any]:
    return {
        "pbx_id": pbx.pbx_id,
        "driver": pbx.driver,
        "host": pbx.host,
        "port": pbx.port,
        "workspace": pbx.workspace,
        "org_path": pbx.org_path,
        "trunks": [asdict(trunk) for trunk in pbx.trunks],
        "outbound_prefixes": list(pbx.outbound_prefixes),
        "outbound_limits": [asdict(limit) for limit in pbx.outbound_limits],
        "enabled": pbx.enabled,
        "version": pbx.version,
        "updated_at": now,
    }


# Devices


def to_device(row: Row[Any]) -> Device:
    """A row as a device."""
    return Device(
        pbx_id=row.pbx_id,
        device_id=row.device_id,
        workspace=row.workspace,
        org_path=row.org_path,
        state=DeviceState(row.state),
        changed_at=row.changed_at,
        told=DeviceState(row.told),
        version=row.version,
    )


async def devices_of(uow: UnitOfWork, pbx_id: str) -> list[Device]:
    """All devices of a PBX."""
    rows = await uow.all(sa.select(devices).where(devices.c.pbx_id == pbx_id).limit(1_000_000))
    return [to_device(row) for row in rows]


async def write_devices(uow: UnitOfWork, changed: Iterable[Device]) -> None:
    """States of devices, in one statement; where they belong is written only for new ones."""
    rows = list(changed)
    if rows:
        await uow.execute(
            _WRITE_DEVICES,
            {
                "pbx_id": [d.pbx_id for d in rows],
                "device_id": [d.device_id for d in rows],
                "workspace": [d.workspace for d in rows],
                "org_path": [d.org_path for d in rows],
                "state": [d.state.value for d in rows],
                "told": [d.told.value for d in rows],
                "changed_at": [d.changed_at for d in rows],
                "version": [d.version for d in rows],
            },
        )


async def find_device(uow: UnitOfWork, pbx_id: str, device_id: str, *, lock: bool = False) -> Row[Any] | None:
    """One device, as far as it is in scope."""
    statement = sa.select(devices).where(
        devices.c.pbx_id == pbx_id, devices.c.device_id == device_id, within(devices.c.org_path, uow.scope)
    )
    return await uow.one(statement.with_for_update() if lock else statement)


async def configure_device(uow: UnitOfWork, pbx_id: str, device_id: str, workspace: str, org_path: str) -> int:
    """Say where a device belongs; one that the PBX has not named yet is unreachable. Returns the new version."""
    statement = insert(devices).values(
        pbx_id=pbx_id,
        device_id=device_id,
        workspace=workspace,
        org_path=org_path,
        configured=True,
        config_version=1,
        state=DeviceState.UNREACHABLE.value,
        told=DeviceState.UNREACHABLE.value,
        changed_at=uow.now,
        version=0,
    )
    statement = statement.on_conflict_do_update(
        index_elements=["pbx_id", "device_id"],
        set_={
            "workspace": workspace,
            "org_path": org_path,
            "configured": True,
            "config_version": devices.c.config_version + 1,
        },
    )
    return int(await uow.scalar(statement.returning(devices.c.config_version)))


async def list_devices(
    uow: UnitOfWork, filters: Mapping[str, str], after: tuple[str, str] | None, limit: int
) -> Sequence[Row[Any]]:
    """Devices by PBX and id; ``filters`` are columns."""
    statement = (
        sa.select(devices)
        .where(within(devices.c.org_path, uow.scope))
        .where(*(devices.c[column] == value for column, value in filters.items()))
        .order_by(devices.c.pbx_id, devices.c.device_id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(sa.tuple_(devices.c.pbx_id, devices.c.device_id) > sa.tuple_(*after))
    return await uow.all(statement)


# Calls


async def live_calls(uow: UnitOfWork, pbx_id: str) -> list[Call]:
    """All calls of a PBX that are not over."""
    statement = sa.select(calls.c.body).where(calls.c.pbx_id == pbx_id, calls.c.cleared_at.is_(None))
    return [call_json.from_plain(row.body) for row in await uow.all(statement.limit(1_000_000))]


async def find_calls(uow: UnitOfWork, call_ids: Collection[UUID]) -> list[Call]:
    """Calls by id, as far as they are in scope."""
    if not call_ids:
        return []
    statement = sa.select(calls.c.body).where(calls.c.call_id.in_(call_ids), within(calls.c.org_path, uow.scope))
    return [call_json.from_plain(row.body) for row in await uow.all(statement)]


async def write_calls(uow: UnitOfWork, changed: Iterable[Call]) -> None:
    """Calls as they are now, in one statement."""
    rows = list(changed)
    if rows:
        await uow.execute_directly(
            _WRITE_CALLS,
            {
                "rows": _document(
                    {
                        "call_id": c.call_id,
                        "pbx_id": c.pbx_id,
                        "workspace": c.workspace,
                        "org_path": c.org_path,
                        "direction": c.direction,
                        "state": c.state,
                        "from_number": c.from_number,
                        "agent_ids": ",".join(c.agent_ids),
                        "offered_at": c.offered_at,
                        "cleared_at": c.cleared_at,
                        "version": c.version,
                        "body": call_json.to_json(c),
                    }
                    for c in rows
                )
            },
        )


def _document(rows: Iterable[dict[str, Any]]) -> str:
    return to_json(list(rows)).decode()


async def list_calls(
    uow: UnitOfWork,
    filters: Mapping[str, str],
    *,
    agent_id: str | None,
    workspaces: Collection[str] | None,
    live: bool | None,
    offered_from: datetime | None,
    offered_before: datetime | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Call]:
    """Calls, the newest first; ``filters`` are columns."""
    statement = (
        sa.select(calls.c.body)
        .where(within(calls.c.org_path, uow.scope))
        .where(*(calls.c[column] == value for column, value in filters.items()))
        .order_by(calls.c.offered_at.desc(), calls.c.call_id.desc())
        .limit(limit)
    )
    if agent_id is not None:
        statement = statement.where(calls.c.agent_ids.contains([agent_id]))
    if workspaces is not None:
        statement = statement.where(calls.c.workspace.in_(workspaces))
    if live is not None:
        statement = statement.where(calls.c.cleared_at.is_(None) if live else calls.c.cleared_at.is_not(None))
    if offered_from is not None:
        statement = statement.where(calls.c.offered_at >= offered_from)
    if offered_before is not None:
        statement = statement.where(calls.c.offered_at < offered_before)
    if before is not None:
        statement = statement.where(sa.tuple_(calls.c.offered_at, calls.c.call_id) < sa.tuple_(*before))
    return [call_json.from_plain(row.body) for row in await uow.all(statement)]


async def purge_calls(uow: UnitOfWork, before: datetime, limit: int) -> int:
    """Delete calls that were cleared before a time; returns how many, ``limit`` at most."""
    return (await uow.execute(_PURGE, {"before": before, "limit": limit})).rowcount


# Agents


async def write_agents(uow: UnitOfWork, versions: Iterable[tuple[int, Agent]]) -> None:
    """Who sits where, unless something newer is known; each agent once, with the version of what is said."""
    rows = _document(
        {
            "workspace": agent.workspace,
            "agent_id": agent.agent_id,
            "org_path": agent.org_path,
            "device_id": agent.device_id,
            "on_duty": agent.state is not AgentState.OFFLINE,
            "since": agent.since,
            "version": version,
        }
        for version, agent in versions
    )
    await uow.execute(_WRITE_AGENTS, {"rows": rows})


async def agents_at(uow: UnitOfWork, workspace: str, device_ids: Collection[str]) -> dict[str, str]:
    """Who sits at each device: of several the one on duty, then the latest to come."""
    if not device_ids:
        return {}
    statement = (
        sa.select(agents.c.device_id, agents.c.agent_id)
        .ext(distinct_on(agents.c.device_id))
        .where(agents.c.workspace == workspace, agents.c.device_id.in_(device_ids))
        .order_by(agents.c.device_id, agents.c.on_duty.desc(), agents.c.since.desc(), agents.c.agent_id)
    )
    return {row.device_id: row.agent_id for row in await uow.all(statement)}


async def device_of(uow: UnitOfWork, workspace: str, agent_id: str) -> str | None:
    """Where an agent sits."""
    device_id: str | None = await uow.scalar(
        sa.select(agents.c.device_id).where(agents.c.workspace == workspace, agents.c.agent_id == agent_id)
    )
    return device_id


async def workspaces_of(uow: UnitOfWork, agent_id: str) -> list[str]:
    """Where an agent works, as far as that is in scope."""
    statement = sa.select(agents.c.workspace).where(agents.c.agent_id == agent_id, within(agents.c.org_path, uow.scope))
    return [row.workspace for row in await uow.all(statement.limit(100))]


async def has_device_in_scope(uow: UnitOfWork, pbx_id: str, agent_id: str | None, device_id: str | None) -> bool:
    """Whether the device, or the one at which the agent is, is one of the PBX's and in scope."""
    wanted = [devices.c.device_id == device_id]
    if device_id is None:
        at = sa.select(agents.c.device_id).where(agents.c.agent_id == agent_id, within(agents.c.org_path, uow.scope))
        wanted = [devices.c.device_id.in_(at)]
    statement = sa.select(devices.c.device_id).where(
        devices.c.pbx_id == pbx_id, within(devices.c.org_path, uow.scope), *wanted
    )
    return await uow.one(statement.limit(1)) is not None


async def dialled(uow: UnitOfWork, limit: DialLimit, agent_id: str) -> Dialled:
    """What counts against a limit by now, counted no further than to the limit."""
    mine = [calls.c.direction == "outbound", within(calls.c.org_path, limit.org_path)]
    if limit.per == "agent":
        mine.append(calls.c.agent_ids.contains([agent_id]))

    async def count(most: int | None, *further: sa.ColumnElement[bool]) -> int:
        if most is None:
            return 0
        found = sa.select(sa.literal(1)).where(*mine, *further).limit(most).subquery()
        return int(await uow.scalar(sa.select(sa.func.count()).select_from(found)))

    return Dialled(
        begun=await count(limit.calls, calls.c.offered_at > uow.now - timedelta(seconds=limit.interval_s)),
        live=await count(limit.simultaneous, calls.c.cleared_at.is_(None)),
    )


# Commands that wait for adapters


async def put_adapter_commands(uow: UnitOfWork, pbx_id: str, bodies: Sequence[dict[str, Any]]) -> int:
    """Have commands wait, each once; returns how many wait now."""
    rows = [{"pbx_id": pbx_id, "command_id": body["command_id"], "body": body} for body in bodies]
    await uow.execute(insert(waiting_commands).values(rows).on_conflict_do_nothing())
    await uow.execute(_NOTIFY, {"channel": ADAPTER_COMMANDS_CHANNEL, "payload": pbx_id})
    statement = sa.select(sa.func.count()).where(waiting_commands.c.pbx_id == pbx_id)
    return int(await uow.scalar(statement))


async def adapter_commands(uow: UnitOfWork, pbx_id: str, after: int, limit: int) -> Sequence[Row[Any]]:
    """The next that wait, in the order in which they were given."""
    table = waiting_commands.c
    statement = sa.select(table.position, table.body).where(table.pbx_id == pbx_id, table.position > after)
    return await uow.all(statement.order_by(table.position).limit(limit))


async def delete_adapter_commands(uow: UnitOfWork, pbx_id: str, command_ids: Collection[UUID] | None) -> None:
    """These wait no longer; None: none do."""
    statement = sa.delete(waiting_commands).where(waiting_commands.c.pbx_id == pbx_id)
    if command_ids is not None:
        statement = statement.where(waiting_commands.c.command_id.in_(command_ids))
    await uow.execute(statement)
