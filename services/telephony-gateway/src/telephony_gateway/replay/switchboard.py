"""The gateway's call model without database, bus and clock: what `usecases` do with a PBX's events, nothing else."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from telephony_gateway.domain import text
from telephony_gateway.domain.call import Call
from telephony_gateway.domain.lines import Pbx, line_of
from telephony_gateway.domain.pbx_events import (
    CallEvent,
    CallOffered,
    CommandDone,
    CommandRefused,
    ConnectionLost,
    ConnectionUp,
    DeviceChanged,
    PbxEvent,
)
from telephony_gateway.domain.resync import end_unseen, lay_over
from telephony_gateway.domain.transitions import LEFT_ALONE_S, apply, new_call, waiting_again
from telephony_gateway.domain.words import DeviceState

PRESUMED_WAITING = timedelta(seconds=LEFT_ALONE_S)


@dataclass
class Switchboard:
    """All calls of a PBX, those that are over too, by the PBX's name for them."""

    pbx: Pbx
    calls: dict[str, Call] = field(default_factory=dict)
    devices: dict[str, DeviceState] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    """What became of events, ``LegAlerting duplicate``, and how often."""
    lost_at: datetime | None = None

    def hear(self, event: PbxEvent) -> None:
        """Take in what the PBX said."""
        self._presume_waiting(event.at)
        match event:
            case ConnectionUp():
                self._resynchronise(event)
            case ConnectionLost():
                self.lost_at = event.at
            case DeviceChanged(device=device, state=state):
                self.devices[text.identifier(device)] = state
            case CallEvent():
                self._hear_call(event)
            case CommandDone() | CommandRefused():
                pass

    def _hear_call(self, event: CallEvent) -> None:
        call = self.calls.get(event.call)
        outcome = "applied"
        if call is not None:
            self.calls[event.call], outcome = apply(call, event)
        elif isinstance(event, CallOffered):
            self.calls[event.call] = new_call(self.pbx.pbx_id, line_of(self.pbx, event.trunk, event.dialled), event)
        else:
            outcome = "unknown-call"
        self.outcomes[f"{type(event).__name__} {outcome}"] += 1

    def _resynchronise(self, up: ConnectionUp) -> None:
        for event in up.ended:
            if event.call in self.calls:
                self.calls[event.call] = apply(self.calls[event.call], event)[0]
        live = {call.call: call for call in up.calls}
        for name, seen in live.items():
            known = self.calls.get(name)
            if known is None:
                line = line_of(self.pbx, seen.trunk, seen.dialled)
                self.calls[name] = lay_over(new_call(self.pbx.pbx_id, line, seen), seen, up, None)
            else:
                self.calls[name] = lay_over(known, seen, up, self.lost_at)
        for name, call in self.calls.items():
            if name not in live:
                self.calls[name] = end_unseen(call, up, self.lost_at)
        for device in up.devices:
            self.devices[text.identifier(device.device)] = device.state
        self.lost_at = None

    def _presume_waiting(self, now: datetime) -> None:
        if self.lost_at is not None:
            return
        for name, call in self.calls.items():
            alone_since = max((c.leaving_at for c in call.leaving() if c.leaving_at is not None), default=None)
            if alone_since is not None and now - alone_since >= PRESUMED_WAITING:
                self.calls[name] = waiting_again(call)
