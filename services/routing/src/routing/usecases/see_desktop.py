"""An agent's desktop says that it is there."""

from typing import Any

from routing import engine as core
from routing.live import LiveWorkspace
from routing.usecases.put_agent import find_agent


def see_desktop(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """It will say so again within ``for_s``; silence after that is what the grace is for.

    Raises:
        NotFound: there is no such agent.
    """
    entry = find_agent(live, payload["agent_id"], caller)
    live.step(core.SeeDesktop(entry.agent_id, live.now + payload["for_s"] * 1000))
    return {}
