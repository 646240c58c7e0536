"""Know who sits at which device, so that a call that moves from phone to phone has its agents' names."""

from typing import Any

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import Envelope
from cordboard_contracts.routing import AgentState

from telephony_gateway.storage import queries


async def remember_agent(uow: UnitOfWork, envelope: Envelope[Any]) -> None:
    """Take the agent as they are now, unless something newer is known."""
    agent = envelope.data.agent
    await queries.write_agent(
        uow,
        workspace=agent.workspace,
        agent_id=agent.agent_id,
        org_path=agent.org_path,
        device_id=agent.device_id,
        on_duty=agent.state is not AgentState.OFFLINE,
        since=agent.since,
        version=envelope.sequence,
    )
