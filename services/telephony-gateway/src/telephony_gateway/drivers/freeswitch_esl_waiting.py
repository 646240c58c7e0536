"""Customers who wait on a FreeSWITCH: parked, or announced by the dialplan."""

from datetime import datetime
from urllib.parse import unquote

from telephony_gateway.domain.pbx_events import (
    AttributesSet,
    CustomerWaits,
)
from telephony_gateway.domain.words import Direction
from telephony_gateway.drivers.freeswitch_esl_memory import Call, Memory
from telephony_gateway.drivers.freeswitch_esl_messages import Event
from telephony_gateway.drivers.freeswitch_esl_placing import Placing
from telephony_gateway.drivers.freeswitch_esl_talks import Talks

ATTRIBUTE_PREFIX = "cc_attribute_"


class Waiting:
    """Knows who waits."""

    def __init__(self, memory: Memory, placing: Placing, talks: Talks) -> None:
        self._memory = memory
        self._placing = placing
        self._talks = talks

    def parked(self, event: Event, at: datetime) -> None:
        channel = self._placing.channel(event, at)
        if channel is None or not channel.is_live:
            return
        channel.parked = True
        call = self._memory.customer_of.get(channel)
        if call is None and channel.incoming and not self._memory.has_place(channel):
            call = self._placing.offer_inbound(channel)
        if call is not None:
            self.waits(call, at)
        elif channel in self._memory.leg_of:
            self._talks.look_around(self._memory.leg_of[channel][0], at)
        self._placing.tell_progress(channel)

    def unparked(self, event: Event, at: datetime) -> None:
        channel = self._placing.channel(event, at)
        if channel is None:
            return
        channel.parked = False
        call = self._memory.customer_of.get(channel)
        if call is not None:
            call.ready = call.announced = False

    def announced(self, event: Event, at: datetime) -> None:
        """The dialplan says that a call waits."""
        channel = self._placing.channel(event, at)
        if channel is None or not channel.is_live:
            return
        call = self._memory.customer_of.get(channel)
        if call is None and not self._memory.has_place(channel):
            call = self._placing.offer_inbound(channel)
        if call is None or call.direction is not Direction.INBOUND:
            return
        attributes = attributes_of(event)
        if attributes:
            self._memory.tell(AttributesSet(at=at, call=call.name, attributes=attributes))
        call.announced = False
        self.waits(call, at)

    def waits(self, call: Call, at: datetime) -> None:
        """The customer waits, unless an agent keeps them waiting, or they are on their way to another."""
        if call.direction is not Direction.INBOUND:
            return
        call.ready = True
        if call.transfer is not None and not call.transfer.to:
            call.transfer = None
        for leg in call.past:
            leg.ended_with = False
        if call.announced or call.transfer is not None or call.has_agent:
            return
        call.announced = call.waits = True
        self._memory.tell(CustomerWaits(at=at, call=call.name))


def attributes_of(event: Event) -> dict[str, str]:
    """What the dialplan, an IVR or the gateway has noted about the call: variables ``cc_attribute_...``."""
    prefix = f"variable_{ATTRIBUTE_PREFIX}"
    return {name.removeprefix(prefix): unquote(event[name]) for name in event if name.startswith(prefix)}
