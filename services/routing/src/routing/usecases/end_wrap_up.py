"""An agent is done with the wrap-up."""

from typing import Any

from routing import engine as core
from routing.live import LiveWorkspace
from routing.usecases.put_agent import find_agent


def end_wrap_up(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """The agent is what they were before it.

    Raises:
        Refused: there is no such agent, or the agent is not in wrap-up.
    """
    live.step(core.EndWrapUp(find_agent(live, payload["agent_id"], caller).agent_id))
    return {}
