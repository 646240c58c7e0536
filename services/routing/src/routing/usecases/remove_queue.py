"""A queue is no longer used."""

from typing import Any

from cordboard_chassis.refusals import Conflict, NotFound

from routing import engine as core
from routing.domain.rules import DEFAULT_QUEUE
from routing.live import LiveWorkspace
from routing.usecases.require_match import require_match


def remove_queue(live: LiveWorkspace, payload: dict[str, Any]) -> dict[str, Any]:
    """Forget it.

    Raises:
        Refused: it is the default queue, a rule names it, it has open work items, there is no such queue, or the
            caller has not seen the present version.
    """
    queue_id = payload["queue_id"]
    entry = live.queues.get(queue_id)
    if entry is None:
        raise NotFound(f"there is no queue {queue_id}", "queue_id")
    require_match(payload["if_match"], entry.version)
    if queue_id == DEFAULT_QUEUE:
        raise Conflict("work that no rule is for goes to this queue", code="default-queue")
    named_by = next((r.name for r in live.rule_set.rules if r.then.queue == queue_id), None) if live.rule_set else None
    if named_by is not None:
        raise Conflict(f"the rule {named_by} sends work to this queue", code="queue-in-rules")
    sent_by = next((q.queue_id for q in live.queues.values() if (q.after_hours or {}).get("queue") == queue_id), None)
    if sent_by is not None:
        raise Conflict(f"the queue {sent_by} sends work here when it is closed", code="queue-in-use")
    live.step(core.RemoveQueue(queue_id))
    del live.queues[queue_id]
    live.changes.queues.pop(queue_id, None)
    live.changes.removed_queues.add(queue_id)
    return {}
