"""An agent is done with a lead or service request. A call is done when it is cleared."""

from typing import Any

from cordboard_chassis.refusals import Conflict

from routing import engine as core
from routing.live import LiveWorkspace
from routing.usecases.find_assignment import find_assignment, refuse_call


def complete_assignment(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """Completes the work item, too.

    Raises:
        Refused: it is over, not accepted yet, or a call.
    """
    placed = find_assignment(live, payload, caller)
    refuse_call(live, placed, "a call is completed by hanging up")
    if placed.assignment.state is not core.AssignmentState.ACCEPTED:
        raise Conflict("accept it first", code="assignment-not-accepted")
    live.step(core.CompleteAssignment(placed.assignment.assignment_id, payload["outcome"]))
    return {}
