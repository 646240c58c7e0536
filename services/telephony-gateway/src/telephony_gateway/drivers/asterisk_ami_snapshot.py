"""What is up on an Asterisk after a connection came up, laid over what was believed to be."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from telephony_gateway.domain.pbx_events import (
    ConnectionUp,
    LiveCall,
    LiveDevice,
    LiveLeg,
)
from telephony_gateway.domain.words import Direction, LegState
from telephony_gateway.drivers.asterisk_ami_channels import Channel, Channels
from telephony_gateway.drivers.asterisk_ami_memory import Call, Leg, Memory, Ordered
from telephony_gateway.drivers.asterisk_ami_messages import Message
from telephony_gateway.drivers.asterisk_ami_placing import Placing
from telephony_gateway.drivers.asterisk_ami_talks import Talks
from telephony_gateway.drivers.asterisk_devices import DEVICE_STATES, PHONES

CALL_VARIABLE, LEG_VARIABLE, NUMBER_VARIABLE = "CC_CALL", "CC_LEG", "CC_NUMBER"
"""Written on an agent's channel: which call and leg of ours it is, and whom to dial, for a gateway that takes over."""
EPOCH_DIGITS = 10


class Snapshot:
    """Forgets what is gone, sees what is there, adopts what is new."""

    def __init__(
        self, memory: Memory, talks: Talks, placing: Placing, waiting_context: str, conference_context: str
    ) -> None:
        self._memory = memory
        self._talks = talks
        self._placing = placing
        self._waiting_context = waiting_context
        self._conference_context = conference_context

    def lay_over(
        self,
        at: datetime,
        told: Iterable[Message],
        statuses: Mapping[str, Message],
        technologies: Mapping[str, str],
        devices: Iterable[Message],
        started_at: datetime | None,
    ) -> ConnectionUp:
        """Lay what is up (CoreShowChannels, Status by unique id, bridges' technologies) over what was known."""
        self._memory.stopping = False
        live = {message["Uniqueid"]: message for message in told if message["Uniqueid"]}
        for channel in self._memory.channels:
            if channel.uid not in live:
                self._is_gone(channel)
        seen = (self._is_there(message, statuses.get(uid), technologies, at) for uid, message in live.items())
        fresh = [channel for channel in seen if channel is not None]
        for channel in sorted(fresh, key=lambda c: (not (c.incoming and c.trunk), c.created_at)):
            self._adopt(channel, live[channel.uid], at)
        for channel in self._memory.channels:
            self._placing.adopt_by_meeting(channel, at)
        for call in self._memory.calls.values():
            if call.customer is not None and call.customer.context == self._conference_context:
                call.rooms.add(call.customer.exten)
        for channel in fresh:
            if channel.uid not in self._memory.of:
                self._placing.call_of_orphan(channel, at)
            call_of_it = self._memory.of.get(channel.uid)
            if call_of_it is not None and channel.uid in call_of_it.legs:
                call_of_it.legs[channel.uid].hold_known = False
        for call in list(self._memory.calls.values()):
            self._talks.connect(call, at)
        self._memory.events.clear()  # all of it is in the snapshot
        return ConnectionUp(
            at=at,
            calls=tuple(self._live_call(call) for call in self._memory.calls.values()),
            devices=tuple(
                found for message in devices if (found := live_device(message, self._memory.channels)) is not None
            ),
            started_at=started_at,
        )

    def _is_gone(self, channel: Channel) -> None:
        call = self._memory.of.pop(channel.uid, None)
        self._memory.asking.pop(channel.uid, None)
        self._memory.channels.remove(channel)
        if call is None:
            return
        call.legs.pop(channel.uid, None)
        if call.customer is channel or (not call.legs and call.customer is None):
            self._memory.forget(call)

    def _is_there(
        self, message: Message, status: Message | None, technologies: Mapping[str, str], at: datetime
    ) -> Channel | None:
        """The channel, if it is a new one."""
        before = self._memory.channels.get(message["Uniqueid"])
        channel = self._memory.channels.seen(message, at)
        if channel is None:
            return None
        bridge = message["BridgeId"]
        if bridge:
            self._memory.channels.enter(channel, bridge, technologies.get(bridge, ""))
        else:
            self._memory.channels.leave(channel)
        if before is not None:
            return None
        channel.created_at = _created_at(message, at)
        channel.alerting_at, channel.up_at = None, None
        channel.incoming = not channel.hidden and not message["Application"].startswith("AppDial")
        channel.first_exten = (status["DNID"] if status is not None else "") or channel.exten
        if status is not None:
            variables = dict(value.partition("=")[::2] for value in status.every("Variable"))
            self._recall(channel, variables)
        return channel

    def _recall(self, channel: Channel, variables: Mapping[str, str]) -> None:
        """What an earlier gateway wrote on the channel: which leg of ours it is."""
        call, leg = variables.get(CALL_VARIABLE, ""), variables.get(LEG_VARIABLE, "")
        number = variables.get(NUMBER_VARIABLE) or None
        if leg and channel.is_phone:
            self._memory.expect(channel.uid, Ordered(call or channel.linked, leg, channel.endpoint, number=number))

    def _adopt(self, channel: Channel, message: Message, at: datetime) -> None:
        if channel.incoming and channel.trunk:
            self._placing.offer_inbound(channel)
            offered = self._memory.of[channel.uid]
            waits_for_agi = message["Application"] == "AGI" and message["ApplicationData"].startswith("agi:async")
            offered.waits = channel.context == self._waiting_context or waits_for_agi
            return
        if channel.uid in self._memory.of:
            return
        ordered = self._memory.ordered.get(channel.uid)
        if ordered is not None and (ordered.number is not None or ordered.call in self._memory.calls):
            self._placing.begin_ordered(channel, ordered, at)
        elif channel.incoming and channel.is_phone:
            self._adopt_dialled(channel, at)
        elif not channel.incoming and channel.linked in self._memory.linked:
            self._placing.attach(channel, self._memory.linked[channel.linked], at)

    def _adopt_dialled(self, caller: Channel, at: datetime) -> None:
        """An agent's phone that has dialled: whom it calls has the same linked id."""
        called = [c for c in self._memory.orphans() if c.linked == caller.linked and not c.incoming]
        for channel in sorted(called, key=lambda c: c.created_at):
            call = self._memory.of.get(caller.uid) or self._placing.phone_dials(caller, channel)
            if call is not None:
                self._placing.attach(channel, call, at, consults=self._placing.consults(call, caller, caller))

    def _live_call(self, call: Call) -> LiveCall:
        customer = call.customer if call.direction is Direction.INBOUND else None
        return LiveCall(
            call=call.name,
            direction=call.direction,
            dialled=call.dialled,
            from_number=(customer.number or None) if customer is not None else None,
            from_name=customer.caller_name if customer is not None else "",
            trunk=customer.endpoint if customer is not None else None,
            offered_at=call.offered_at,
            waits=call.waits,
            customer_answered_at=call.customer_answered_at,
            legs=tuple(self._live_leg(leg) for leg in call.legs.values()),
        )

    @staticmethod
    def _live_leg(leg: Leg) -> LiveLeg:
        channel = leg.channel
        state = LegState.ALERTING if channel.alerting_at is not None else LegState.INITIATED
        if leg.answered_at is not None:
            state = LegState.HELD if leg.held else LegState.CONNECTED
        return LiveLeg(
            leg=leg.name,
            device=leg.device,
            state=state,
            consults=leg.consults if not leg.moved else None,
            initiated_at=leg.initiated_at,
            alerting_at=channel.alerting_at,
            answered_at=leg.answered_at,
            hold_known=leg.hold_known,
        )


