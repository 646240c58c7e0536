"""Know who sits at which device, so that a call that moves from phone to phone has its agents' names."""

from collections.abc import Sequence

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import Envelope
from cordboard_contracts.routing import Agent, AgentChanged

from telephony_gateway.storage import queries


async def remember_agents(uow: UnitOfWork, envelopes: Sequence[Envelope[AgentChanged]]) -> None:
    """Take the agents as they are now, unless something newer is known."""
    newest: dict[tuple[str, str], tuple[int, Agent]] = {}
    for envelope in envelopes:
        agent = envelope.data.agent
        known = newest.get((agent.workspace, agent.agent_id))
        if known is None or known[0] < envelope.sequence:
            newest[agent.workspace, agent.agent_id] = (envelope.sequence, agent)
    await queries.write_agents(uow, newest.values())
