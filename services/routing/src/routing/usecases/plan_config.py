"""What would have to change for a workspace to be configured as a document says, and whether it can."""

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cordboard_chassis.database import Database
from cordboard_chassis.http.etags import etag
from cordboard_chassis.refusals import Conflict
from cordboard_chassis.unit_of_work import UnitOfWork

from routing.domain.differences import Change, Document, differences, loosened
from routing.domain.rules import DEFAULT_QUEUE
from routing.live import HalfDone, LiveWorkspace
from routing.storage import owner_rows, queries
from routing.usecases.apply_config import apply_config


@dataclass(frozen=True, slots=True)
class Present:
    """How a workspace is configured."""

    document: Document
    """All of it; ``rules`` None when there are none."""
    versions: Mapping[tuple[str, str], int]
    """Of what exists, by section and id."""

    @property
    def version(self) -> int:
        """Another number whenever anything is changed: the entity tag."""
        listed = json.dumps(sorted([*key, version] for key, version in self.versions.items()))
        return int.from_bytes(hashlib.sha256(listed.encode()).digest()[:6], "big")

    def tag(self, section: str, id: str = "") -> str | None:
        """What stands in If-Match for this part of it; None for what does not exist."""
        version = self.versions.get((section, id))
        return None if version is None else etag(version)


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes, and what the owner is asked for them."""

    changes: list[Change]
    payload: dict[str, Any]


def plan_config(present: Present, wanted: Document) -> Plan:
    """Only what is different is changed, so that a large workspace is not put anew for one agent.

    Queues that shall go, or send work to other queues than now, are loosened first: so none names one that is not there
    yet or no longer, and none sends work round on the way to an arrangement in which none does.
    """
    changes = differences(present.document, wanted, kept=frozenset({DEFAULT_QUEUE}))
    put: dict[str, list[str]] = defaultdict(list)
    gone: dict[str, list[str]] = defaultdict(list)
    for change in changes:
        (gone if change.kind == "removed" else put)[change.section].append(change.id)
    before, after = present.document["queues"], wanted.get("queues") or {}
    loose = {id: loosened(after[id]) for id in put["queues"] if _leads_elsewhere(before.get(id), after[id])}
    loose |= {id: loosened(before[id]) for id in gone["queues"] if loosened(before[id]) != before[id]}

    def tag(id: str) -> str | None:
        return "*" if id in loose else present.tag("queues", id)

    payload = {
        "settings": {**wanted["settings"], "if_match": present.tag("settings")} if put["settings"] else None,
        "calendars": [
            {"calendar_id": id, "calendar": wanted["calendars"][id], "if_match": present.tag("calendars", id)}
            for id in put["calendars"]
        ],
        "loosened_queues": [
            {**queue, "queue_id": id, "if_match": present.tag("queues", id)} for id, queue in loose.items()
        ],
        "queues": [{**after[id], "queue_id": id, "if_match": tag(id)} for id in put["queues"]],
        "rules": {"rules": wanted["rules"], "if_match": present.tag("rules")}
        if put["rules"] or gone["rules"]
        else None,
        "removed_queues": [{"queue_id": id, "if_match": tag(id)} for id in gone["queues"]],
        "removed_calendars": [
            {"calendar_id": id, "if_match": present.tag("calendars", id)} for id in gone["calendars"]
        ],
        "removed_agents": [{"agent_id": id, "if_match": present.tag("agents", id)} for id in gone["agents"]],
        "agents": [
            {**wanted["agents"][id], "agent_id": id, "if_match": present.tag("agents", id)} for id in put["agents"]
        ],
    }
    return Plan(changes, payload)


def _leads_elsewhere(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> bool:
    """Whether a queue shall send work to others, and to others than it does."""
    if loosened(after) == after:
        return False
    return before is None or (before["steps"], before["after_hours"]) != (after["steps"], after["after_hours"])


async def check_plan(
    uow: UnitOfWork, database: Database, workspace_id: str, payload: dict[str, Any], caller: dict[str, Any]
) -> None:
    """Try it on a copy of the workspace in which nobody works; the owner is asked only for what will do.

    Raises:
        Refused: it cannot be done; the field says where in the document.
    """
    removed = [queue["queue_id"] for queue in payload["removed_queues"]]
    for queue_id in await queries.queues_with_work(uow, workspace_id, removed):
        raise Conflict(f"queue {queue_id} has open items", "queues", code="still-in-use")
    for agent_id in await queries.agents_with_work(uow, [agent["agent_id"] for agent in payload["removed_agents"]]):
        raise Conflict(f"agent {agent_id} has accepted work", "agents", code="still-in-use")
    copy = await owner_rows.restore(uow, workspace_id, with_work=False)
    assert copy is not None
    copy.begin(uow.now)
    new = [agent["agent_id"] for agent in payload["agents"] if agent["if_match"] is None]
    async with database.transaction() as anywhere:
        taken = await owner_rows.taken_agents(anywhere, workspace_id, new)
    await asyncio.to_thread(_try, copy, payload, caller, taken)


def _try(copy: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any], taken: set[str]) -> None:
    try:
        apply_config(copy, payload, caller, taken=taken)
    except HalfDone as half:
        raise half.refused from half
