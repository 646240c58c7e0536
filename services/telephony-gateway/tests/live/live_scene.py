"""A driver on a real Asterisk, and the call model behind it."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

from cordboard_chassis.testing.deployment import eventually
from live_lab import HOST, PORT, SECRET, USER
from telephony_gateway.domain.call import Call, Connection
from telephony_gateway.domain.lines import Pbx, Trunk
from telephony_gateway.drivers.asterisk_ari import AsteriskAriDriver
from telephony_gateway.drivers.credentials import Credentials
from telephony_gateway.drivers.interface import (
    CallOffered,
    Command,
    CommandDone,
    CommandRefused,
    Connect,
    ConnectionLost,
    ConnectionUp,
    Direction,
    Driver,
    Endpoint,
    HangUp,
    PbxEvent,
)
from telephony_gateway.replay.conclusions import conclude
from telephony_gateway.replay.switchboard import Switchboard

WITHIN_S = 15.0
EventT = TypeVar("EventT", bound=PbxEvent)


def pbx_row() -> Pbx:
    """The lab's PBX as it is configured."""
    return Pbx("lab", "asterisk-ari", HOST, PORT, "main", "/cn", trunks=(Trunk("carrier", "CN"),))


@dataclass
class Scene:
    """What the driver reported, and what the model made of it."""

    port: int = PORT
    host: str = HOST
    events: list[PbxEvent] = field(default_factory=list)
    switchboard: Switchboard = field(default_factory=lambda: Switchboard(pbx_row()))
    driver: Driver = field(init=False)
    _running: asyncio.Task[None] | None = None

    def make_driver(self) -> Driver:
        """A driver that is not connected yet."""
        return AsteriskAriDriver(Endpoint("lab", self.host, self.port), Credentials(USER, SECRET))

    async def start(self) -> None:
        """Connect, with a driver that knows nothing."""
        self.driver = self.make_driver()
        before = len(self.seen(ConnectionUp))
        self._running = asyncio.create_task(self.driver.run(self._report))
        await eventually(lambda: len(self.seen(ConnectionUp)) > before, timeout_s=WITHIN_S)

    async def stop(self) -> None:
        """The gateway is gone."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
            self._running = None

    async def restart(self) -> None:
        """Another gateway takes over; what it believes was stored."""
        await self.stop()
        self.switchboard.hear(ConnectionLost(at=datetime.now(UTC), reason="gateway gone"))
        await self.start()

    async def _report(self, event: PbxEvent) -> None:
        self.events.append(event)
        self.switchboard.hear(event)

    def seen(self, kind: type[EventT]) -> list[EventT]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    async def offered(self, count: int = 1) -> str:
        """The ``count``-th call that came in."""

        def found() -> list[CallOffered]:
            return [e for e in self.seen(CallOffered) if e.direction is Direction.INBOUND]

        await eventually(lambda: len(found()) >= count, timeout_s=WITHIN_S)
        return found()[count - 1].call

    async def offered_from(self, number: str) -> str:
        """The call of this caller."""

        def found() -> str | None:
            return next((e.call for e in self.seen(CallOffered) if e.from_number == number), None)

        call = await eventually(found, timeout_s=WITHIN_S)
        assert call is not None
        return call

    async def connect(self, call: str, device: str, **fields: Any) -> str:
        """Have a device rung for the call; the leg."""
        leg = str(uuid4())
        given: dict[str, Any] = {"timeout_s": 10.0, "caller_number": "+8613082856110"}
        await self.order(Connect(command_id=uuid4(), call=call, leg=leg, device=device, **{**given, **fields}))
        return leg

    async def order(self, command: Command) -> CommandDone | CommandRefused:
        """Send a command; what Asterisk said to it."""
        await self.driver.send([command])

        def answer() -> CommandDone | CommandRefused | None:
            answers = (*self.seen(CommandDone), *self.seen(CommandRefused))
            return next((a for a in answers if a.command_id == command.command_id), None)

        answered = await eventually(answer, timeout_s=WITHIN_S)
        assert answered is not None
        return answered

    async def hang_up_all(self) -> None:
        """End what is still up."""
        for name in [name for name, call in self.switchboard.calls.items() if not call.is_cleared]:
            await self.order(HangUp(command_id=uuid4(), call=name))
            await self.cleared(name)

    def call(self, name: str) -> Call:
        """A call as the model has it."""
        return self.switchboard.calls[name]

    def leg(self, call: str, leg: str) -> Connection:
        """A leg as the model has it."""
        found = self.call(call).leg(leg)
        assert found is not None
        return found

    async def joined(self, call: str, *devices: str) -> None:
        """Exactly these agents are connected with the customer."""
        await eventually(
            lambda: sorted(c.device_id for c in self.call(call).joined()) == sorted(devices), timeout_s=WITHIN_S
        )

    async def cleared(self, call: str) -> dict[str, Any]:
        """The call is over: what is concluded of it."""
        await eventually(lambda: self.call(call).is_cleared, timeout_s=WITHIN_S)
        offered_at = self.call(call).offered_at
        return conclude(self.call(call), lambda at: round((at - offered_at).total_seconds(), 3))

    def results(self, call: str) -> list[tuple[str, str]]:
        """Who was tried, and with what result."""
        told = conclude(self.call(call), lambda at: at.timestamp())
        return [(agent["agent"], agent["result"]) for agent in told["agents"]]
