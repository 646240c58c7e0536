"""Customers who wait on an Asterisk, and phones that it was asked to ring for them."""

from datetime import datetime

from telephony_gateway.domain.pbx_events import (
    AttributesSet,
    CustomerWaits,
    LegFailed,
    LegInitiated,
)
from telephony_gateway.domain.words import FailureReason, Party
from telephony_gateway.drivers.asterisk_ami_channels import Channel
from telephony_gateway.drivers.asterisk_ami_memory import Attempt, Call, Memory, Moving
from telephony_gateway.drivers.asterisk_ami_messages import Message
from telephony_gateway.drivers.asterisk_ami_placing import Placing

_CHANNEL_HEADERS = frozenset(
    {
        "Event", "Privilege", "Channel", "ChannelState", "ChannelStateDesc", "CallerIDNum", "CallerIDName",
        "ConnectedLineNum", "ConnectedLineName", "Language", "AccountCode", "Context", "Exten", "Priority", "Uniqueid",
        "Linkedid", "ChanVariable", "UserEvent", "Timestamp", "SystemName",
    }
)  # fmt: skip
FAILED_DIALS = {
    "BUSY": FailureReason.BUSY,
    "CHANUNAVAIL": FailureReason.UNREACHABLE,
    "CONGESTION": FailureReason.UNREACHABLE,
    "INVALIDARGS": FailureReason.UNREACHABLE,
    "NOANSWER": FailureReason.NO_ANSWER,
}
"""``DIALSTATUS`` and ``DialStatus``, other than of calls that were cancelled."""


class Waiting:
    """Knows who waits, and for whom."""

    def __init__(self, memory: Memory, placing: Placing) -> None:
        self._memory = memory
        self._placing = placing

    def redirected(self, channel: Channel, attempt: Attempt | None, at: datetime) -> None:
        """The gateway sends a customer to a device (``attempt``), or somewhere else in the dialplan."""
        call = self._memory.of.get(channel.uid)
        if call is None or call.customer is not channel:
            return
        self._memory.ordering = True
        self.attempt_failed(call, at, FailureReason.CANCELLED)
        call.attempt = attempt
        call.parked = attempt is None
        leg = call.talking
        if attempt is not None and leg is not None:
            call.moving = Moving(at, leg.name, Party.GATEWAY)

    def attempt_failed(self, call: Call, at: datetime, reason: FailureReason, cause: str = "") -> None:
        """The device that was to be called for the customer will not be, if there is one."""
        attempt, call.attempt = call.attempt, None
        if attempt is not None:
            told = {"call": call.name, "leg": attempt.name, "device": attempt.device}
            self._memory.tell(LegInitiated(at=attempt.at, **told))
            self._memory.tell(LegFailed(at=at, reason=reason, cause=cause, **told))

    def tick(self, call: Call, at: datetime) -> None:
        """Time passes."""
        if call.attempt is not None and at >= call.attempt.until:
            self.attempt_failed(call, at, FailureReason.UNREACHABLE, "not-called")

    def user_event(self, message: Message, at: datetime) -> None:
        channel = self._memory.channels.seen(message, at)
        if channel is None or message["UserEvent"].lower() != "ccwaiting":
            return
        call = self._customer_call(channel)
        if call is None:
            return
        attributes = {
            name: message[name]
            for name in message
            if name not in _CHANNEL_HEADERS and name not in ("Did", "Caller", "Reason") and not name.startswith("ChanV")
        }
        if attributes:
            self._memory.tell(AttributesSet(at=at, call=call.name, attributes=attributes))
        self._waits(call, at, message["Reason"].upper())

    def queue(self, message: Message, at: datetime) -> None:
        channel = self._memory.channels.seen(message, at)
        call = self._placing.find_call(channel) if channel is not None else None
        if call is not None and call.customer is channel:
            call.queued = message.event == "QueueCallerJoin"

    def async_agi(self, message: Message, at: datetime) -> None:
        channel = self._memory.channels.seen(message, at)
        call = self._customer_call(channel) if channel is not None else None
        if call is not None:
            self._waits(call, at, "")

    def _customer_call(self, channel: Channel) -> Call | None:
        """The call whose customer this channel is; it becomes one if its beginning was missed."""
        call = self._placing.find_call(channel)
        if call is None and channel.trunk:
            channel.incoming = True
            self._placing.offer_inbound(channel)
            call = self._memory.of.get(channel.uid)
        return call if call is not None and call.customer is channel else None

    def _waits(self, call: Call, at: datetime, reason: str) -> None:
        if any(leg.answered_at is not None and leg.consults is None and not leg.gave for leg in call.legs.values()):
            return  # an agent is there: it is on hold where others wait
        call.waits = True
        call.moving = call.failed_at = None
        call.last_left = None
        if reason not in ("", "NEW"):
            # Whom the PBX had begun to call is a leg by now: this one was never rung.
            failure = FAILED_DIALS.get(reason, FailureReason.UNREACHABLE)
            failure = FailureReason.UNREACHABLE if failure is FailureReason.NO_ANSWER else failure
            self.attempt_failed(call, at, failure, reason)
        self._memory.tell(CustomerWaits(at=at, call=call.name))
