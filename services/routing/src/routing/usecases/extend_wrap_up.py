"""An agent needs more time for the wrap-up."""

from typing import Any

from routing import engine as core
from routing.live import LiveWorkspace
from routing.usecases.put_agent import find_agent


def extend_wrap_up(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """Adds to when it would end, as far as its queue allows.

    Raises:
        Refused: there is no such agent, the agent is not in wrap-up, it has no end, or there is not so much left.
    """
    entry = find_agent(live, payload["agent_id"], caller)
    wrap_up = entry.status.wrap_up
    until = live.now if wrap_up is None or wrap_up.until is None else wrap_up.until
    live.step(core.ExtendWrapUp(entry.agent_id, until + payload["seconds"] * 1000))
    return {}
