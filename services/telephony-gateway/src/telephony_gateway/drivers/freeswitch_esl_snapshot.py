"""What is up on a FreeSWITCH after a connection came up, laid over what was believed to be."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from telephony_gateway.domain.pbx_events import (
    ConnectionUp,
    LiveCall,
    LiveLeg,
)
from telephony_gateway.domain.words import Direction, LegState
from telephony_gateway.drivers.freeswitch_esl_channels import Channel
from telephony_gateway.drivers.freeswitch_esl_devices import Devices
from telephony_gateway.drivers.freeswitch_esl_memory import Call, Leg, Memory
from telephony_gateway.drivers.freeswitch_esl_messages import Event
from telephony_gateway.drivers.freeswitch_esl_placing import Placing, note_variables
from telephony_gateway.drivers.freeswitch_esl_talks import Talks
from telephony_gateway.drivers.freeswitch_esl_waiting import attributes_of


class Snapshot:
    """Forgets what is gone, sees what is there, adopts what is new."""

    def __init__(self, memory: Memory, devices: Devices, placing: Placing, talks: Talks, waiting_context: str) -> None:
        self._memory = memory
        self._devices = devices
        self._placing = placing
        self._talks = talks
        self._waiting_context = waiting_context

    def lay_over(
        self,
        at: datetime,
        channels: Mapping[str, tuple[Event, Mapping[str, str]]],
        registered: Iterable[str],
        started_at: datetime | None,
    ) -> ConnectionUp:
        """What is up, of ``show channels`` (rows, by channel) and ``uuid_dump`` (descriptions).

        Legs and calls that were known keep their names; what is not up any more is forgotten without a word.
        """
        told = len(self._memory.events)
        for gone in self._memory.channels:
            if gone.uid not in channels:
                self._lose(gone)
        for call in list(self._memory.calls.values()):
            if call.customer is None and not call.legs:
                del self._memory.calls[call.name]
        new = []
        for uid, (event, row) in channels.items():
            known = self._memory.channels.get(uid)
            channel = known or self._memory.channels.make(event, at)
            if channel is None:
                continue
            self._refresh(channel, event, row, at)
            if known is None:
                new.append(channel)
            elif channel in self._memory.leg_of:
                leg = self._memory.leg_of[channel][1]
                leg.joined = leg.joined or channel.was_bridged
        for fresh in sorted(new, key=lambda channel: (channel.created_at, channel.uid)):
            self._placing.place(fresh)
        self._rejoin(channels, at)
        devices = self._devices.lay_over(registered)
        del self._memory.events[told:]
        return ConnectionUp(
            at=at,
            calls=tuple(self._live_call(call) for call in self._memory.calls.values()),
            devices=devices,
            started_at=started_at,
        )

    def _lose(self, channel: Channel) -> None:
        """It ended while nobody listened."""
        call = self._memory.customer_of.get(channel)
        found = self._memory.leg_of.get(channel)
        if call is not None:
            call.customer = None
            if call.direction is Direction.INBOUND:
                self._memory.calls.pop(call.name, None)
                for leg in call.legs:
                    self._memory.leg_of.pop(leg.channel, None)
        if found is not None:
            found[0].legs.remove(found[1])
        self._memory.forget(channel)

    def _refresh(self, channel: Channel, event: Event, row: Mapping[str, str], at: datetime) -> None:
        self._memory.channels.update(channel, event, at)
        note_variables(channel, event)
        channel.attributes = attributes_of(event)
        channel.application = row.get("application", "")
        channel.dialled = event["variable_cc_did"] or row.get("initial_dest", "") or channel.dialled
        channel.number = row.get("initial_cid_num", "") or channel.number if channel.incoming else channel.number
        channel.parked = channel.application == "park"
        channel.held = "HELD" in (row.get("callstate"), event["Channel-Call-State"])
        if channel.answered_at is None and event["Answer-State"] == "answered":
            channel.answered_at = at
        if not channel.incoming and channel.alerting_at is None and row.get("callstate") == "RINGING":
            channel.alerting_at = at
        channel.room = ""
        if channel.application == "conference":
            channel.room = row.get("application_data", "").partition("@")[0].partition("+")[0]
        channel.bridged = ""
        channel.was_bridged = event["Caller-Channel-Bridged-Time"] not in ("", "0")

    def _rejoin(self, channels: Mapping[str, tuple[Event, Mapping[str, str]]], at: datetime) -> None:
        """Who hears whom."""
        for call in self._memory.calls.values():
            for leg in call.legs:
                leg.connected = False
        for uid, (event, _) in channels.items():
            one, other = self._memory.channels.get(uid), self._memory.channels.get(event["Other-Leg-Unique-ID"])
            if one is None or other is None or one.bridged or other.bridged or one.room or other.room:
                continue
            linked = channels[other.uid][0]["Other-Leg-Unique-ID"] == uid
            talking = all(c.answered_at is not None and not c.parked for c in (one, other))
            if linked and talking:
                self._talks.join(one, other, at)
        for channel in self._memory.channels:
            if channel.room:
                self._talks.enter_room(channel, channel.room, at)
        for call in self._memory.calls.values():
            self._reconsider(call)

    def _reconsider(self, call: Call) -> None:
        for leg in call.legs:
            leg.parted_at = None
            leg.taken = (
                leg.joined
                and not leg.connected
                and leg.consults is None
                and leg.channel.answered_at is not None
                and call.direction is Direction.INBOUND
                and call.customer is not None
                and call.customer.is_live
            )
        customer = call.customer
        call.transfer = None
        if customer is None or call.direction is not Direction.INBOUND:
            return
        call.ready = customer.parked or customer.context == self._waiting_context
        call.announced = call.ready and not call.has_agent
        call.waits = call.waits or call.ready

    def _live_call(self, call: Call) -> LiveCall:
        customer = call.customer if call.direction is Direction.INBOUND else None
        answered_at = None
        if call.direction is Direction.OUTBOUND and call.customer is not None:
            answered_at = call.customer.answered_at
        return LiveCall(
            call=call.name,
            direction=call.direction,
            dialled=call.dialled,
            from_number=(customer.number or None) if customer is not None else None,
            from_name=customer.caller_name if customer is not None else "",
            trunk=(customer.profile or None) if customer is not None else None,
            diverted_from=(customer.diverted_from or None) if customer is not None else None,
            attributes=customer.attributes if customer is not None else {},
            offered_at=call.offered_at,
            waits=call.waits,
            customer_answered_at=answered_at,
            legs=tuple(self._live_leg(leg) for leg in call.legs),
        )

    @staticmethod
    def _live_leg(leg: Leg) -> LiveLeg:
        channel = leg.channel
        answered_at = channel.created_at if channel.incoming else channel.answered_at
        state = LegState.INITIATED if channel.alerting_at is None else LegState.ALERTING
        if answered_at is not None:
            state = LegState.HELD if leg.taken or channel.held else LegState.CONNECTED
        return LiveLeg(
            leg=leg.name,
            device=leg.device,
            state=state,
            consults=leg.consults.name if leg.consults is not None and not leg.moved else None,
            initiated_at=channel.created_at,
            alerting_at=channel.alerting_at,
            answered_at=answered_at,
            held_since=channel.held_since,
        )
