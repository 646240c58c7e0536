"""Calls, as far as the caller may know of them."""

from dataclasses import dataclass
from uuid import UUID

from cordboard_chassis.auth.org_paths import ROOT
from cordboard_chassis.database import Database
from cordboard_chassis.refusals import NotFound
from cordboard_chassis.unit_of_work import UnitOfWork

from telephony_gateway.domain.call import Call
from telephony_gateway.storage import queries


@dataclass(frozen=True)
class Sight:
    """Which calls somebody sees: those within ``scope``; with ``agent_id`` only that agent's.

    A call belongs where its trunk does, which may be above the agent's own branch. So of an agent whom routing
    has told us about the workspace counts, and ``scope`` is everything.
    """

    scope: str
    agent_id: str | None = None
    workspaces: frozenset[str] | None = None

    def sees(self, call: Call) -> bool:
        """Whether a call in scope may be seen."""
        if self.agent_id is not None and self.agent_id not in call.agent_ids:
            return False
        return self.workspaces is None or call.workspace in self.workspaces


async def sight_of(database: Database, org_path: str, agent_id: str | None) -> Sight:
    """What a caller of this place, and this agent if they are one, sees."""
    if agent_id is None:
        return Sight(org_path)
    async with database.transaction(org_path) as uow:
        workspaces = await queries.workspaces_of(uow, agent_id)
    if not workspaces:
        return Sight(org_path, agent_id)
    return Sight(ROOT, agent_id, frozenset(workspaces))


async def find_call(uow: UnitOfWork, call_id: UUID, sight: Sight) -> Call:
    """A call that may be seen.

    Raises:
        NotFound: there is none.
    """
    found = await queries.find_calls(uow, [call_id])
    if not found or not sight.sees(found[0]):
        raise NotFound(f"there is no call {call_id}", "call_id")
    return found[0]
