"""Queues, exchanges and bindings of a service, declared in one step. Declaring again changes nothing."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection
from cordboard_contracts import COMMANDS, EVENTS, CommandData, Envelope, EventData, names

from cordboard_chassis.unit_of_work import UnitOfWork

Handler = Callable[[UnitOfWork, Envelope[Any]], Awaitable[None]]
"""Does what a message asks for. Shares its transaction with other messages, so it never commits.

Raises:
    Refused: the domain says no; that is recorded and the message is done.
    Exception: tried again, later and later, then parked.
"""
GroupHandler = Callable[[UnitOfWork, Sequence[Envelope[Any]]], Awaitable[None]]
"""Does at once what several messages ask for, in the order in which they came; says itself which of them is the
``cause`` of what it emits. If it fails it is called again with each of them alone; otherwise as `Handler`.
"""
Message = type[EventData] | type[CommandData]

RETRY_DELAYS_S = (1, 10, 60, 300)
DELIVERY_LIMIT = 30
"""How often a process may die with a message in hand before the message is parked."""
MAX_QUEUE_LENGTH = 1_000_000
"""Beyond this a publisher is refused and keeps the message in its outbox."""


@dataclass(frozen=True)
class Queue:
    """What a service consumes; all its replicas share the work."""

    name: str
    handlers: Mapping[Message, Handler] = field(default_factory=dict)
    """Who handles which message, one by one; bindings follow from the types."""
    group_handlers: Mapping[Message, GroupHandler] = field(default_factory=dict)
    """The same for messages that are handled many at once."""
    every_event: GroupHandler | None = None
    """Handles every event of every service that no other handler is there for."""
    group_limit: int = 100
    """How many messages may share one transaction."""
    linger_s: float = 0.0
    """How long a message may wait for others to share its transaction. A transaction costs the same for one message
    and for twenty, so where nobody waits for the outcome a few hundredths of a second save most of the work."""

    def messages(self) -> list[Message]:
        """What it is bound to, unless it is every event."""
        return [*self.handlers, *self.group_handlers]


def services() -> list[str]:
    """Every service that publishes events."""
    return sorted({names.service_of(message_type) for message_type in EVENTS})


def exchange_of(message_type: str) -> str:
    """Where a message of this type is published."""
    service = names.service_of(message_type)
    return names.commands_exchange(service) if message_type in COMMANDS else names.events_exchange(service)


def queue_arguments(consumer: str) -> dict[str, Any]:
    """Arguments of every queue that is consumed. They can never change, so everything is said explicitly."""
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-max-length": MAX_QUEUE_LENGTH,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": names.parked_queue(consumer),
        "x-dead-letter-strategy": "at-least-once",
    }


async def declare(connection: AbstractConnection, consumer: str, queues: Sequence[Queue]) -> None:
    """Everything that a service needs on the bus, but the queues of owners."""
    async with connection.channel() as channel:
        for service in services():
            await channel.declare_exchange(names.events_exchange(service), ExchangeType.TOPIC, durable=True)
        for service in sorted({names.service_of(message_type) for message_type in COMMANDS}):
            await channel.declare_exchange(names.commands_exchange(service), ExchangeType.DIRECT, durable=True)
        await _declare_parked(channel, consumer)
        for delay_s in RETRY_DELAYS_S:
            await _declare_retry(channel, consumer, delay_s)
        for queue in queues:
            declared = await channel.declare_queue(queue.name, durable=True, arguments=queue_arguments(consumer))
            for message in queue.messages():
                await declared.bind(exchange_of(message.type), message.type)
            if queue.every_event is not None:
                for service in services():
                    await declared.bind(names.events_exchange(service), "#")


async def _declare_parked(channel: AbstractChannel, consumer: str) -> None:
    # No delivery limit of its own in 3.10; the collector only stores, so 4.x's default of 20 does not matter.
    await channel.declare_queue(
        names.parked_queue(consumer),
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-max-length": MAX_QUEUE_LENGTH,
            "x-overflow": "reject-publish",
        },
    )


async def _declare_retry(channel: AbstractChannel, consumer: str, delay_s: int) -> None:
    name = names.retry_queue(consumer, delay_s)
    exchange = await channel.declare_exchange(name, ExchangeType.FANOUT, durable=True)
    queue = await channel.declare_queue(
        name,
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-message-ttl": delay_s * 1000,
            "x-max-length": MAX_QUEUE_LENGTH,
            "x-overflow": "reject-publish",
            # The default exchange, and the routing key stays: the name of the queue that it came from.
            "x-dead-letter-exchange": "",
            "x-dead-letter-strategy": "at-least-once",
        },
    )
    await queue.bind(exchange)


async def declare_owners(connection: AbstractConnection, consumer: str, kind: str, messages: Sequence[Message]) -> None:
    """The exchange that gives each message to its owner's queue, and where the others go."""
    await declare(connection, consumer, ())
    async with connection.channel() as channel:
        unowned = await channel.declare_exchange(
            names.unowned_exchange(consumer, kind), ExchangeType.FANOUT, durable=True
        )
        parked = await channel.get_queue(names.parked_queue(consumer), ensure=False)
        await parked.bind(unowned)
        owners = await channel.declare_exchange(
            names.owners_exchange(consumer, kind),
            ExchangeType.HEADERS,
            durable=True,
            arguments={"alternate-exchange": unowned.name},
        )
        for message in messages:
            await owners.bind(exchange_of(message.type), message.type)


async def declare_owner(connection: AbstractConnection, consumer: str, kind: str, owner_id: str) -> str:
    """The queue of one owner; returns its name."""
    name = names.owner_queue(consumer, kind, owner_id)
    async with connection.channel() as channel:
        queue = await channel.declare_queue(name, durable=True, arguments=queue_arguments(consumer))
        await queue.bind(names.owners_exchange(consumer, kind), arguments={"x-match": "all", kind: owner_id})
    return name


def owners_exchanges(kinds: Iterable[tuple[str, str]]) -> list[str]:
    """The exchanges through which a message finds its owner, for each (consumer, kind)."""
    return [names.owners_exchange(consumer, kind) for consumer, kind in kinds]
