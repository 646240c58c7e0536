"""How calls and legs end on FreeSWITCH, who ended them and why."""

from collections.abc import Sequence
from datetime import datetime

from telephony_gateway.domain.pbx_events import (
    CallCleared,
    CustomerFailed,
    CustomerLeft,
    LegAnswered,
    LegCleared,
    LegDiverted,
    LegFailed,
)
from telephony_gateway.domain.words import DeviceState, Direction, FailureReason, Party
from telephony_gateway.drivers.freeswitch_esl_channels import Channel, Kind
from telephony_gateway.drivers.freeswitch_esl_devices import Devices
from telephony_gateway.drivers.freeswitch_esl_memory import (
    JUST_BEFORE,
    UNDECIDED,
    Call,
    Leg,
    Memory,
    Ordered,
    Transfer,
    named,
)
from telephony_gateway.drivers.freeswitch_esl_messages import Event
from telephony_gateway.drivers.freeswitch_esl_placing import Placing
from telephony_gateway.drivers.freeswitch_esl_talks import SETTLED
from telephony_gateway.drivers.freeswitch_esl_waiting import Waiting

TIME_OUT = "time-out"
_REASONS = {
    "USER_BUSY": FailureReason.BUSY,
    "CALL_REJECTED": FailureReason.DECLINED,
    "ORIGINATOR_CANCEL": FailureReason.CANCELLED,
    "LOSE_RACE": FailureReason.CANCELLED,
    "PICKED_OFF": FailureReason.CANCELLED,
    "NORMAL_CLEARING": FailureReason.CANCELLED,
    "MANAGER_REQUEST": FailureReason.CANCELLED,
    "SYSTEM_SHUTDOWN": FailureReason.CANCELLED,
    "NO_ANSWER": FailureReason.NO_ANSWER,
    "NO_USER_RESPONSE": FailureReason.NO_ANSWER,
    "ALLOTTED_TIMEOUT": FailureReason.NO_ANSWER,
    "PROGRESS_TIMEOUT": FailureReason.NO_ANSWER,
    "MEDIA_TIMEOUT": FailureReason.NO_ANSWER,
    "RECOVERY_ON_TIMER_EXPIRE": FailureReason.NO_ANSWER,
    "REDIRECTION_TO_NEW_DESTINATION": FailureReason.DIVERTED,
}
"""FreeSWITCH's causes of hang-up; every other means that there was nobody to reach."""
_SHUTDOWN = frozenset({"SYSTEM_SHUTDOWN", "CRASH"})
_NOT_THERE = frozenset({"USER_NOT_REGISTERED", "SUBSCRIBER_ABSENT"})


