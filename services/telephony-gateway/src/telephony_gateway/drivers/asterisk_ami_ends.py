"""How calls and legs end on Asterisk, who ended them and why."""

from datetime import datetime

from telephony_gateway.domain.pbx_events import (
    CallCleared,
    CustomerFailed,
    CustomerLeft,
    LegCleared,
    LegDiverted,
    LegFailed,
    LegInitiated,
)
from telephony_gateway.domain.words import Direction, FailureReason, Party
from telephony_gateway.drivers.asterisk_ami_channels import Channel
from telephony_gateway.drivers.asterisk_ami_memory import TOGETHER, Call, Leg, Memory, Moving, named
from telephony_gateway.drivers.asterisk_ami_messages import Message
from telephony_gateway.drivers.asterisk_ami_placing import Placing
from telephony_gateway.drivers.asterisk_ami_talks import Talks
from telephony_gateway.drivers.asterisk_ami_waiting import FAILED_DIALS, Waiting

TIME_OUT = "time-out"
"""Cause of a call that ended because the time was up that the gateway gave for ringing."""
_REFUSALS = {"17": FailureReason.BUSY, "21": FailureReason.DECLINED}
_UNREACHABLE = frozenset({"1", "2", "3", "20", "22", "27", "34", "38", "41", "42", "44", "58", "88"})
"""Q.850 causes: no number, no route, absent, out of order, network trouble, no circuit, incompatible."""
_STOPS = "4"
"""``Cause`` of a SoftHangupRequest is a flag, not a Q.850 cause: AST_SOFTHANGUP_SHUTDOWN."""


