"""An agent does not take what is offered."""

from typing import Any

from cordboard_chassis.refusals import Conflict

from routing import engine as core
from routing.live import LiveWorkspace
from routing.usecases.find_assignment import find_assignment


def decline_assignment(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """The work item keeps its place and goes on to another agent.

    Raises:
        Refused: it is over, or accepted.
    """
    placed = find_assignment(live, payload, caller)
    if placed.assignment.state is not core.AssignmentState.OFFERED:
        raise Conflict("this assignment is accepted already", code="assignment-accepted")
    live.step(core.MissAssignment(placed.assignment.assignment_id, core.Miss.DECLINED))
    return {}
