"""What the service hears on the bus besides what goes to the owners of its PBXs."""

from cordboard_chassis.messaging import Queue
from cordboard_contracts import names
from cordboard_contracts.routing import AgentChanged

from telephony_gateway.usecases.remember_agents import remember_agents

LINGER_S = 0.2

QUEUES = [
    Queue(names.queue("telephony", "agents"), group_handlers={AgentChanged: remember_agents}, linger_s=LINGER_S),
]
