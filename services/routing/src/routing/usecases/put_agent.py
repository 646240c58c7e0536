"""Configure an agent: a new one, or another profile."""

from typing import Any

from cordboard_chassis.auth.org_paths import is_within
from cordboard_chassis.refusals import Conflict, Invalid, NotFound

from routing import engine as core
from routing.live import AgentEntry, LiveWorkspace
from routing.usecases.require_match import require_match

MAX_AGENTS = 100_000


def put_agent(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any], *, taken: bool) -> dict[str, Any]:
    """Takes effect at once: what waits for somebody like this is offered before the answer is out.

    Raises:
        Refused: the id is taken by another workspace (``taken``) or branch, the device by another agent, the
            org path is outside of the workspace, or the caller has not seen the present version.
    """
    agent_id, org_path, device_id = payload["agent_id"], payload["org_path"], payload["device_id"]
    entry = live.agents.get(agent_id)
    if taken or (entry is not None and not is_within(entry.org_path, caller["org_path"])):
        raise Conflict(f"{agent_id} is the id of another agent", "agent_id", code="agent-id-taken")
    if not is_within(org_path, live.config.org_path):
        raise Invalid(f"is outside of {live.config.org_path}, where the workspace is", "org_path")
    holder = live.agent_at.get(device_id) if device_id is not None else None
    if holder not in (None, agent_id):
        raise Conflict(f"{device_id} is the device of another agent", "device_id", code="device-taken")
    profile = core.AgentProfile(
        skills=payload["skills"],
        territories=tuple(payload["territories"]),
        capacity=core.Capacity(
            {core.WorkKind(kind): count for kind, count in payload["capacity"].items()}, payload["capacity_total"]
        ),
        device_id=device_id,
    )
    if entry is None:
        require_match(payload["if_match"], None)
        if len(live.agents) >= MAX_AGENTS:
            raise Conflict(f"a workspace has {MAX_AGENTS} agents at most", code="too-many-agents")
        entry = _new_entry(live, agent_id, org_path, payload["name"], profile)
        created = True
    else:
        same = (entry.org_path, entry.name, entry.profile) == (org_path, payload["name"], profile)
        if same and payload["if_match"] is None:
            return {"created": False}
        require_match(payload["if_match"], entry.profile_version)
        created = False
    before = entry.profile.device_id
    live.agents[agent_id] = entry
    live.step(core.PutAgent(agent_id, profile))
    entry.org_path, entry.name, entry.profile = org_path, payload["name"], profile
    entry.profile_version += 1
    if before is not None and before != device_id and live.agent_at.get(before) == agent_id:
        live.agent_at.pop(before, None)
    if device_id is not None:
        live.agent_at[device_id] = agent_id
    known = live.devices.get(device_id) if device_id is not None else None
    state = known.state if known is not None else core.DeviceState.IDLE
    if entry.status.device is not state:
        live.step(core.SetDevice(agent_id, state))
    live.changes.profiles[agent_id] = entry
    live.changes.removed_agents.discard(agent_id)
    live.hear_of(agent_id)
    return {"created": created}


def _new_entry(live: LiveWorkspace, agent_id: str, org_path: str, name: str, profile: core.AgentProfile) -> AgentEntry:
    status = core.AgentStatus(
        state=core.AgentState.OFFLINE,
        reason=None,
        since=live.now,
        mode=core.Mode.OFFLINE,
        mode_reason=None,
        device=core.DeviceState.IDLE,
        idle_since=live.now,
        wrap_up=None,
        misses=0,
    )
    # Others may remember an earlier agent of this id, who was removed: a version that begins with the time is newer.
    return AgentEntry(agent_id, org_path, name, profile_version=0, version=live.now, profile=profile, status=status)


def find_agent(live: LiveWorkspace, agent_id: str, caller: dict[str, Any]) -> AgentEntry:
    """An agent that the caller may know of.

    Raises:
        NotFound: there is none, or the caller may not know of them.
    """
    entry = live.agents.get(agent_id)
    if entry is None or not (caller["agent_id"] == agent_id or is_within(entry.org_path, caller["org_path"])):
        raise NotFound(f"there is no agent {agent_id}", "agent_id")
    return entry
