"""A new contact centre."""

import json
from typing import Any

from cordboard_chassis.refusals import Conflict
from cordboard_chassis.unit_of_work import UnitOfWork

from routing.domain.rules import DEFAULT_QUEUE
from routing.storage import queries


async def create_workspace(uow: UnitOfWork, workspace_id: str, payload: dict[str, Any]) -> None:
    """Store it with the queue for work that no rule is for; whichever replica looks first becomes its owner.

    Raises:
        Conflict: the id is taken.
    """
    row = {
        "workspace_id": workspace_id,
        "org_path": payload["org_path"],
        "name": payload["name"],
        "agent_order": payload["agent_order"],
        "misses_allowed": json.dumps(payload["misses_allowed"]),
        "weights": json.dumps(payload["weights"]),
        "reoffer_after_s": payload["reoffer_after_s"],
        "presence_grace_s": payload["presence_grace_s"],
        "interrupts": json.dumps(payload["interrupts"]),
    }
    queue = {
        "workspace_id": workspace_id,
        "queue_id": DEFAULT_QUEUE,
        "name": "",
        "priority": 0,
        "offer_timeout_s": 20,
        "wrap_up_s": 0,
        "service_level_s": 20,
    }
    if not await queries.create_workspace(uow, row, queue):
        raise Conflict(f"{workspace_id} is the id of another workspace", code="workspace-id-taken")
