"""An agent takes a lead or service request. A call is taken by picking up the phone."""

from typing import Any

from routing import engine as core
from routing.live import LiveWorkspace
from routing.usecases.find_assignment import find_assignment, refuse_call


def accept_assignment(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """Accepting what one has accepted already is fine.

    Raises:
        Refused: it is over, or a call.
    """
    placed = find_assignment(live, payload, caller)
    refuse_call(live, placed, "a call is accepted by picking up the phone")
    if placed.assignment.state is core.AssignmentState.OFFERED:
        live.step(core.AcceptAssignment(placed.assignment.assignment_id))
    return {}
