"""A calendar: a new one, or other hours."""

from typing import Any

from cordboard_chassis.refusals import Conflict, Invalid

from routing.domain import calendars
from routing.live import CalendarEntry, LiveWorkspace
from routing.usecases.require_match import require_match

MAX_CALENDARS = 100


def put_calendar(live: LiveWorkspace, payload: dict[str, Any]) -> dict[str, Any]:
    """Holds for what arrives from now on.

    Raises:
        Refused: there are too many, hours or days contradict each other (the field says which), or the caller has not
            seen the present version.
    """
    calendar_id, document = payload["calendar_id"], payload["calendar"]
    fault = calendars.first_fault(document)
    if fault is not None:
        field, reason = fault
        raise Invalid(reason, field)
    entry = live.calendars.get(calendar_id)
    if entry is None:
        require_match(payload["if_match"], None)
        if len(live.calendars) >= MAX_CALENDARS:
            raise Conflict(f"a workspace has {MAX_CALENDARS} calendars at most", code="too-many-calendars")
    else:
        if entry.document == document and payload["if_match"] is None:
            return {"created": False}
        require_match(payload["if_match"], entry.version)
    wanted = CalendarEntry(calendar_id, document, 1 if entry is None else entry.version + 1)
    live.calendars[calendar_id] = wanted
    live.changes.calendars[calendar_id] = wanted
    live.changes.removed_calendars.discard(calendar_id)
    return {"created": entry is None}
