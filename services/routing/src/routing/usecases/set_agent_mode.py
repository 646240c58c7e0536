"""An agent is ready, not ready, leaving or offline."""

from typing import Any

from routing import engine as core
from routing.live import LiveWorkspace
from routing.usecases.put_agent import find_agent


def set_agent_mode(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """Work in hand stays with the agent; what is only offered goes to others. Ends a wrap-up, unless they are leaving.

    Raises:
        NotFound: there is no such agent.
    """
    entry = find_agent(live, payload["agent_id"], caller)
    live.step(core.SetMode(entry.agent_id, core.Mode(payload["mode"]), payload["reason"]))
    return {}
