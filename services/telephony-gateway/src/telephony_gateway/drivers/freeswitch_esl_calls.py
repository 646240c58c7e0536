"""What FreeSWITCH's channels and bridges mean for calls: customers, agents' legs, transfers, conferences, ends.

A call is the customer's channel (inbound), or whoever an agent calls (outbound, internal). Within a channel events are
in order, between channels they are not: what means one thing together with another channel's event is decided when both
are known.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from telephony_gateway.domain.pbx_events import (
    ConnectionUp,
    DigitPressed,
    PbxEvent,
)
from telephony_gateway.domain.words import Party
from telephony_gateway.drivers.freeswitch_esl_channels import Channel, Channels, moment
from telephony_gateway.drivers.freeswitch_esl_devices import Devices
from telephony_gateway.drivers.freeswitch_esl_ends import Ends
from telephony_gateway.drivers.freeswitch_esl_memory import UNDECIDED, Call, Leg, Memory, Ordered, Transfer
from telephony_gateway.drivers.freeswitch_esl_messages import Event
from telephony_gateway.drivers.freeswitch_esl_placing import Placing
from telephony_gateway.drivers.freeswitch_esl_snapshot import Snapshot
from telephony_gateway.drivers.freeswitch_esl_talks import Talks
from telephony_gateway.drivers.freeswitch_esl_waiting import Waiting

MAX_SEEN = 20_000


class Calls:
    """All calls that are up, made of events."""

    def __init__(self, waiting_context: str = "cc-hold") -> None:
        self._memory = memory = Memory()
        devices = Devices(memory)
        self._placing = placing = Placing(memory, devices)
        self._talks = talks = Talks(memory, placing)
        waiting = Waiting(memory, placing, talks)
        self._ends = ends = Ends(memory, devices, placing, waiting)
        self._snapshot = Snapshot(memory, devices, placing, talks, waiting_context)
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._handlers: Mapping[str, Callable[[Event, datetime], None]] = {
            "CHANNEL_CREATE": self._touched,
            "CHANNEL_ORIGINATE": self._touched,
            "CHANNEL_PROGRESS": self._touched,
            "CHANNEL_PROGRESS_MEDIA": self._touched,
            "CHANNEL_ANSWER": self._touched,
            "CHANNEL_UUID": self._renamed,
            "CHANNEL_BRIDGE": talks.bridged,
            "CHANNEL_UNBRIDGE": talks.unbridged,
            "CHANNEL_PARK": waiting.parked,
            "CHANNEL_UNPARK": waiting.unparked,
            "CHANNEL_HOLD": talks.held,
            "CHANNEL_UNHOLD": talks.held,
            "CHANNEL_HANGUP": ends.hangup,
            "CHANNEL_HANGUP_COMPLETE": ends.hangup,
            "CHANNEL_DESTROY": ends.hangup,
            "DTMF": self._digit,
            "cc::waiting": waiting.announced,
            "conference::maintenance": talks.conference,
            "sofia::register": devices.registered,
            "sofia::unregister": devices.registered,
            "sofia::expire": devices.registered,
        }
        """All others are of no interest."""

    @property
    def calls(self) -> Mapping[str, Call]:
        """All that are up, by name."""
        return self._memory.calls

    @property
    def channels(self) -> Channels:
        """All that are up."""
        return self._memory.channels

    def call_of(self, channel: Channel) -> Call | None:
        """The call to which a channel belongs."""
        return self._memory.call_of(channel)

    def take_events(self) -> list[PbxEvent]:
        """What has happened since this was asked last."""
        taken, self._memory.events = self._memory.events, []
        return taken

    def take_orphans(self) -> list[str]:
        """Channels that the gateway has asked for and nobody needs any more."""
        taken, self._memory.orphans = self._memory.orphans, []
        return taken

    # ---- what the gateway ordered

    def expect(self, uid: str, ordered: Ordered) -> None:
        """A leg is being asked for, whose channel will have this id."""
        self._memory.expect(uid, ordered)

    def is_expected(self, uid: str) -> bool:
        """Whether such a leg has been asked for already."""
        return self._memory.is_expected(uid)

    def originate_failed(self, uid: str, device: str, number: str, cause: str, at: datetime) -> None:
        """A leg that was asked for never came to be: its phone is not registered, for example."""
        self._ends.originate_failed(uid, device, number, cause, at)

    def killed(self, uid: str) -> None:
        """The gateway has a channel ended."""
        channel = self._memory.channels.get(uid)
        if channel is None:
            return
        channel.killed = True
        call = self._memory.customer_of.get(channel)
        if call is not None:
            call.killed = True

    def moves(self, *uids: str) -> None:
        """The gateway has channels moved, by transfer or bridge."""
        for uid in uids:
            channel = self._memory.channels.get(uid)
            call = self._memory.call_of(channel) if channel is not None else None
            if call is not None:
                call.commanded = True

    def transfers(self, call: Call, leg: Leg, to: str, at: datetime) -> None:
        """The gateway gives the customer to a leg that it has ordered."""
        call.commanded = True
        call.transfer = Transfer(leg, at, Party.GATEWAY, to)

    # ---- what the PBX says

    def hear(self, event: Event, heard_at: datetime) -> None:
        """Take in an event. What makes no sense is counted and does nothing."""
        name = event["Event-Name"]
        handler = self._handlers.get(event["Event-Subclass"] if name == "CUSTOM" else name)
        if handler is None:
            return
        if self._is_repeated(event):
            self._memory.unnoticed["repeated"] += 1
            return
        handler(event, moment(event, heard_at))

    def _is_repeated(self, event: Event) -> bool:
        sequence = event["Event-Sequence"]
        if not sequence:
            return False
        key = f"{event['Core-UUID']}/{sequence}"
        if key in self._seen:
            return True
        self._seen[key] = None
        while len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        return False

    def _touched(self, event: Event, at: datetime) -> None:
        channel = self._placing.channel(event, at)
        if channel is None:
            return
        match event["Event-Name"]:
            case "CHANNEL_PROGRESS" | "CHANNEL_PROGRESS_MEDIA" if not channel.incoming:
                channel.alerting_at = channel.alerting_at or at
            case "CHANNEL_ANSWER":
                channel.answered_at = channel.answered_at or at
        self._placing.tell_progress(channel)

    def _renamed(self, event: Event, at: datetime) -> None:
        old = self._memory.channels.get(event["Old-Unique-ID"])
        if old is not None:
            self._memory.channels.rename(old, event["Unique-ID"])
        else:
            self._touched(event, at)

    def _digit(self, event: Event, at: datetime) -> None:
        channel = self._placing.channel(event, at)
        digit = event["DTMF-Digit"][:1]
        if channel is None or not digit:
            return
        call, found = self._memory.customer_of.get(channel), self._memory.leg_of.get(channel)
        if call is not None:
            self._memory.tell(DigitPressed(at=at, call=call.name, digit=digit))
        elif found is not None:
            self._memory.tell(DigitPressed(at=at, call=found[0].name, digit=digit, leg=found[1].name))

    def snapshot(
        self,
        at: datetime,
        channels: Mapping[str, tuple[Event, Mapping[str, str]]],
        registered: Iterable[str],
        started_at: datetime | None,
    ) -> ConnectionUp:
        """What is up, see `Snapshot.lay_over`."""
        return self._snapshot.lay_over(at, channels, registered, started_at)

    def tick(self, at: datetime) -> None:
        """Time passes."""
        for call in list(self._memory.calls.values()):
            self._talks.look_around(call, at)
            if call.diverted is not None and at - call.diverted[1] >= UNDECIDED:
                self._placing.tell_diverted(call, None)
            self._ends.close(call, at)

    def lost(self, at: datetime) -> None:
        """Nothing more will be heard: what is over but for who ended it is told."""
        for call in list(self._memory.calls.values()):
            self._ends.close(call, at, finally_=True)
