"""Who may do what."""

from typing import Annotated

from cordboard_chassis.auth.org_paths import ROOT, require_within
from cordboard_chassis.auth.principal import Principal, Role, principal
from cordboard_chassis.refusals import Forbidden, NotFound
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import OwnerId
from cordboard_contracts.vocabulary import Identifier
from fastapi import Depends, Path
from sqlalchemy import Row

from routing.storage import queries

_LEADING = (Role.SUPERVISOR, Role.BRANCH_MANAGER, Role.ADMINISTRATOR, Role.SERVICE)

Staff = Annotated[Principal, Depends(principal(Role.AGENT, *_LEADING))]
"""Everybody who works here."""
Leader = Annotated[Principal, Depends(principal(*_LEADING))]
"""Whoever sees more than the own work."""
Manager = Annotated[Principal, Depends(principal(Role.BRANCH_MANAGER, Role.ADMINISTRATOR))]
"""Whoever configures agents."""
Administrator = Annotated[Principal, Depends(principal(Role.ADMINISTRATOR))]
"""Whoever configures workspaces, queues and rules."""

WorkspaceId = Annotated[OwnerId, Path(description="Id of a workspace: `main`.")]
QueueId = Annotated[Identifier, Path(description="Id of a queue, unique within its workspace.")]
AgentId = Annotated[Identifier, Path(description="Id of an agent, unique over all workspaces.")]


def scope_for_agent(caller: Principal, agent_id: str) -> str:
    """The part of the organisation in which an agent may be looked for: agents see themselves, wherever they are.

    Raises:
        NotFound: the caller is an agent and asks about somebody else.
        Forbidden: the token of an agent does not say which.
    """
    own = own_agent_id(caller)
    if own is None:
        return caller.org_path
    if own != agent_id:
        raise NotFound(f"there is no agent {agent_id}", "agent_id")
    return ROOT


def own_agent_id(caller: Principal) -> str | None:
    """The id of a caller who may see only the own work; None for those who see more.

    Raises:
        Forbidden: the token of an agent does not say which.
    """
    if caller.is_any(*_LEADING):
        return None
    if caller.agent_id is None:
        raise Forbidden("this token does not say which agent it belongs to", code="agent-missing")
    return caller.agent_id


async def workspace_of(uow: UnitOfWork, workspace_id: str, field: str = "workspace_id") -> Row[tuple[object, ...]]:
    """A workspace that the caller sees; ``field`` is the part of the request that names it.

    Raises:
        NotFound: there is none.
    """
    row = await queries.find_workspace(uow, workspace_id)
    if row is None:
        raise NotFound(f"there is no workspace {workspace_id}", field)
    return row


async def configurable_workspace(uow: UnitOfWork, workspace_id: str) -> Row[tuple[object, ...]]:
    """A workspace that lies within the caller's part of the organisation.

    Raises:
        NotFound: the caller sees none of this id.
        Forbidden: it lies above.
    """
    row = await workspace_of(uow, workspace_id)
    require_within(row.org_path, uow.scope, "workspace")
    return row
