"""A calendar is no longer used."""

from typing import Any

from cordboard_chassis.refusals import Conflict, NotFound

from routing.live import LiveWorkspace
from routing.usecases.require_match import require_match


def remove_calendar(live: LiveWorkspace, payload: dict[str, Any]) -> dict[str, Any]:
    """Forget it.

    Raises:
        Refused: a queue or a rule asks it, there is no such calendar, or the caller has not seen the present version.
    """
    calendar_id = payload["calendar_id"]
    entry = live.calendars.get(calendar_id)
    if entry is None:
        raise NotFound(f"there is no calendar {calendar_id}", "calendar_id")
    require_match(payload["if_match"], entry.version)
    queue = next((queue.queue_id for queue in live.queues.values() if queue.hours == calendar_id), None)
    if queue is not None:
        raise Conflict(f"the queue {queue} is open by this calendar", code="calendar-in-use")
    rules = live.rule_set.rules if live.rule_set else ()
    rule = next((rule.name for rule in rules if calendar_id in rule.when.open | rule.when.closed), None)
    if rule is not None:
        raise Conflict(f"the rule {rule} asks this calendar", code="calendar-in-use")
    del live.calendars[calendar_id]
    live.changes.calendars.pop(calendar_id, None)
    live.changes.removed_calendars.add(calendar_id)
    return {}
