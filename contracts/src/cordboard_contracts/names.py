"""Names on the bus. Nothing else in Cordboard builds an exchange, queue or routing-key string.

An event's type is its routing key: ``<service>.<entity>.<past>.v<major>`` (``telephony.call.answered.v1``).
A command's type is ``<target>.<entity>.<imperative>.v<major>``.
"""

import re

TYPE_PATTERN = re.compile(r"^[a-z]+\.[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*\.v[1-9][0-9]*$")
"""What an event or command type looks like."""

_OWNER_ID = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")


def events_exchange(service: str) -> str:
    """The durable topic exchange on which a service publishes its events."""
    return f"{service}.events"


def commands_exchange(service: str) -> str:
    """The durable direct exchange through which a service is told to do something."""
    return f"{service}.commands"


def queue(consumer: str, purpose: str) -> str:
    """A consumer's queue: ``accounts.interactions``."""
    return f"{consumer}.{purpose}"


def retry_queue(consumer: str, delay_s: int) -> str:
    """Where messages of any of a consumer's queues wait ``delay_s`` seconds before they are tried again.

    The fanout exchange in front of it has the same name: the routing key says which queue to go back to.
    """
    return f"{consumer}.retry.{delay_s}s"


def parked_queue(consumer: str) -> str:
    """Through which messages of any of a consumer's queues go to the operator."""
    return f"{consumer}.parked"


def owners_exchange(consumer: str, kind: str) -> str:
    """The headers exchange that hands each message to the queue of its owner: ``routing.workspaces``."""
    return f"{consumer}.{kind}s"


def unowned_exchange(consumer: str, kind: str) -> str:
    """Where messages go whose owner nobody has declared: ``routing.workspaces.unowned``."""
    return f"{consumer}.{kind}s.unowned"


def owner_queue(consumer: str, kind: str, owner_id: str) -> str:
    """The queue that only the owner of one ``kind`` consumes: ``routing.workspace.main``.

    Raises:
        ValueError: the id does not fit into a queue name.
    """
    if not _OWNER_ID.fullmatch(owner_id):
        raise ValueError(f"{kind} id {owner_id!r}: lower-case letters, digits and hyphens, 63 at most")
    return f"{consumer}.{kind}.{owner_id}"


def service_of(message_type: str) -> str:
    """The service that publishes an event type, or is the target of a command type."""
    return message_type.split(".", 1)[0]
