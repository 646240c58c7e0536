"""Who may call what."""

from typing import Annotated

from cordboard_chassis.auth.principal import Principal, Role, principal
from fastapi import Depends

_LEADERS = (Role.SUPERVISOR, Role.BRANCH_MANAGER, Role.ADMINISTRATOR)

Staff = Annotated[Principal, Depends(principal(Role.AGENT, Role.SERVICE, *_LEADERS))]
"""Whoever works with customers, and other systems of the house. Not partners."""

Leader = Annotated[Principal, Depends(principal(*_LEADERS))]
"""Supervisors, branch managers, administrators."""