def live_device(message: Message, channels: Channels) -> LiveDevice | None:
    """The device of a DeviceStateChange; None for what is no phone, or of which nothing is known."""
    technology, slash, device = message["Device"].partition("/")
    state = DEVICE_STATES.get(message["State"].upper())
    if not slash or technology not in PHONES or state is None or channels.is_trunk(device):
        return None
    return LiveDevice(device=device[:100], state=state)


def _created_at(message: Message, at: datetime) -> datetime:
    """When a channel began, whose beginning was missed.

    The best guess from its age in whole seconds (``Duration``), and the whole second in which it began by the PBX's
    clock (the first part of ``Uniqueid``).
    """
    hours, _, rest = message["Duration"].partition(":")
    minutes, _, seconds = rest.partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and seconds.isdecimal() and len(hours) < 6):
        return at
    age = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
    earliest, latest = at - age - timedelta(seconds=1), at - age
    epoch = message["Uniqueid"].rpartition("-")[2].partition(".")[0]
    if epoch.isdecimal() and len(epoch) == EPOCH_DIGITS:
        second = datetime.fromtimestamp(int(epoch), UTC)
        if second < latest and second + timedelta(seconds=1) > earliest:
            earliest, latest = max(earliest, second), min(latest, second + timedelta(seconds=1))
    return earliest + (latest - earliest) / 2
