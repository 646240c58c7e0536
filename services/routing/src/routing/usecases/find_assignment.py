"""The open assignment that somebody speaks of."""

from typing import Any

from cordboard_chassis.auth.org_paths import is_within
from cordboard_chassis.refusals import Conflict, NotFound

from routing import engine as core
from routing.live import LiveWorkspace, Placed


def find_assignment(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> Placed:
    """An assignment that is offered or accepted. The API has seen that it exists.

    Raises:
        NotFound: it is neither the caller's own nor within the caller's part of the organisation.
        Conflict: it is over.
    """
    placed = live.placed.get(payload["assignment_id"])
    if placed is None:
        raise Conflict("this assignment is over", code="assignment-not-open")
    own = caller["agent_id"] == placed.assignment.agent_id
    if not own and not is_within(placed.org_path, caller["org_path"]):
        raise NotFound("there is no such assignment", "assignment_id")
    return placed


def refuse_call(live: LiveWorkspace, placed: Placed, detail: str) -> None:
    """What is done on the phone is not done here.

    Raises:
        Conflict: the assignment is one of a call.
    """
    if live.engine.item(placed.assignment.item_id).item.kind is core.WorkKind.CALL:
        raise Conflict(detail, code="done-by-phone")
