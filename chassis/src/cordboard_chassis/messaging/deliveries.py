"""Messages in hand: read from a queue, not yet acknowledged."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPException
from cordboard_contracts import Envelope, MalformedMessage, UnknownType, names, parse
from prometheus_client import Counter

from cordboard_chassis.messaging.broker import ATTEMPTS, ORIGIN, REASON, NotPublished, Publisher
from cordboard_chassis.messaging.topology import RETRY_DELAYS_S
from cordboard_chassis.supervision import cancel, end_if_cancelled

log = logging.getLogger(__name__)

RECEIVED = Counter("cordboard_messages_received_total", "Messages taken from a queue.", ("queue", "type"))
RETRIED = Counter("cordboard_messages_retried_total", "Messages put on the retry ladder.", ("queue",))
PARKED = Counter("cordboard_messages_parked_total", "Messages set aside for an operator.", ("queue",))
MAX_REASON = 500
REPUBLISH_PAUSE_S = 0.5


class Delivery:
    """One message, of which the broker waits to hear what became of it."""

    def __init__(
        self, queue: str, message: AbstractIncomingMessage, envelope: Envelope[Any], publisher: Publisher
    ) -> None:
        self.queue = queue
        self.envelope = envelope
        self._message = message
        self._publisher = publisher

    @property
    def message(self) -> AbstractIncomingMessage:
        """As it came."""
        return self._message

    async def fail(self, error: BaseException) -> None:
        """Try again later, the fifth time park it. Returns when one of them is safe."""
        await _set_back(self._publisher, self.queue, self._message, error)


class Acknowledgements:
    """Acknowledges the deliveries of one group while the next group is handled, never more than one group's at once.

    What is not acknowledged because the process ends comes again, and the inbox knows it.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def begin(self, deliveries: Sequence[Delivery]) -> None:
        """Begin with these; first waits until those before are done."""
        if self._task is not None:
            await self._task
        self._task = asyncio.create_task(_settle([delivery.message for delivery in deliveries]))

    async def stop(self) -> None:
        """Give up what is not done."""
        if self._task is not None:
            await cancel(self._task)


class Settled:
    """What of a channel's deliveries is settled: all up to a tag, and some beyond it.

    Tags count up by one within a channel (AMQP 0-9-1, basic.deliver; RabbitMQ begins with 1), so a group of messages is
    mostly acknowledged with one frame.
    """

    def __init__(self) -> None:
        self._all_until = 0
        self._beyond: set[int] = set()

    def add(self, tags: Collection[int]) -> list[tuple[int, bool]]:
        """These are settled. What to acknowledge: (tag, whether that stands for all before it too)."""
        self._beyond.update(tags)
        while self._all_until + 1 in self._beyond:
            self._all_until += 1
            self._beyond.discard(self._all_until)
        # Not the last that is settled: only what is still unacknowledged may be named.
        last = max((tag for tag in tags if tag <= self._all_until), default=None)
        said = [] if last is None else [(last, True)]
        return said + [(tag, False) for tag in sorted(tags) if tag > self._all_until]


_settled: WeakKeyDictionary[Any, Settled] = WeakKeyDictionary()
"""By channel."""


class Intake:
    """Everything that waits for one reader: deliveries, and whatever else is put in. Bounded by who puts in:
    deliveries by the prefetch, others by `put`, which waits."""

    def __init__(self, limit: int = 2000) -> None:
        self._items: deque[Any] = deque()
        self._limit = limit
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put_nowait(self, item: Any) -> None:
        """Add an item, whatever the limit: for sources that are bounded in another way."""
        self._items.append(item)
        self._filled.set()

    async def put(self, item: Any) -> None:
        """Add an item; waits while the intake is full."""
        while len(self._items) >= self._limit:
            self._drained.clear()
            await self._drained.wait()
        self.put_nowait(item)

    async def drain(self, limit: int = 100, timeout_s: float | None = None, linger_s: float = 0.0) -> list[Any]:
        """All that waits, ``limit`` at most, in order; waits for the first, or returns [] after ``timeout_s``.

        Fewer than ``limit`` wait for others for ``linger_s``.
        """
        if not self._items:
            self._filled.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._filled.wait()
            except TimeoutError:
                return []
        if linger_s and len(self._items) < limit:
            await asyncio.sleep(linger_s)
        taken = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
        self._drained.set()
        return taken


class ConsumerLost(Exception):
    """A queue has no consumer any more."""


