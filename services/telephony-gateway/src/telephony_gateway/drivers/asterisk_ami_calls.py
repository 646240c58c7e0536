"""What the events of the Manager Interface mean for calls: by Asterisk's semantics, not by any dialplan's names.

A call is named after its customer's channel (``Uniqueid``), which outlives transfers and requeueing; one between agents
after the caller's. Legs are agents' channels. Whether two are connected is asked of bridges and Local channels
(`Channels`), never of the order of events: between Asterisk's topics there is none.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from telephony_gateway.domain.pbx_events import (
    ConnectionUp,
    DeviceChanged,
    DigitPressed,
    LegAlerting,
    PbxEvent,
)
from telephony_gateway.domain.words import Direction
from telephony_gateway.drivers.asterisk_ami_channels import RING, Channel, Channels
from telephony_gateway.drivers.asterisk_ami_ends import Ends
from telephony_gateway.drivers.asterisk_ami_memory import LEFT_ALONE, OUTSIDE, Attempt, Call, Leg, Memory, Ordered
from telephony_gateway.drivers.asterisk_ami_messages import Message
from telephony_gateway.drivers.asterisk_ami_placing import Placing
from telephony_gateway.drivers.asterisk_ami_snapshot import Snapshot, live_device
from telephony_gateway.drivers.asterisk_ami_talks import Talks
from telephony_gateway.drivers.asterisk_ami_transfers import Transfers
from telephony_gateway.drivers.asterisk_ami_waiting import Waiting

NOT_CALLED = timedelta(seconds=3)
"""A device that the PBX has not begun to call within this time after a redirect will not be called."""
_ORIGINATE_REASONS = {"3": "NOANSWER", "5": "BUSY", "8": "CONGESTION"}
"""Why an Originate failed: the control frame that ended it."""


class Calls:
    """All calls of one Asterisk."""

    def __init__(
        self,
        trunks: tuple[str, ...] = (),
        waiting_context: str = "cc-hold",
        conference_context: str = "cc-conference",
    ) -> None:
        self._memory = memory = Memory(trunks)
        self._talks = talks = Talks(memory)
        self._placing = placing = Placing(memory, talks)
        self._waiting = waiting = Waiting(memory, placing)
        self._ends = ends = Ends(memory, talks, placing, waiting)
        self._snapshot = Snapshot(memory, talks, placing, waiting_context, conference_context)
        transfers = Transfers(memory, talks, placing)
        self._to_bridge: list[tuple[Channel, Channel]] = []
        self._left_over: list[Channel] = []
        self._handlers: Mapping[str, Callable[[Message, datetime], None]] = {
            "AsyncAGIStart": waiting.async_agi,
            "AttendedTransfer": transfers.attended,
            "BlindTransfer": transfers.blind,
            "BridgeEnter": self._bridge_enter,
            "BridgeLeave": self._bridge_leave,
            "DTMFEnd": self._digit,
            "DeviceStateChange": self._device_state,
            "DialBegin": self._dial_begin,
            "DialEnd": ends.dial_end,
            "Hangup": ends.hangup,
            "HangupRequest": ends.hangup_request,
            "Hold": talks.phone_hold,
            "LocalBridge": self._local_bridge,
            "MusicOnHoldStart": self._music,
            "NewConnectedLine": self._touched,
            "NewCallerid": self._touched,
            "Newchannel": self._new_channel,
            "Newstate": self._new_state,
            "OriginateResponse": self._originated,
            "QueueCallerJoin": waiting.queue,
            "QueueCallerLeave": waiting.queue,
            "Shutdown": ends.shutdown,
            "SoftHangupRequest": ends.soft_hangup,
            "Unhold": talks.phone_hold,
            "UserEvent": waiting.user_event,
        }
        """All others are of no interest: three quarters of what a user with all rights hears."""

    @property
    def calls(self) -> Mapping[str, Call]:
        """All that are up, by name."""
        return self._memory.calls

    @property
    def channels(self) -> Channels:
        """All that are up."""
        return self._memory.channels

    def take_events(self) -> list[PbxEvent]:
        """What has happened since this was asked last."""
        taken, self._memory.events = self._memory.events, []
        return taken

    # ---- what the gateway ordered

    def expect(self, uid: str, ordered: Ordered) -> None:
        """A channel with this unique id is ours."""
        self._memory.expect(uid, ordered)

    def redirected(self, channel: Channel, attempt: Attempt | None, at: datetime) -> None:
        """The gateway sends a customer to a device (``attempt``), or somewhere else in the dialplan."""
        self._waiting.redirected(channel, attempt, at)

    def hung_up(self, channel: Channel) -> None:
        """The gateway hangs this channel up."""
        self._ends.ordered(channel)

    def call_in_room(self, room: str) -> Call | None:
        """The call that is in this conference room."""
        return self._memory.call_in_room(room)

    def joins_room(self, channel: Channel, room: str) -> None:
        """The gateway sends a channel into a conference room."""
        call = self._memory.of.get(channel.uid)
        if call is not None:
            call.rooms.add(room)

    def transfers(self, channel: Channel) -> None:
        """The gateway asks the PBX to transfer as if this phone had."""
        channel.transfers = True

    def take_to_bridge(self) -> list[tuple[Channel, Channel]]:
        """Who is to be connected now, as ordered before."""
        taken, self._to_bridge = self._to_bridge, []
        return [(one, other) for one, other in taken if one.is_up and other.is_up]

    def take_left_over(self) -> list[Channel]:
        """Agents who are left alone in what was a conversation with a customer: nobody would end that."""
        taken, self._left_over = self._left_over, []
        return [channel for channel in taken if not channel.gone]

    # ---- what the PBX says

    def hear(self, message: Message, at: datetime) -> None:
        """An event. Whatever it is, it does no harm."""
        handler = self._handlers.get(message.event)
        if handler is not None:
            handler(message, at)

    def _touched(self, message: Message, at: datetime) -> None:
        channel = self._memory.channels.seen(message, at)
        if channel is not None:
            self._placing.find_call(channel)

    def _new_channel(self, message: Message, at: datetime) -> None:
        before = self._memory.channels.get(message["Uniqueid"])
        channel = self._memory.channels.seen(message, at)
        if channel is None or before is not None:
            return
        channel.first_exten = channel.exten
        channel.incoming = channel.state == RING and not channel.hidden
        self._placing.begins(channel, at)

    def _new_state(self, message: Message, at: datetime) -> None:
        channel = self._memory.channels.seen(message, at)
        if channel is None:
            return
        if channel.state == RING and not channel.incoming and channel.dialled_from is None and not channel.hidden:
            channel.incoming = channel.uid not in self._memory.of and not channel.dials
            channel.first_exten = channel.first_exten if channel.first_exten not in ("", "s") else channel.exten
            self._placing.begins(channel, at)
        call = self._placing.find_call(channel)
        if call is None and channel.is_up:
            self._placing.adopt_by_meeting(channel, at)
            call = self._memory.of.get(channel.uid)
        if call is None:
            return
        leg = call.legs.get(channel.uid)
        if leg is not None and channel.alerting_at == at:
            self._memory.tell(LegAlerting(at=at, call=call.name, leg=leg.name, device=leg.device))
        if channel is call.customer and call.direction is Direction.OUTBOUND:
            self._placing.tell_customer(call, channel)
        if channel.is_up:
            self._talks.connect(call, at)
            self._join_as_ordered(channel)

    def _join_as_ordered(self, channel: Channel) -> None:
        ordered = self._memory.ordered.get(channel.uid)
        if ordered is None or ordered.joins is None:
            return
        self._memory.ordered[channel.uid] = replace(ordered, joins=None)
        other = self._memory.channels.get(ordered.joins)
        if other is not None:
            self._to_bridge.append((other, channel))

    def _dial_begin(self, message: Message, at: datetime) -> None:
        source = self._memory.channels.seen(message, at)
        called = self._memory.channels.seen(message, at, "Dest")
        if called is None or called.dialled_from is not None:
            return
        called.dials = message["DialString"] or called.dials
        if source is None:
            self._placing.called_by_nobody(called, at)
            return
        called.dialled_from = source.uid
        origin = self._memory.origin(source)
        if called.hidden:
            self._placing.find_call(called)
            return
        call = self._memory.of.get(called.uid) or self._placing.call_of_dial(source, origin, called, at)
        if call is not None:
            self._placing.attach(called, call, at, consults=self._placing.consults(call, origin, source))

    def _bridge_enter(self, message: Message, at: datetime) -> None:
        channel = self._memory.channels.seen(message, at)
        bridge = message["BridgeUniqueid"]
        if channel is None or not bridge:
            return
        before = self._memory.calls_around(channel)
        self._memory.channels.enter(channel, bridge, message["BridgeTechnology"])
        self._placing.find_call(channel)
        self._placing.adopt_by_meeting(channel, at)
        for call in before | self._memory.calls_around(channel):
            self._talks.connect(call, at, channel)

    def _bridge_leave(self, message: Message, at: datetime) -> None:
        channel = self._memory.channels.seen(message, at)
        if channel is None:
            return
        around = self._memory.calls_around(channel)
        if self._memory.channels.leave(channel, message["BridgeUniqueid"]):
            for call in around:
                self._talks.connect(call, at, channel)

    def _music(self, message: Message, at: datetime) -> None:
        channel = self._memory.channels.seen(message, at)
        call = self._placing.find_call(channel) if channel is not None else None
        if call is not None and channel is call.customer:
            for leg in call.legs.values():
                self._talks.hold(call, leg)

    def _local_bridge(self, message: Message, at: datetime) -> None:
        one = self._memory.channels.seen(message, at, "LocalOne")
        two = self._memory.channels.seen(message, at, "LocalTwo")
        if one is not None and two is not None:
            one.other_half, two.other_half = two.uid, one.uid

    def _originated(self, message: Message, at: datetime) -> None:
        """An AMI Originate is decided: whom it was for is now said."""
        number = message["Exten"]
        uid = message["Uniqueid"]
        first = self._memory.channels.get(uid)
        if first is not None and message["Response"] == "Failure" and not first.is_up:
            first.dial_status = first.dial_status or _ORIGINATE_REASONS.get(message["Reason"], "")
        if not OUTSIDE.match(number):
            return
        linked = first.linked if first is not None and first.linked else uid
        agents = [c for c in self._memory.orphans() if c.is_phone and (c.uid == uid or c.linked == linked)]
        if agents and self._memory.linked.get(linked) is None:
            self._placing.click_to_dial(agents, number, at)

    def _digit(self, message: Message, at: datetime) -> None:
        channel = self._memory.channels.seen(message, at)
        call = self._placing.find_call(channel) if channel is not None else None
        digit = message["Digit"]
        if call is None or channel is None or message["Direction"] != "Received" or len(digit) != 1:
            return
        leg = call.legs.get(channel.uid)
        self._memory.tell(DigitPressed(at=at, call=call.name, digit=digit, leg=leg.name if leg is not None else None))

    def _device_state(self, message: Message, at: datetime) -> None:
        live = live_device(message, self._memory.channels)
        if live is not None:
            self._memory.tell(DeviceChanged(at=at, device=live.device, state=live.state))

    def _left_alone(self, call: Call, leg: Leg, at: datetime) -> None:
        """The customer is gone and one agent is not, who talks with nobody: see `take_left_over`."""
        if call.alone_since is None:
            call.alone_since = at
        elif (
            at - call.alone_since >= LEFT_ALONE
            and leg.channel.is_up
            and not self._memory.channels.reached_from(leg.channel)
        ):
            call.alone_since = at + LEFT_ALONE
            if self._memory.ordering:
                self._left_over.append(leg.channel)

    def snapshot(
        self,
        at: datetime,
        told: Iterable[Message],
        statuses: Mapping[str, Message],
        technologies: Mapping[str, str],
        devices: Iterable[Message],
        started_at: datetime | None,
    ) -> ConnectionUp:
        """What is up, see `Snapshot.lay_over`."""
        return self._snapshot.lay_over(at, told, statuses, technologies, devices, started_at)

    def tick(self, at: datetime) -> None:
        """Time passes."""
        for call in list(self._memory.calls.values()):
            self._talks.tick(call, at)
            if call.left_by is not None and len(call.legs) == 1:
                self._left_alone(call, next(iter(call.legs.values())), at)
            self._waiting.tick(call, at)
