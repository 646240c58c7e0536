"""What each event of a Stasis application says about calls, legs and devices."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from telephony_gateway.domain.pbx_events import (
    AttributesSet,
    CallTransferred,
    DeviceChanged,
    DigitPressed,
    LegDiverted,
    LegHeld,
    LegRetrieved,
)
from telephony_gateway.drivers.asterisk_ari_calls import (
    AGENT,
    CUSTOMER,
    MAX_BRIDGES,
    Call,
    Leg,
    Party,
    our_names,
    talk_bridge,
    wait_bridge,
)
from telephony_gateway.drivers.asterisk_ari_control import VARIABLE_PREFIX, Say
from telephony_gateway.drivers.asterisk_ari_messages import Channel, Event, delete, device_of, to_device
from telephony_gateway.drivers.asterisk_ari_story import Story, is_ours
from telephony_gateway.drivers.asterisk_devices import DEVICE_STATES

MAX_VARIABLES = 100


class Hearing:
    """Understands events, one after the other."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._handlers: Mapping[str, Callable[[Event, datetime], None]] = {
            "StasisStart": self._stasis_start,
            "StasisEnd": self._channel_end,
            "ChannelDestroyed": self._channel_end,
            "ChannelDialplan": self._dialplan,
            "ChannelStateChange": self._channel_changed,
            "ChannelHangupRequest": self._hangup_request,
            "ChannelEnteredBridge": self._entered,
            "ChannelLeftBridge": self._left,
            "BridgeDestroyed": self._bridge_destroyed,
            "BridgeBlindTransfer": self._blind_transfer,
            "BridgeAttendedTransfer": self._attended_transfer,
            "ChannelHold": self._hold,
            "ChannelUnhold": self._unhold,
            "ChannelDtmfReceived": self._digit,
            "ChannelVarset": self._variable,
            "Dial": self._dial,
            "DeviceStateChanged": self._device_state,
            "EndpointStateChange": self._endpoint_state,
        }

    def hear(self, event: Event, at: datetime) -> None:
        """Take in what happened; what is not known means nothing."""
        handler = self._handlers.get(event.kind)
        if handler is not None:
            handler(event, at)

    def _stasis_start(self, event: Event, at: datetime) -> None:
        channel, replaced = event.channel(), event.channel("replace_channel")
        if channel is None or self._story.memory.is_over(channel.channel_id):
            return
        if replaced is not None and self._story.memory.find(replaced.channel_id) is not None:
            self._take_place(channel, replaced.channel_id, channel.peer, at)
            return
        self._enter(channel, event.arguments(), at)

    def _dialplan(self, event: Event, at: datetime) -> None:
        """A passive application with all channels sees this instead of `StasisStart`."""
        channel = event.channel()
        application, *arguments = event.text("dialplan_app_data").split(",")
        if channel is None or event.text("dialplan_app") != "Stasis" or application != self._story.application:
            return
        if arguments and not self._story.memory.is_over(channel.channel_id):
            self._enter(channel, tuple(arguments), at)

    def _enter(self, channel: Channel, arguments: tuple[str, ...], at: datetime) -> None:
        """A channel is in the application."""
        found = self._story.memory.find(channel.channel_id)
        if found is None:
            if arguments[:1] not in ((AGENT,), (CUSTOMER,)):
                self._story.offer(channel, arguments, at)
                return
            self._story.outgoing(channel.channel_id, channel.peer, arguments, channel.connected, "", at)
        else:
            self._learn(*found, arguments, at)
        self._story.seen(channel, at)
        found = self._story.memory.find(channel.channel_id)
        if found is None or not channel.is_up:
            return
        call, party = found
        if isinstance(party, Leg):
            if call is not None:
                self._story.picked_up(call, party)
            elif our_names(party.channel) is not None:
                # Its call is over.
                self._story.say([Say(delete("channels", party.channel, reason="normal"), "")])
        elif call is not None and call.outgoing is not None:
            self._story.say(self._story.control.customer_answered(call))

    def _learn(self, call: Call | None, party: Party, arguments: tuple[str, ...], at: datetime) -> None:
        """Who did not see it originated hears now under which name that was, and for what."""
        if isinstance(party, Leg) and party.purpose is None and our_names(party.channel) is not None:
            self._story.of_ours(party, arguments, at)
        alias = arguments[1] if len(arguments) > 1 and arguments[0] in (AGENT, CUSTOMER) else ""
        if isinstance(party, Leg):
            party.alias = party.alias or alias
        if call is not None:
            self._story.memory.name(call, alias)

    def _dial(self, event: Event, at: datetime) -> None:
        peer = event.channel("peer")
        if peer is None or event.channel("caller") is not None or self._story.memory.is_over(peer.channel_id):
            return  # the dialplan dials for somebody
        begins = event.text("dialstring") and event.text("dialstatus") in ("", "RINGING", "PROGRESS", "ANSWER")
        if begins and self._story.memory.find(peer.channel_id) is None:
            dialled = peer.peer if peer.name.startswith("Local/") else event.text("dialstring")
            self._story.outgoing(peer.channel_id, dialled, (), peer.connected, "", at)
        found = self._story.memory.find(peer.channel_id)
        if found is None:
            return
        call, party = found
        party.dial_status = event.text("dialstatus") or party.dial_status
        if isinstance(party, Leg) and party.initiated_at is not None:
            party.initiated_at = min(party.initiated_at, at)
            party.presented = party.presented or peer.connected
        if event.text("dialstatus") == "RINGING":
            party.ringing_at = at if party.ringing_at is None else min(party.ringing_at, at)
        self._story.seen(peer, at)
        if event.text("forward") and call is not None and isinstance(party, Leg):
            to = event.text("forward").partition("@")[0].rpartition("/")[2]
            self._diverted(call, party, to, event.channel("forwarded"), at)

    def _diverted(self, call: Call, leg: Leg, to: str, place: Channel | None, at: datetime) -> None:
        """The phone passes the call on (302): Asterisk calls somebody else in its place, for the same purpose."""
        self._story.memory.end(leg.channel)
        self._story.tell(LegDiverted(at=at, call=call.name, leg=leg.leg, device=leg.device, to=to))
        if place is not None and self._story.memory.find(place.channel_id) is None:
            heir = Leg(place.channel_id, leg=place.channel_id, device=to, purpose=leg.purpose, initiated_at=at)
            heir.alias, heir.consults = leg.alias, leg.consults
            self._story.memory.add_leg(heir)
            self._story.bind_to(heir, call, at)

    def _channel_changed(self, event: Event, at: datetime) -> None:
        channel = event.channel()
        if channel is not None:
            self._story.seen(channel, at)

    def _hangup_request(self, event: Event, at: datetime) -> None:
        channel = event.channel()
        found = None if channel is None else self._story.memory.find(channel.channel_id)
        if found is None or found[1].hung_up_at is not None:
            return
        party = found[1]
        party.hung_up_at = at
        party.hung_up_itself = not event.flag("soft")
        party.hung_up_cause = event.number("cause")

    def _channel_end(self, event: Event, at: datetime) -> None:
        channel = event.channel()
        found = None if channel is None else self._story.memory.find(channel.channel_id)
        if found is None or channel is None:
            return
        call, party = found
        self._story.observe(party, channel, at)
        cause = event.number("cause")
        party.hung_up_cause = cause if cause is not None else party.hung_up_cause
        if call is None and isinstance(party, Leg):
            self._story.adopt_failed(party, at)
            call = party.call
        if call is not None:
            self._story.end_party(call, party, at)
        else:
            self._story.memory.end(channel.channel_id)

    def _entered(self, event: Event, at: datetime) -> None:
        channel, bridge = event.channel(), event.bridge()
        if channel is None or bridge is None:
            return
        found = self._story.memory.find(channel.channel_id)
        if found is None:
            return
        self._story.memory.holding[bridge.bridge_id] = bridge.is_holding
        while len(self._story.memory.holding) > MAX_BRIDGES:
            del self._story.memory.holding[next(iter(self._story.memory.holding))]
        found[1].bridge = found[1].last_bridge = bridge.bridge_id
        self._story.seen(channel, at)

    def _left(self, event: Event, at: datetime) -> None:
        channel, bridge = event.channel(), event.bridge()
        found = None if channel is None else self._story.memory.find(channel.channel_id)
        if found is None or bridge is None or channel is None:
            return
        if found[1].bridge == bridge.bridge_id:
            found[1].bridge = None
        self._story.seen(channel, at)

    def _bridge_destroyed(self, event: Event, _at: datetime) -> None:
        bridge = event.bridge()
        if bridge is None:
            return
        self._story.memory.holding.pop(bridge.bridge_id, None)
        for call in self._story.memory.calls.values():
            call.waits_in_bridge = call.waits_in_bridge and wait_bridge(call.name) != bridge.bridge_id
            call.talks_in_bridge = call.talks_in_bridge and talk_bridge(call.name) != bridge.bridge_id

    def _hold(self, event: Event, at: datetime) -> None:
        self._phone_holds(event, at, holds=True)

    def _unhold(self, event: Event, at: datetime) -> None:
        self._phone_holds(event, at, holds=False)

    def _phone_holds(self, event: Event, at: datetime, *, holds: bool) -> None:
        channel = event.channel()
        found = None if channel is None else self._story.memory.find(channel.channel_id)
        if found is None or found[0] is None or not isinstance(found[1], Leg) or found[1].holds_itself is holds:
            return
        call, leg = found
        assert isinstance(leg, Leg)
        leg.holds_itself = holds
        kind = LegHeld if holds else LegRetrieved
        if not leg.hold_told:
            self._story.tell(kind(at=at, call=call.name, leg=leg.leg, device=leg.device))  # type: ignore[union-attr]

    def _digit(self, event: Event, at: datetime) -> None:
        channel = event.channel()
        found = None if channel is None else self._story.memory.find(channel.channel_id)
        digit = event.text("digit")
        if found is not None and found[0] is not None and len(digit) == 1:
            leg = found[1].leg if isinstance(found[1], Leg) else None
            self._story.tell(DigitPressed(at=at, call=found[0].name, digit=digit, leg=leg))

    def _variable(self, event: Event, at: datetime) -> None:
        name, channel = event.text("variable"), event.channel()
        found = None if channel is None else self._story.memory.find(channel.channel_id)
        if found is None or found[0] is None or isinstance(found[1], Leg) or not is_ours(name):
            return
        call = found[0]
        name, value = name.removeprefix(VARIABLE_PREFIX), event.text("value")
        if len(call.attributes) < MAX_VARIABLES or name in call.attributes:
            call.attributes[name] = value
            self._story.tell(AttributesSet(at=at, call=call.name, attributes={name: value}))

    def _device_state(self, event: Event, at: datetime) -> None:
        found = event.object("device_state")
        name, word = found.get("name"), found.get("state")
        device = device_of(name) if isinstance(name, str) else None
        state = DEVICE_STATES.get(word) if isinstance(word, str) else None
        if device is not None and state is not None:
            self._story.tell(DeviceChanged(at=at, device=device, state=state))

    def _endpoint_state(self, event: Event, at: datetime) -> None:
        device = to_device(event.object("endpoint"))
        if device is not None:
            self._story.tell(DeviceChanged(at=at, device=device.device, state=device.state))

    def _blind_transfer(self, event: Event, at: datetime) -> None:
        giver, target = event.channel(), event.channel("replace_channel")
        if giver is not None and target is not None and event.text("result") == "Success":
            self._take_place(target, giver.channel_id, event.text("exten") or target.peer, at)

    def _attended_transfer(self, event: Event, at: datetime) -> None:
        if event.text("result") != "Success":
            return
        target = event.channel("transfer_target")
        names = ("replace_channel", "destination_link_first_leg", "destination_link_second_leg", "transfer_target")
        places = [place for place in map(event.channel, names) if place is not None]
        givers = [event.channel("transferer_first_leg"), event.channel("transferer_second_leg")]
        giver = next((g for g in givers if g is not None and self._story.memory.find(g.channel_id) is not None), None)
        place = next((p for p in places if self._story.memory.find(p.channel_id) is not None), None)
        if target is None or not places or (giver is None and place is None):
            return
        talks_since = target.created_at or at
        if place is not None:
            self._tell_place(place.channel_id, target.peer, at, talks_since)
        elif giver is not None:
            self._take_place(places[0], giver.channel_id, target.peer, at, talks_since)

    def _take_place(
        self, channel: Channel, replaced: str, device: str, at: datetime, talks_since: datetime | None = None
    ) -> None:
        """Another channel is where an agent's was, or the customer's.

        Of an attended transfer (``Local/_attended@transfer``) it is said a moment later who is there.
        """
        found = self._story.memory.find(replaced)
        if found is None or self._story.memory.is_over(channel.channel_id):
            return
        call, party = found
        if call is None:
            return
        bridge = party.bridge or party.last_bridge
        if not isinstance(party, Leg):
            self._story.memory.set_customer(call, Party(channel.channel_id, up_at=party.up_at, bridge=bridge))
            return
        if self._story.memory.find(channel.channel_id) is None:
            leg = Leg(channel.channel_id, bridge=bridge, leg=channel.channel_id, initiated_at=at, joined_at=at)
            leg.call, leg.got_from = call, party.leg
            party.gave_to = leg.leg
            self._story.memory.add_leg(leg)
            self._story.observe(leg, channel, at)
        if not device.startswith("_attended") or talks_since is not None:
            self._tell_place(channel.channel_id, device, at, talks_since)

    def _tell_place(self, channel: str, device: str, at: datetime, talks_since: datetime | None) -> None:
        """It is known who took an agent's place."""
        found = self._story.memory.find(channel)
        if found is None or found[0] is None or not isinstance(found[1], Leg):
            return
        call, leg = found[0], found[1]
        if leg.device or leg.got_from is None:
            return
        leg.device = device
        if talks_since is not None:
            # They have talked before; since when is not said.
            leg.initiated_at, leg.up_at = min(talks_since, at), at - timedelta(milliseconds=1)
        self._story.tell_leg(call, leg)
        if talks_since is not None:
            self._story.tell_answered(call, leg, leg.up_at or at)
        transferred = CallTransferred(at=at, call=call.name, leg=leg.leg, device=device, from_leg=leg.got_from)
        self._story.tell(transferred)
        self._story.review(call, at)
