"""A supervisor puts a work item into a queue again, or into another one."""

from typing import Any

from cordboard_chassis.refusals import Conflict, Invalid

from routing import engine as core
from routing.live import LiveWorkspace
from routing.usecases.cancel_work_item import find_open_work


def requeue_work_item(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """An offer is withdrawn, accepted work is taken from its agent; the item keeps its place by time.

    Raises:
        Refused: it is over, not the caller's business, or an accepted call; there is no such queue.
    """
    work = find_open_work(live, payload["work_item_id"], caller)
    if payload["queue"] is not None and payload["queue"] not in live.queues:
        raise Invalid(f"there is no queue {payload['queue']}", "queue")
    if work.kind is core.WorkKind.CALL and work.state == "accepted":
        raise Conflict("a call that somebody talks on is transferred by phone", code="done-by-phone")
    live.step(core.RequeueItem(work.item_id, payload["reason"], payload["queue"], priority=payload["priority"]))
    return {}
