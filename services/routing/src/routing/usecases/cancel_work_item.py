"""A supervisor takes a work item out of routing."""

from typing import Any
from uuid import UUID

from cordboard_chassis.auth.org_paths import is_within
from cordboard_chassis.refusals import Conflict, NotFound

from routing import engine as core
from routing.live import LiveWorkspace, Work


def cancel_work_item(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """Cancelled, or completed if an agent had accepted it. A call itself goes on.

    Raises:
        Refused: it is over, or not the caller's business.
    """
    work = find_open_work(live, payload["work_item_id"], caller)
    live.step(core.CancelItem(work.item_id, payload["reason"]))
    return {}


def find_open_work(live: LiveWorkspace, item_id: str, caller: dict[str, Any]) -> Work:
    """A work item that is not over. The API has seen that it exists.

    Raises:
        NotFound: it is outside of the caller's part of the organisation.
        Conflict: it is over.
    """
    work = live.works.get(UUID(item_id))
    if work is None:
        raise Conflict("this work item is over", code="item-not-open")
    if not is_within(work.org_path, caller["org_path"]):
        raise NotFound("there is no such work item", "work_item_id")
    return work
