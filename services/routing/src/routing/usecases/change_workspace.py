"""A workspace shall route by other settings."""

from dataclasses import replace
from typing import Any

from cordboard_chassis.refusals import Conflict

from routing.live import LiveWorkspace
from routing.usecases.require_match import require_match


def change_workspace(live: LiveWorkspace, payload: dict[str, Any]) -> dict[str, Any]:
    """Holds from now on; nothing that waits or is in hand is lost.

    Raises:
        Refused: its place in the organisation is fixed, or the caller has not seen the present version.
    """
    config = live.config
    if payload["org_path"] != config.org_path:
        raise Conflict("a workspace stays where it is in the organisation", "org_path", code="org-path-fixed")
    wanted = replace(
        config,
        name=payload["name"],
        agent_order=payload["agent_order"],
        misses_allowed=payload["misses_allowed"],
        weights=payload["weights"],
        reoffer_after_s=payload["reoffer_after_s"],
        presence_grace_s=payload["presence_grace_s"],
        interrupts=payload["interrupts"],
    )
    if wanted == config and payload["if_match"] is None:
        return {}
    require_match(payload["if_match"], config.version)
    wanted.version += 1
    live.reconfigure(wanted)
    return {}
