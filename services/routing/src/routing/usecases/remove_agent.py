"""An agent is no longer one."""

from typing import Any

from routing import engine as core
from routing.live import LiveWorkspace
from routing.usecases.put_agent import find_agent
from routing.usecases.require_match import require_match


def remove_agent(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """What the agent is only offered goes to others.

    Raises:
        Refused: the agent has accepted work; there is no such agent; the caller has not seen the present version.
    """
    entry = find_agent(live, payload["agent_id"], caller)
    require_match(payload["if_match"], entry.profile_version)
    live.step(core.RemoveAgent(entry.agent_id))
    del live.agents[entry.agent_id]
    if entry.profile.device_id is not None:
        live.agent_at.pop(entry.profile.device_id, None)
    live.changes.profiles.pop(entry.agent_id, None)
    live.changes.removed_agents.add(entry.agent_id)
    live.say_removed(entry)
    return {}