class Ends:
    """Understands hang-ups."""

    def __init__(self, memory: Memory, devices: Devices, placing: Placing, waiting: Waiting) -> None:
        self._memory = memory
        self._devices = devices
        self._placing = placing
        self._waiting = waiting

    def hangup(self, event: Event, at: datetime) -> None:
        channel = self._memory.channels.get(event["Unique-ID"])
        if channel is None:
            self._memory.unnoticed["no-channel"] += 1
            return
        self._memory.channels.update(channel, event, at)
        name = event["Event-Name"]
        channel.disposition = event["variable_sip_hangup_disposition"] or channel.disposition
        self._placing.tell_progress(channel)
        if channel.hung_at is None:
            channel.hung_at = at
            channel.cause = event["Hangup-Cause"]
            channel.parked = False
            self._devices.count(channel, -1, at)
            self._over(channel, event, at)
        if name != "CHANNEL_HANGUP":
            channel.complete = True
        call = self._memory.call_of(channel) or self._memory.past_of.get(channel)
        if call is not None:
            self.close(call, at)
        if name == "CHANNEL_DESTROY":
            self._memory.forget(channel)

    def _over(self, channel: Channel, event: Event, at: datetime) -> None:
        if channel in self._memory.customer_of:
            self._customer_over(self._memory.customer_of[channel], channel, at)
        elif channel in self._memory.leg_of:
            self._leg_over(*self._memory.leg_of[channel], event, at)
        elif self._is_unplaced_agent(channel):
            self._stray_over(channel, at)

    def _is_unplaced_agent(self, channel: Channel) -> bool:
        return channel.kind is Kind.PHONE and not channel.incoming and not self._memory.has_place(channel)

    def _stray_over(self, channel: Channel, at: datetime) -> None:
        """An agent was called in vain, and several callers may have been meant: the one who has waited longest."""
        waiting = self._memory.find_waiting(channel.number, channel.created_at)
        if channel.answered_at is None and waiting:
            first = min(waiting, key=lambda call: (len(call.legs), call.offered_at))
            self._leg_failed(first, self._placing.attach(channel, first), "", at)

    def _customer_over(self, call: Call, channel: Channel, at: datetime) -> None:
        call.hung_at = at
        call.transfer = None
        for leg in call.legs:
            if leg.connected:
                leg.ended_with = True
        if call.direction is Direction.OUTBOUND and channel.answered_at is None:
            reason = failure_of(channel.cause, rang=channel.alerting_at is not None)
            self._memory.tell(CustomerFailed(at=at, call=call.name, reason=reason, cause=channel.cause))

    def _leg_over(self, call: Call, leg: Leg, event: Event, at: datetime) -> None:
        channel = leg.channel
        by_phone = event["variable_transfer_disposition"] == "recv_replace"
        if by_phone and (leg.connected or leg.parted_at is not None):
            self._referred(call, leg, event["variable_transfer_to"], at)
        elif leg.connected and call.transfer is None and call.commanded:
            call.transfer = Transfer(leg, at, Party.GATEWAY)
        just_parted = leg.parted_at is not None and not leg.taken and at - leg.parted_at <= SETTLED
        leg.ended_with = leg.ended_with or leg.connected or just_parted
        call.legs.remove(leg)
        call.past = [*call.past[-9:], leg]
        self._memory.past_of[channel] = call
        self._memory.leg_of.pop(channel)
        if leg.joined:
            self._memory.tell(LegCleared(at=at, cause=channel.cause, **named(call, leg)))
        else:
            to = event["variable_sip_redirect_contact_user_0"] or event["variable_sip_redirected_to"]
            self._leg_failed(call, leg, to, at)
        leg.connected = False
        customer = call.customer
        if customer is not None and customer.is_live and call.ready:
            self._waiting.waits(call, at)

    def _referred(self, call: Call, leg: Leg, to: str, at: datetime) -> None:
        """The phone has given the customer away (REFER, RFC 3515 and 3891)."""
        kind, _, uid = to.partition(":")
        target = next((other for other in call.legs if other.channel.uid == uid), None)
        if kind == "att" and target is not None and not target.moved:
            self._placing.move(call, target, leg, at, Party.AGENT)
        else:
            call.transfer = Transfer(leg, min(at, leg.parted_at or at), Party.AGENT)

    def _leg_failed(self, call: Call, leg: Leg, to: str, at: datetime) -> None:
        channel = leg.channel
        reason = failure_of(channel.cause, rang=channel.alerting_at is not None or channel.answered_at is not None)
        told = named(call, leg)
        if leg in call.legs:
            call.legs.remove(leg)
            self._memory.leg_of.pop(channel, None)
        if channel.answered_at is not None:
            # Picked up, and there was no one left to talk to.
            self._memory.tell(LegAnswered(at=channel.answered_at, **told))
            reason = FailureReason.CANCELLED
        if reason is FailureReason.DIVERTED and not to:
            call.diverted = leg, at
        elif reason is FailureReason.DIVERTED:
            user = to.rpartition("<")[2].partition("@")[0].rpartition(":")[2].strip(">")
            self._memory.tell(LegDiverted(at=at, to=user or to, cause=channel.cause, **told))
        else:
            self._memory.tell(LegFailed(at=at, reason=reason, cause=channel.cause, **told))

    def close(self, call: Call, at: datetime, *, finally_: bool = False) -> None:
        """The call is over if the customer is gone, or there never was one, and so is everybody else."""
        if self._memory.calls.get(call.name) is not call:
            return
        customer = call.customer
        unreached = customer is None or (call.direction is Direction.OUTBOUND and customer.answered_at is None)
        if unreached:
            if call.legs or (customer is not None and customer.is_live):
                return
        elif customer is None or customer.is_live:
            return
        decided = self._who(call)
        if decided is None:
            if not finally_ and at - self._ended_at(call, at) < UNDECIDED:
                return
            decided = Party.PBX, None, ""
        by, leg, cause = decided
        self._give_up_waiting(call)
        if not unreached and customer is not None and customer.hung_at is not None:
            staying = any(other.joined for other in call.legs)
            if staying and not call.left_told:
                call.left_told = True
                self._memory.tell(CustomerLeft(at=customer.hung_at, call=call.name, by=by, cause=cause))
            if staying:
                return
        ended_at = self._ended_at(call, at)
        for other in call.legs:
            self._memory.leg_of.pop(other.channel, None)
        for other in call.past:
            self._memory.past_of.pop(other.channel, None)
        if customer is not None:
            self._memory.customer_of.pop(customer, None)
        self._placing.tell_diverted(call, None)
        self._memory.calls.pop(call.name)
        self._memory.tell(
            CallCleared(at=ended_at, call=call.name, by=by, leg=leg.name if leg is not None else None, cause=cause)
        )

    def _give_up_waiting(self, call: Call) -> None:
        """Phones that ring, or have nobody to talk to, because the gateway wanted it so: the PBX leaves them alone."""
        for leg in call.legs:
            channel = leg.channel
            if (
                channel.uid in self._memory.ordered
                and channel.is_live
                and (channel.parked or channel.answered_at is None)
            ):
                self._memory.orphans.append(channel.uid)

    @staticmethod
    def _ended_at(call: Call, at: datetime) -> datetime:
        """The customer's own end, unless agents stayed behind or the customer was never there."""
        customer = call.customer
        was_there = customer is not None and (call.direction is Direction.INBOUND or customer.answered_at is not None)
        if customer is not None and customer.hung_at is not None and was_there and not call.left_told:
            return customer.hung_at
        ends = [leg.channel.hung_at for leg in call.past if leg.channel.hung_at is not None]
        if customer is not None and customer.hung_at is not None:
            ends.append(customer.hung_at)
        return max(ends, default=at)

    def _who(self, call: Call) -> tuple[Party, Leg | None, str] | None:
        """Who hung up first; None while it may still be told."""
        customer = call.customer
        ended = [customer] if customer is not None else []
        own = [leg for leg in (*call.past, *call.legs) if leg.ended_with and self._at_the_end(call, leg)]
        if customer is None or customer.answered_at is None:
            own = (
                [leg for leg in call.past if self._at_the_end(call, leg)]
                if call.direction is not Direction.INBOUND
                else own
            )
        cause = customer.cause if customer is not None else (own[-1].channel.cause if own else "")
        if any(channel.cause in _SHUTDOWN for channel in (*ended, *(leg.channel for leg in own))):
            return Party.PBX, None, cause
        if customer is not None and customer.ended_it and (customer.answered_at or call.direction is Direction.INBOUND):
            return Party.CUSTOMER, None, cause
        if any(not channel.complete for channel in (*ended, *(leg.channel for leg in own)) if not channel.disposition):
            return None
        by_agent = sorted(
            (leg for leg in own if self._hung_up(leg)), key=lambda leg: leg.channel.hung_at or call.offered_at
        )
        if by_agent:
            return Party.AGENT, by_agent[0], by_agent[0].channel.cause
        return self._who_else(call, own, cause)

    def _who_else(self, call: Call, own: Sequence[Leg], cause: str) -> tuple[Party, Leg | None, str]:
        """Neither customer nor agent has said goodbye in SIP."""
        customer = call.customer
        if call.killed or any(leg.channel.killed and leg.channel.cause != "NO_ANSWER" for leg in own):
            return Party.GATEWAY, None, cause
        if customer is None and call.direction is Direction.OUTBOUND:
            reasons = {failure_of(leg.channel.cause, rang=True) for leg in own}
            if FailureReason.NO_ANSWER in reasons:
                return Party.GATEWAY, None, TIME_OUT
        if customer is not None and not customer.disposition:
            first = min(own, key=lambda leg: leg.channel.hung_at or call.offered_at, default=None)
            hung_at = first.channel.hung_at if first is not None else None
            if hung_at is None or customer.hung_at is None or hung_at >= customer.hung_at:
                return Party.CUSTOMER, None, cause
            return Party.AGENT, first, cause
        return Party.PBX, None, cause

    @staticmethod
    def _hung_up(leg: Leg) -> bool:
        """A phone that hung up; not one that refused the call or gave it away."""
        return leg.channel.disposition in ("recv_bye", "recv_cancel")

    @staticmethod
    def _at_the_end(call: Call, leg: Leg) -> bool:
        if leg.channel.hung_at is None or call.hung_at is None:
            return call.hung_at is None
        return abs(call.hung_at - leg.channel.hung_at) <= JUST_BEFORE

    def originate_failed(self, uid: str, device: str, number: str, cause: str, at: datetime) -> None:
        """A leg that was asked for never came to be: its phone is not registered, for example."""
        if self._memory.channels.was(uid) or not device or (not uid and cause not in _NOT_THERE):
            return
        channel = Channel(uid, device, at, Kind.PHONE, incoming=False, user=device, hung_at=at, cause=cause)
        ordered = self._memory.ordered.pop(uid, None)
        if ordered is None:
            waiting = sorted(self._memory.find_waiting(number, at), key=lambda call: call.offered_at)
            ordered = Ordered(waiting[0].name, uid or f"never-{at.timestamp()}", device) if waiting else None
        if ordered is None or not self._placing.place_ordered(channel, ordered):
            return
        call, leg = self._memory.leg_of[channel]
        channel.complete = True
        call.past = [*call.past[-9:], leg]
        self._leg_failed(call, leg, "", at)
        if failure_of(cause, rang=False) is FailureReason.UNREACHABLE and cause in _NOT_THERE:
            self._devices.tell(device, DeviceState.UNREACHABLE, at)
        if call.transfer is not None and call.transfer.to == leg.name:
            call.transfer = None
        if call.ready:
            self._waiting.waits(call, at)
        self.close(call, at)


def failure_of(cause: str, *, rang: bool) -> FailureReason:
    """Why a phone was not connected; one that never rang and never answered was not there."""
    reason = _REASONS.get(cause, FailureReason.UNREACHABLE)
    return FailureReason.UNREACHABLE if reason is FailureReason.NO_ANSWER and not rang else reason
