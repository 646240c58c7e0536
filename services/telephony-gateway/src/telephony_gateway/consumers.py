"""What the service hears on the bus besides what goes to the owners of its PBXs."""

from cordboard_chassis.messaging import Queue
from cordboard_contracts import names
from cordboard_contracts.routing import AgentChanged

from telephony_gateway.usecases.remember_agent import remember_agent

QUEUES = [Queue(names.queue("telephony", "agents"), {AgentChanged: remember_agent})]