async def receive(
    connection: AbstractConnection,
    queue: str,
    prefetch: int,
    on_message: Callable[[AbstractIncomingMessage], Coroutine[Any, Any, None]],
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Hand each message of a queue to ``on_message``, each in a task of its own, ``prefetch`` at most at once.

    Raises:
        ConsumerLost: its channel is closed.
    """
    channel = await connection.channel(publisher_confirms=False)
    closed = asyncio.Event()
    channel.close_callbacks.add(lambda *_: closed.set())
    await channel.set_qos(prefetch_count=prefetch)
    declared = await channel.get_queue(queue, ensure=False)
    await declared.consume(on_message)
    ready()
    end_if_cancelled()
    await closed.wait()
    raise ConsumerLost(f"the channel of {queue} is closed")


def taking_into(
    intake: Intake, queue: str, publisher: Publisher
) -> Callable[[AbstractIncomingMessage], Coroutine[Any, Any, None]]:
    """Puts well-formed messages into ``intake`` and parks the others."""

    async def take(message: AbstractIncomingMessage) -> None:
        message_type = message.type or message.routing_key or ""
        try:
            envelope = parse(message_type, message.body)
        except (UnknownType, MalformedMessage) as error:
            RECEIVED.labels(queue, "malformed").inc()
            await _park(publisher, queue, message, str(error))
            return
        RECEIVED.labels(queue, message_type).inc()
        intake.put_nowait(Delivery(queue, message, envelope, publisher))

    return take


async def _settle(messages: Sequence[AbstractIncomingMessage]) -> None:
    """They are done. When their connection is gone they come again, and the inbox knows them."""
    by_channel: dict[Any, dict[int, AbstractIncomingMessage]] = {}
    for message in messages:
        if message.delivery_tag is not None:
            by_channel.setdefault(message.channel, {})[message.delivery_tag] = message
    for channel, tagged in by_channel.items():
        try:
            for tag, multiple in _settled.setdefault(channel, Settled()).add(tagged):
                await tagged[tag].ack(multiple)
        except (AMQPException, OSError, RuntimeError) as error:
            end_if_cancelled()
            log.info("acknowledgement lost, the messages will come again", extra={"error": str(error)[:200]})


async def _set_back(publisher: Publisher, queue: str, message: AbstractIncomingMessage, error: BaseException) -> None:
    attempts = _attempts(message)
    if attempts >= len(RETRY_DELAYS_S):
        await _park(publisher, queue, message, f"{type(error).__name__}: {error}")
        return
    RETRIED.labels(queue).inc()
    consumer = names.service_of(queue)
    headers = _kept_headers(message) | {ATTEMPTS: attempts + 1}
    await _republish(publisher, message, names.retry_queue(consumer, RETRY_DELAYS_S[attempts]), queue, headers)


async def _park(publisher: Publisher, queue: str, message: AbstractIncomingMessage, reason: str) -> None:
    PARKED.labels(queue).inc()
    log.warning(
        "message parked",
        extra={"queue": queue, "message_id": message.message_id, "reason": reason[:MAX_REASON]},
    )
    headers = _kept_headers(message) | {
        ORIGIN: queue,
        REASON: reason[:MAX_REASON],
        ATTEMPTS: _attempts(message),
    }
    await _republish(publisher, message, "", names.parked_queue(names.service_of(queue)), headers)


async def _republish(
    publisher: Publisher, message: AbstractIncomingMessage, exchange: str, routing_key: str, headers: dict[str, Any]
) -> None:
    """Publish a copy, then acknowledge: a crash in between makes two of it, which the inbox notices."""
    while True:
        try:
            await publisher.publish(
                message.body,
                exchange=exchange,
                routing_key=routing_key,
                message_id=message.message_id or "",
                message_type=message.type or message.routing_key or "",
                headers=headers,
                mandatory=True,
            )
            break
        except NotPublished as error:
            log.warning("cannot set a message back, trying again", extra={"error": str(error)[:200]})
            await asyncio.sleep(REPUBLISH_PAUSE_S)
    await _settle([message])


def _attempts(message: AbstractIncomingMessage) -> int:
    value = message.headers.get(ATTEMPTS, 0)
    return value if isinstance(value, int) else 0


def _kept_headers(message: AbstractIncomingMessage) -> dict[str, Any]:
    return {
        name: value
        for name, value in message.headers.items()
        if name in ("workspace", "pbx", "traceparent") and isinstance(value, str)
    }