class Ends:
    """Understands hang-ups."""

    def __init__(self, memory: Memory, talks: Talks, placing: Placing, waiting: Waiting) -> None:
        self._memory = memory
        self._talks = talks
        self._placing = placing
        self._waiting = waiting

    def ordered(self, channel: Channel) -> None:
        """The gateway hangs this channel up."""
        self._memory.ordering = True
        if not channel.is_up:
            channel.dial_status = channel.dial_status or "CANCEL"
        call = self._memory.of.get(channel.uid)
        if call is not None and call.customer is channel:
            call.ended_by = Party.GATEWAY

    def dial_end(self, message: Message, at: datetime) -> None:
        self._memory.channels.seen(message, at)
        called = self._memory.channels.seen(message, at, "Dest")
        if called is None:
            return
        status = message["DialStatus"].upper()
        # app_queue says NOANSWER, then CANCEL: the first is what happened.
        if not called.dial_status and status != "ANSWER":
            called.dial_status = status
            called.forward = message["Forward"]

    def hangup_request(self, message: Message, at: datetime) -> None:
        channel = self._memory.channels.seen(message, at)
        if channel is None:
            return
        channel.requested_at = channel.requested_at or at
        call = self._memory.of.get(channel.uid)
        leg = call.legs.get(channel.uid) if call is not None else None
        if call is None or leg is None or leg.answered_at is None:
            return
        just_parted = leg.parted_at is not None and at - leg.parted_at <= TOGETHER and not leg.gave
        speaks = call.direction is Direction.INTERNAL or leg.connected or just_parted
        if speaks or (call.direction is Direction.OUTBOUND and not self._others_talk(call, leg)):
            call.last_left = (at, leg.name)

    def _others_talk(self, call: Call, leg: Leg) -> bool:
        return any(other.connected for other in call.legs.values() if other is not leg)

    def soft_hangup(self, message: Message, at: datetime) -> None:
        channel = self._memory.channels.seen(message, at)
        self._memory.stopping = self._memory.stopping or message["Cause"] == _STOPS
        if channel is not None and channel.requested_at is None:
            channel.softly_at = channel.softly_at or at

    def shutdown(self, _message: Message, _at: datetime) -> None:
        self._memory.stopping = True

    def hangup(self, message: Message, at: datetime) -> None:
        channel = self._memory.channels.seen(message, at)
        if channel is None:
            return
        cause = message["Cause"]
        call = self._placing.find_call(channel) or self._placing.call_of_orphan(channel, at)
        around = self._memory.calls_around(channel)
        asked = self._memory.asking.pop(channel.uid, None)
        if call is not None and channel is call.customer:
            self._placing.adopt_unanswered(call, at)
        self._memory.channels.remove(channel)
        for other in around:
            self._talks.connect(other, at, channel)
        if call is None:
            if asked is not None:
                self._over(asked[0], at)
            return
        self._memory.of.pop(channel.uid, None)
        if channel is call.customer:
            self._customer_gone(call, channel, at, cause)
        elif channel.uid in call.legs:
            self._leg_gone(call, call.legs.pop(channel.uid), at, cause)
        self._over(call, at)

    def _customer_gone(self, call: Call, channel: Channel, at: datetime, cause: str) -> None:
        self._waiting.attempt_failed(call, at, FailureReason.CANCELLED)
        if call.direction is Direction.OUTBOUND and not call.was_reached:
            reason = self._why_failed(channel, cause, call)
            call.timed_out = reason is FailureReason.NO_ANSWER and channel.dialled_from is None
            self._memory.tell(CustomerFailed(at=at, call=call.name, reason=reason, cause=cause))
            call.customer = None  # another trunk may be tried
            return
        party = self._who_ended(call, channel, at)
        call.left_by = party
        if any(not leg.channel.gone for leg in call.legs.values()):
            self._memory.tell(CustomerLeft(at=at, call=call.name, by=party, cause=cause))
        call.customer = channel

    def _who_ended(self, call: Call, channel: Channel, at: datetime) -> Party:
        """The first who asked for it; of an agent only if the customer went with them."""
        if channel.requested_at is not None and (call.last_left is None or channel.requested_at < call.last_left[0]):
            return Party.CUSTOMER
        if call.last_left is not None and at - call.last_left[0] <= TOGETHER:
            return Party.AGENT
        if channel.requested_at is not None:
            return Party.CUSTOMER
        if call.ended_by is not None:
            return call.ended_by
        return self._party_of_soft_hangups(call, channel)

    def _party_of_soft_hangups(self, call: Call, channel: Channel) -> Party:
        """Nobody there asked for it.

        If it is not for us to know what a gateway orders, one did; unless the dialplan passes on a refusal, or the PBX
        stops.
        """
        if self._memory.ordering or self._memory.stopping or call.failed_at is not None:
            return Party.PBX
        legs = [leg.channel for leg in call.legs.values()]
        return Party.GATEWAY if any(c.softly_at is not None for c in (channel, *legs)) else Party.PBX

    def _leg_gone(self, call: Call, leg: Leg, at: datetime, cause: str) -> None:
        told = named(call, leg)
        if leg.answered_at is not None:
            if self._talks.was_taken_away(call, leg) and leg.parted_at is not None and call.moving is None:
                call.moving = Moving(leg.parted_at, leg.name, Party.GATEWAY)
            self._memory.tell(LegCleared(at=at, cause=cause, **told))
        elif leg.channel.forward:
            self._memory.tell(LegDiverted(at=at, to=leg.channel.forward, cause=leg.channel.dial_status, **told))
        else:
            reason = self._why_failed(leg.channel, cause, call)
            if not leg.told and reason in (FailureReason.UNREACHABLE, FailureReason.CANCELLED):
                return
            if not leg.told:
                self._memory.tell(LegInitiated(at=leg.channel.created_at, **told))
            self._memory.tell(LegFailed(at=at, reason=reason, cause=leg.channel.dial_status or cause, **told))
            call.failed_at = at if reason is not FailureReason.CANCELLED else None
            call.timed_out = reason is FailureReason.NO_ANSWER and call.direction is Direction.OUTBOUND

    def _why_failed(self, channel: Channel, cause: str, call: Call) -> FailureReason:
        left = channel is not call.customer and call.is_leaving
        if left or channel.up_at is not None or channel.softly_at is not None:
            return FailureReason.CANCELLED
        if cause in _REFUSALS:
            return _REFUSALS[cause]
        reason = FAILED_DIALS.get(channel.dial_status)
        if not channel.dial_status:
            # The PBX originated it, and nobody ended it but time.
            reason = FailureReason.UNREACHABLE if cause in _UNREACHABLE else FailureReason.NO_ANSWER
        if reason is FailureReason.NO_ANSWER and channel.alerting_at is None:
            return FailureReason.UNREACHABLE
        return reason or FailureReason.CANCELLED

    def _over(self, call: Call, at: datetime) -> None:
        """The call has ended if nobody is left of it."""
        customer_there = call.customer is not None and not call.customer.gone
        if customer_there or call.legs:
            return
        if call.name in self._memory.calls:  # else it was over the limit, and nobody was told of it
            self._memory.tell(self._clearing(call, at))
        self._memory.forget(call)

    def _clearing(self, call: Call, at: datetime) -> CallCleared:
        party, leg, cause = call.left_by, None, ""
        if party is None:
            party, cause = self._who_ended_without_customer(call)
        if party is Party.AGENT and call.last_left is not None:
            leg = call.last_left[1]
        return CallCleared(at=at, call=call.name, by=party, leg=leg, cause=cause)

    def _who_ended_without_customer(self, call: Call) -> tuple[Party, str]:
        """Outbound, nobody was reached; or a call between agents."""
        if call.last_left is not None:
            return Party.AGENT, ""
        if call.ended_by is not None:
            return call.ended_by, ""
        if call.timed_out:
            return Party.GATEWAY, TIME_OUT
        return Party.PBX, ""
