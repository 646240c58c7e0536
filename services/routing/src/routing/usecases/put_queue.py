"""Configure a queue: a new one, or other settings."""

from typing import Any

from cordboard_chassis.refusals import Conflict, Invalid

from routing import engine as core
from routing.domain.rules import after_hours_circle
from routing.live import LiveWorkspace, QueueEntry
from routing.usecases.require_match import require_match

MAX_QUEUES = 5_000


def put_queue(live: LiveWorkspace, payload: dict[str, Any]) -> dict[str, Any]:
    """Holds for what is offered from now on; what waits is put in order at once.

    Raises:
        Refused: there are too many, a step is wrong (the field says which), or the caller has not seen the present
            version.
    """
    _check_steps(live, payload["steps"])
    entry = live.queues.get(payload["queue_id"])
    wanted = QueueEntry(
        queue_id=payload["queue_id"],
        name=payload["name"],
        priority=payload["priority"],
        offer_timeout_s=payload["offer_timeout_s"],
        wrap_up_s=payload["wrap_up_s"],
        wrap_up_extension_s=payload["wrap_up_extension_s"],
        service_level_s=payload["service_level_s"],
        priority_class=payload["priority_class"],
        acceleration=payload["acceleration"],
        due_after_s=payload["due_after_s"],
        paused=payload["paused"],
        hours=payload["hours"],
        after_hours=payload["after_hours"],
        agent_order=payload["agent_order"],
        steps=payload["steps"],
        version=1 if entry is None else entry.version,
    )
    if entry is None:
        require_match(payload["if_match"], None)
        if len(live.queues) >= MAX_QUEUES:
            raise Conflict(f"a workspace has {MAX_QUEUES} queues at most", code="too-many-queues")
    else:
        if wanted == entry and payload["if_match"] is None:
            return {"created": False}
        require_match(payload["if_match"], entry.version)
        wanted.version += 1
    _check_hours(live, wanted)
    live.step(core.PutQueue(wanted.config()))
    live.queues[wanted.queue_id] = wanted
    live.changes.queues[wanted.queue_id] = wanted
    live.changes.removed_queues.discard(wanted.queue_id)
    return {"created": entry is None}


def _check_hours(live: LiveWorkspace, wanted: QueueEntry) -> None:
    if wanted.hours is not None and wanted.hours not in live.calendars:
        raise Invalid(f"there is no calendar {wanted.hours}", "hours")
    if wanted.after_hours is None:
        return
    if wanted.hours is None:
        raise Invalid("a queue without hours is always open", "after_hours")
    other = wanted.after_hours["queue"]
    if other is not None and other != wanted.queue_id and other not in live.queues:
        raise Invalid(f"there is no queue {other}", "after_hours.queue")
    circle = after_hours_circle(wanted.queue_id, lambda q: wanted.opening() if q == wanted.queue_id else live.hours(q))
    if circle is not None:
        raise Invalid(f"closed queues would send items round: {' > '.join(circle)}", "after_hours.queue")


def _check_steps(live: LiveWorkspace, steps: list[dict[str, Any]]) -> None:
    before_s = 0
    for index, step in enumerate(steps):
        if step["after_s"] < before_s:
            raise Invalid(f"comes before the step that is due after {before_s} s", f"steps.{index}.after_s")
        before_s = step["after_s"]
        if step["queue"] is None:
            continue
        if step.get("offer_call_back"):
            raise Invalid("a step that moves the item offers nothing", f"steps.{index}.offer_call_back")
        if step["queue"] not in live.queues:
            raise Invalid(f"there is no queue {step['queue']}", f"steps.{index}.queue")
        if index < len(steps) - 1:
            raise Invalid(
                "no step after this one is ever taken: the items are in another queue", f"steps.{index}.queue"
            )
