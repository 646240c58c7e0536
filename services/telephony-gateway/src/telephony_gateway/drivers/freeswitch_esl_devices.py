"""Phones of a FreeSWITCH: who has signed in, and who is in a call."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from telephony_gateway.domain.pbx_events import (
    DeviceChanged,
    LiveDevice,
)
from telephony_gateway.domain.words import DeviceState
from telephony_gateway.drivers.freeswitch_esl_channels import Channel, Kind
from telephony_gateway.drivers.freeswitch_esl_memory import MAX_ORDERED, Memory
from telephony_gateway.drivers.freeswitch_esl_messages import Event


class Devices:
    """The state of every phone."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._registered: dict[str, DeviceState] = {}
        self._in_use: Counter[str] = Counter()

    def registered(self, event: Event, at: datetime) -> None:
        device = event["username"] or event["from-user"]
        state = DeviceState.IDLE if event["Event-Subclass"] == "sofia::register" else DeviceState.UNREACHABLE
        if device:
            self.tell(device, state, at)

    def tell(self, device: str, state: DeviceState, at: datetime) -> None:
        """A phone has signed in, or cannot be reached."""
        device = device[:100]
        if len(self._registered) < MAX_ORDERED or device in self._registered:
            self._registered[device] = state
        if state is DeviceState.IDLE and self._in_use[device] > 0:
            state = DeviceState.IN_USE
        self._memory.tell(DeviceChanged(at=at, device=device, state=state))

    def count(self, channel: Channel, difference: int, at: datetime) -> None:
        """A channel of a phone has come (1) or gone (-1)."""
        if channel.kind is not Kind.PHONE or not channel.user:
            return
        device = channel.user[:100]
        before = self._in_use[device]
        self._in_use[device] = max(0, before + difference)
        if before == 0 and difference > 0:
            self._memory.tell(DeviceChanged(at=at, device=device, state=DeviceState.IN_USE))
        elif self._in_use[device] == 0:
            del self._in_use[device]
            state = self._registered.get(device, DeviceState.IDLE)
            self._memory.tell(DeviceChanged(at=at, device=device, state=state))

    def lay_over(self, registered: Iterable[str]) -> tuple[LiveDevice, ...]:
        """All phones, after it was told who is registered and which channels are up."""
        phones = (c for c in self._memory.channels if c.kind is Kind.PHONE and c.user)
        self._in_use = Counter(channel.user[:100] for channel in phones)
        present = {device[:100] for device in registered if device}
        for device in self._registered:
            self._registered[device] = DeviceState.IDLE if device in present else DeviceState.UNREACHABLE
        for device in sorted(present)[:MAX_ORDERED]:
            self._registered[device] = DeviceState.IDLE
        states = dict(self._registered) | dict.fromkeys(self._in_use, DeviceState.IN_USE)
        return tuple(LiveDevice(device=device, state=state) for device, state in sorted(states.items()))
