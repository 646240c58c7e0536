"""Who may call what."""

from typing import Annotated

from cordboard_chassis.auth.principal import Principal, Role, principal
from cordboard_chassis.refusals import Forbidden
from fastapi import Depends

LEADERS = (Role.SUPERVISOR, Role.BRANCH_MANAGER, Role.ADMINISTRATOR)

Administrator = Annotated[Principal, Depends(principal(Role.ADMINISTRATOR))]
"""Who may say where PBXs are."""

Leader = Annotated[Principal, Depends(principal(Role.SERVICE, *LEADERS))]
"""Supervisors, branch managers, administrators, and other systems of the house."""

Staff = Annotated[Principal, Depends(principal(Role.AGENT, Role.SERVICE, *LEADERS))]
"""Whoever works with calls. Not partners."""


def own_calls_of(caller: Principal) -> str | None:
    """The agent to whose calls the caller is limited; None when they may see all of their branch's.

    Raises:
        Forbidden: an agent whose token does not say which agent.
    """
    if caller.is_any(Role.SERVICE, *LEADERS):
        return None
    if caller.agent_id is None:
        raise Forbidden("the token of an agent must have the claim agent_id", code="agent-unknown")
    return caller.agent_id
