"""Events and commands in and out: outbox and relay, queues and group-commit consumers, retries and parking."""

from cordboard_chassis.messaging.deliveries import Delivery, Intake
from cordboard_chassis.messaging.topology import GroupHandler, Handler, Message, Queue

__all__ = ["Delivery", "GroupHandler", "Handler", "Intake", "Message", "Queue"]
