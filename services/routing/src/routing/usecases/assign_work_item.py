"""A supervisor gives a work item to an agent."""

from typing import Any

from cordboard_chassis.refusals import Conflict

from routing import engine as core
from routing.live import LiveWorkspace
from routing.usecases.cancel_work_item import find_open_work
from routing.usecases.put_agent import find_agent

ASSIGNED = "assigned"


def assign_work_item(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """A lead or service request is in the agent's hands at once, even above their capacity.

    A call waits for the agent alone, for ``patience_s`` at most, and rings when they can take it.

    Raises:
        Refused: it is over, an accepted call, or not the caller's business; there is no such agent.
    """
    work = find_open_work(live, payload["work_item_id"], caller)
    agent = find_agent(live, payload["agent_id"], caller)
    if work.kind is not core.WorkKind.CALL:
        live.step(core.TakeItem(work.item_id, agent.agent_id, ASSIGNED))
        return {}
    if work.state == "accepted":
        raise Conflict("a call that somebody talks on is transferred by phone", code="done-by-phone")
    until = live.now + payload["patience_s"] * 1000
    live.step(core.RequeueItem(work.item_id, ASSIGNED, preferred_agent=agent.agent_id, preferred_until=until))
    return {}
