"""The PBX at work: the core with a clock, its timers, and whoever listens."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Iterator
from typing import Protocol

from telephony_gateway.virtual_pbx.clock import PbxClock, monotonic_us
from telephony_gateway.virtual_pbx.core.model import DeviceState, Event
from telephony_gateway.virtual_pbx.core.scripts import SECOND_US
from telephony_gateway.virtual_pbx.core.switch import Switch
from telephony_gateway.virtual_pbx.latency import Latencies
from telephony_gateway.virtual_pbx.wire import event_line, noise_line

logger = logging.getLogger(__name__)

NOISE = 0.02
"""How often a difficult PBX adds a line that means nothing to anybody."""
UNCERTAIN_S = 5.0
"""Seconds of the world in which a gateway has surely stored what it was told."""


class Listener(Protocol):
    """Somebody who gets every event, as it goes over the wire."""

    @property
    def acts(self) -> bool:
        """Whether it is a gateway, which is expected to do something about calls, and not just an onlooker."""

    def write(self, data: bytes) -> None:
        """Take lines; never blocks."""


class Exchange:
    """One PBX in a running event loop. All that happens to the switch happens inside `moment`."""

    def __init__(self, *, pbx_id: str, speed: float, seed: int, quirks: bool) -> None:
        self.pbx_id = pbx_id
        self.clock = PbxClock(speed)
        self.quirks = quirks
        self.random = random.Random(seed)  # noqa: S311  (behaviour, not secrets)
        self.latencies = Latencies()
        self.listeners: list[Listener] = []
        self._left_us = 0
        self._boots = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_us: int | None = None
        self.switch = Switch(
            boot=self._new_boot(),
            now_us=self.clock.now_us(),
            chance=random.Random(seed).random,  # noqa: S311
            quirks=quirks,
        )

    @contextlib.contextmanager
    def moment(self) -> Iterator[Switch]:
        """The switch as it is now; what happens to it inside is told to the listeners afterwards."""
        self.switch.advance(self.clock.now_us())
        try:
            yield self.switch
        finally:
            self.tell()
            self._wind_up()

    def tell(self) -> None:
        """Write what has happened so far."""
        events = self.switch.take_events()
        if not events:
            return
        data = b"".join([event_line(event, self.clock) for event in events])
        if self.quirks and self.random.random() < NOISE:
            data = noise_line(self.clock) + data
        told = False
        for listener in list(self.listeners):
            listener.write(data)
            told = told or listener.acts
        self._measure(events, told)

    def join(self, listener: Listener) -> None:
        """Tell this one too, from now on."""
        self.listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        """This one is gone."""
        self.listeners.remove(listener)
        if listener.acts:
            self._left_us = self.clock.now_us()

    def unheard_since_us(self) -> int:
        """Since when what was told may not have been heard: a gateway that vanished a moment ago may have read
        what was written, and may not have stored it."""
        now_us = self.clock.now_us()
        listening = any(listener.acts for listener in self.listeners)
        return (now_us if listening else self._left_us) - int(UNCERTAIN_S * self.clock.speed * SECOND_US)

    def told_all(self) -> None:
        """A snapshot was written: every call in it is known to the gateway from now on."""
        at_us = monotonic_us()
        free, waiting = self.switch.free_devices, len(self.switch.waiting)
        for call in self.switch.waiting:
            self.latencies.offered(call, at_us, free, waiting - 1)

    def crash(self) -> None:
        """All calls die at this moment."""
        self.switch.advance(self.clock.now_us())
        self.switch.crash()
        self.latencies.forget()
        self._wind_up()
        logger.info("PBX %s crashed", self.pbx_id)

    def restart(self) -> None:
        """Up again, as a new PBX in the same place."""
        self.switch.advance(self.clock.now_us())
        self.switch.restart(self._new_boot())
        self._wind_up()
        logger.info("PBX %s is up as %s", self.pbx_id, self.switch.boot)

    def close(self) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()

    def _new_boot(self) -> str:
        self._boots += 1
        return f"{self.clock.wall_us(self.clock.now_us()) // 1000:x}-{self._boots}"

    def _measure(self, events: list[Event], told: bool) -> None:
        at_us = monotonic_us()
        latencies, switch = self.latencies, self.switch
        for event in events:
            if event.kind == "offered":
                if told and event.body["direction"] == "inbound":
                    waiting_before = len(switch.waiting) - (event.body["call"] in switch.waiting)
                    latencies.offered(event.body["call"], at_us, switch.free_devices, waiting_before)
            elif event.kind == "ended":
                latencies.ended(event.body["call"])
            elif event.kind == "leg_ended":
                latencies.device_free(event.body["device"], at_us, len(switch.waiting))
            elif event.kind == "device" and event.body["state"] is not DeviceState.IDLE:
                latencies.device_taken(event.body["device"])

    def _wind_up(self) -> None:
        due_us = self.switch.timers.next_due_us()
        if due_us == self._timer_due_us:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_due_us = due_us
        if due_us is not None:
            delay_s = self.clock.seconds_until(due_us)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_due_us = None
        with self.moment():
            pass
