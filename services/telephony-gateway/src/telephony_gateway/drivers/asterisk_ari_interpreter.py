"""Asterisk's REST interface (ARI) as the gateway understands it: a pure `Interpreter`.

A connection is a WebSocket with the events of one Stasis application, and REST requests beside it. Who enters the
application with ``Stasis(APPLICATION,inbound,DID,name=value...)`` is a customer; agents are channels that the
application originates. What is up is asked once the WebSocket is there, and events wait until that is answered.

Rules, from what real ones do (16 to 22):

* Order holds within a channel only. So each event is a fact with a time, and what is told follows from all facts.
* An agent is connected once both channels are up and in one bridge that is no holding bridge; it counts from the
  pick-up.
* A channel is over with `ChannelDestroyed` or `StasisEnd`, whichever comes: customers have only the latter.
* Who hung up is whose channel had the first `ChannelHangupRequest` that is not ``soft``.
* A phone's transfer puts another channel in the place of the agent's (``replace_channel``): the target's leg.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from telephony_gateway.domain.pbx_commands import Command, Connect, Originate
from telephony_gateway.domain.pbx_events import (
    AttributesSet,
    CallCleared,
    CallConferenced,
    CallEvent,
    CallOffered,
    CallTransferred,
    CommandDone,
    CommandRefused,
    ConnectionLost,
    ConnectionUp,
    CustomerAlerting,
    CustomerAnswered,
    CustomerFailed,
    CustomerWaits,
    DeviceChanged,
    DigitPressed,
    LegAlerting,
    LegAnswered,
    LegCleared,
    LegDiverted,
    LegFailed,
    LegHeld,
    LegInitiated,
    LegRetrieved,
    LiveCall,
    LiveDevice,
    LiveLeg,
    PbxEvent,
)
from telephony_gateway.domain.words import DeviceState, Direction, FailureReason, LegState
from telephony_gateway.domain.words import Party as Who
from telephony_gateway.drivers.asterisk_ari_calls import (
    AGENT,
    CUSTOMER,
    TALK,
    WAIT,
    Call,
    Leg,
    Memory,
    Outgoing,
    Party,
    Purpose,
    our_names,
    talk_bridge,
    wait_bridge,
)
from telephony_gateway.drivers.asterisk_ari_control import VARIABLE_PREFIX, Control, Refusal, Say
from telephony_gateway.drivers.asterisk_ari_messages import (
    DEVICE_STATES,
    MAX_MESSAGE,
    Bridge,
    Channel,
    Event,
    Malformed,
    Request,
    delete,
    device_of,
    get,
    post,
    read_json,
    to_bridge,
    to_channel,
    to_event,
    to_moment,
    to_request,
)
from telephony_gateway.drivers.interpreter import Outbox, Wire

log = logging.getLogger(__name__)

APPLICATION = "contactcentre"
INBOUND = "inbound"
DIVERTED_FROM = "diverted_from"
REPLACED = "another gateway took over"
SNAPSHOT_S = 10.0
MAX_WAITING_EVENTS = 20_000
"""While the answers to what is up are awaited."""
MAX_BRIDGES = 40_000
MAX_PENDING = 10_000
AT_ONCE = timedelta(seconds=1)
"""What follows within this time was meant together: the customer is hung up because the agent hung up, the agent leaves
because the customer was given to somebody else."""
HOLD_AFTER = timedelta(seconds=0.5)
"""Who takes the customer out of a conversation for less than this does not hold, but gives away."""

TIME_OUT = "time-out"
UNKNOWN = "unknown"
BUSY, ABSENT, REJECTED = 17, 20, 21
"""ITU-T Q.850 causes."""
_NOT_REACHED = frozenset(range(1, 7)) | {18, ABSENT, 22, 25, 27, 28, 34, 38, 41, 42, 44, 47, 50, 57, 58, 63, 65, 66, 79}
EXPLICIT = 32
"""In ``cause`` of a soft `ChannelHangupRequest`: somebody asked for it by name (``AST_SOFTHANGUP_EXPLICIT``)."""
SNAPSHOT = ("channels", "bridges", "endpoints", "applications")


@dataclass
class _Pending:
    """A request whose answer is awaited."""

    request: Request
    say: Say | None
    at: datetime


@dataclass
class _Snapshot:
    """The answers that have come to what is up."""

    asked_at: datetime
    answers: dict[str, Any] = field(default_factory=dict)
    started_at: datetime | None = None
    events: list[bytes] = field(default_factory=list)


class AsteriskAriInterpreter:
    """See `interpreter.Interpreter`."""

    def __init__(self, application: str = APPLICATION) -> None:
        self.set_aside: Counter[str] = Counter()
        """Messages that made no sense or had no place, by reason."""
        self._application = application
        self._control = Control(application)
        self._memory = Memory()
        self._outbox = Outbox()
        self._pending: dict[str, _Pending] = {}
        self._exchanges = 0
        self._snapshot: _Snapshot | None = None
        self._up = False
        self._open = False
        self._heard_at: datetime | None = None
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
            "ApplicationReplaced": self._replaced,
        }

    # ---- Interpreter

    def opened(self, at: datetime, *, asks: bool = True) -> None:
        """See `interpreter.Interpreter.opened`. Without asking, what lived goes on: Stasis keeps channels, bridges."""
        if self._open:
            self.lost(at, "another connection")
        self._open = True
        self._outbox.broken = None
        self._pending.clear()
        if asks:
            self._snapshot = _Snapshot(asked_at=at)
            self._ask(get("asterisk", "info", only="status"), at)
            for what in SNAPSHOT:
                self._ask(get(what), at)
        else:
            self._come_up(at, ())

    def heard(self, wire: Wire, at: datetime) -> None:
        """See `interpreter.Interpreter.heard`."""
        try:
            if wire.channel == "rest":
                self._heard_answer(wire, at)
            elif len(wire.data) > MAX_MESSAGE:
                raise Malformed("too long")
            elif self._snapshot is not None:
                self._wait_for_snapshot(wire.data, at)
            elif self._up:
                self._heard_event(to_event(wire.data), at)
        except Malformed as error:
            self._put_aside(str(error))

    def said(self, wire: Wire, at: datetime) -> None:
        """See `interpreter.Interpreter.said`."""
        try:
            self._await(wire.exchange, _Pending(to_request(wire), None, at))
        except Malformed as error:
            self._put_aside(str(error))

    def asks_for_snapshot(self, wire: Wire) -> bool:
        """See `interpreter.Interpreter.asks_for_snapshot`."""
        return wire.method == "GET" and wire.path.partition("?")[0].endswith("/channels")

    def lost(self, at: datetime, reason: str) -> None:
        """See `interpreter.Interpreter.lost`."""
        if self._up:
            heard_at = at if self._heard_at is None else min(at, self._heard_at)
            self._tell(ConnectionLost(at=heard_at, reason=reason))
        self._up = self._open = False
        self._snapshot = None
        self._pending.clear()

    def order(self, commands: Sequence[Command], at: datetime) -> None:
        """See `interpreter.Interpreter.order`."""
        for command in commands:
            try:
                says = self._order(command, at)
            except Refusal as refusal:
                refused = CommandRefused(
                    at=at, command_id=command.command_id, reason=refusal.reason, detail=refusal.detail
                )
                self._tell(refused)
                continue
            if not any(say.decides == command.command_id for say in says):
                self._tell(CommandDone(at=at, command_id=command.command_id))
            self._say(says, at)

    def tick(self, at: datetime) -> None:
        """See `interpreter.Interpreter.tick`."""
        if self._snapshot is not None and (at - self._snapshot.asked_at).total_seconds() > SNAPSHOT_S:
            self._snapshot = None
            self._outbox.broken = "it did not say what is up"
        for call in self._memory.calls.values():
            for leg in call.legs.values():
                self._tell_hold(call, leg, at)

    def take(self) -> Outbox:
        """See `interpreter.Interpreter.take`."""
        outbox, self._outbox = self._outbox, Outbox()
        return outbox

    def call_of(self, exchange: str) -> str:
        """Which call a request is about; those of one call are said one after the other. Empty: about none."""
        pending = self._pending.get(exchange)
        return pending.say.call if pending is not None and pending.say is not None else ""

    # ---- what is said

    def _order(self, command: Command, at: datetime) -> list[Say]:
        call = self._memory.calls.get(command.call)
        if isinstance(command, Originate):
            return [] if call is not None else self._originate(command, at)
        if call is None:
            raise Refusal("no-such-call")
        if isinstance(command, Connect) and call.leg(command.leg) is not None:
            return []
        return self._control.order(call, command)

    def _originate(self, command: Originate, at: datetime) -> list[Say]:
        says = self._control.originate(command)
        self._memory.add_call(Call(command.call, Direction.OUTBOUND, at, dialled=command.number, trunk=command.trunk))
        self._tell_offered(self._memory.calls[command.call])
        return says

    def _say(self, says: Sequence[Say], at: datetime) -> None:
        for say in says:
            self._ask(say.request, at, say)

    def _ask(self, request: Request, at: datetime, say: Say | None = None) -> None:
        self._exchanges += 1
        exchange = f"gateway-{self._exchanges}"
        self._await(exchange, _Pending(request, say, at))
        self._outbox.says.append(request.wire(exchange))

    def _await(self, exchange: str, pending: _Pending) -> None:
        """Whoever made the request, this gateway or one that was recorded: it counts as ours."""
        self._pending[exchange] = pending
        while len(self._pending) > MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        match pending.request:
            case Request("DELETE", ("channels", channel)):
                found = self._memory.find(channel)
                if found is not None:
                    found[1].ended_by_us = True
            case Request("POST", ("channels", "create") | ("channels",), query) if "channelId" in query:
                self._originated(query["channelId"], query, pending.at)
            case Request("POST", ("channels", channel), query) if "endpoint" in query:
                self._originated(channel, query, pending.at)

    def _originated(self, channel: str, query: Mapping[str, str], at: datetime) -> None:
        arguments = tuple(query.get("appArgs", "").split(","))
        technology, _, dialled = query.get("endpoint", "").partition("/")
        if technology == "Local":
            dialled = dialled.partition("@")[0]
        self._outgoing(channel, dialled, arguments, query.get("callerId", ""), query.get("originator", ""), at)

    # ---- what is answered

    def _heard_answer(self, wire: Wire, at: datetime) -> None:
        pending = self._pending.pop(wire.exchange, None)
        if pending is None:
            raise Malformed("answer to nothing")
        done = 200 <= wire.status < 300
        match pending.request:
            case Request("GET", ("asterisk", "info")):
                if self._snapshot is not None and done:
                    self._snapshot.started_at = _started_at(read_json(wire.data))
            case Request("GET", (what,)) if what in SNAPSHOT:
                self._heard_list(what, wire, at, done=done)
            case Request("POST", ("channels", channel) | ("channels", "create" as channel), query) if (
                "endpoint" in query
            ):
                self._heard_originated(query.get("channelId", channel), wire, at, done=done)
        if pending.say is not None and pending.say.decides is not None:
            self._decide(pending, wire, at, done=done)

    def _heard_originated(self, channel: str, wire: Wire, at: datetime, *, done: bool) -> None:
        if done:
            self._seen(to_channel(read_json(wire.data)), at)
            return
        found = self._memory.find(channel)
        if found is None or wire.status in (0, 409):
            return  # nobody knows, or it is there already
        call, party = found
        if isinstance(party, Leg) and call is None:
            self._adopt_failed(party, at)
            call = party.call
        if call is not None:
            party.hung_up_cause = party.hung_up_cause or ABSENT
            self._end_party(call, party, at)

    def _decide(self, pending: _Pending, wire: Wire, at: datetime, *, done: bool) -> None:
        assert pending.say is not None
        assert pending.say.decides is not None
        ends = pending.request.method == "DELETE"
        # A channel that is there already was asked for before; one that is not there any more need not be ended.
        if done or (ends and wire.status == 404) or (not ends and wire.status == 409):
            self._tell(CommandDone(at=at, command_id=pending.say.decides))
        elif wire.status:
            reason = "no-such-device" if "endpoint" in pending.request.query else "wrong-state"
            detail = f"{wire.status} {_message(wire.data)}"
            self._tell(CommandRefused(at=at, command_id=pending.say.decides, reason=reason, detail=detail))

    # ---- what is up

    def _wait_for_snapshot(self, data: bytes, at: datetime) -> None:
        assert self._snapshot is not None
        if b"ApplicationReplaced" in data:
            self._heard_event(to_event(data), at)
        if len(self._snapshot.events) >= MAX_WAITING_EVENTS:
            self._outbox.broken = "too much happens before it says what is up"
            return
        self._snapshot.events.append(data)

    def _heard_list(self, what: str, wire: Wire, at: datetime, *, done: bool) -> None:
        snapshot = self._snapshot
        if snapshot is None:
            return
        found = read_json(wire.data) if done else None
        if not isinstance(found, list):
            self._outbox.broken = f"no list of {what}: {wire.status} {_message(wire.data)}"
            return
        snapshot.answers[what] = found
        if not all(name in snapshot.answers for name in SNAPSHOT):
            return
        self._snapshot = None
        channels = {channel.channel_id: channel for channel in self._each(snapshot.answers["channels"], to_channel)}
        bridges = self._each(snapshot.answers["bridges"], to_bridge)
        self._lay_over(channels, bridges, _members(snapshot.answers["applications"], self._application), at)
        self._come_up(at, self._each(snapshot.answers["endpoints"], _to_device), snapshot.started_at)
        self._ask(post("applications", self._application, "subscription", eventSource="deviceState:"), at)
        for data in snapshot.events:
            try:
                self._heard_event(to_event(data), at)
            except Malformed as error:
                self._put_aside(str(error))

    def _each(self, found: list[Any], read: Callable[[Any], Any]) -> list[Any]:
        things = []
        for row in found:
            try:
                thing = read(row)
            except Malformed as error:
                self._put_aside(str(error))
            else:
                if thing is not None:
                    things.append(thing)
        return things

    def _lay_over(
        self, channels: Mapping[str, Channel], bridges: list[Bridge], members: frozenset[str] | None, at: datetime
    ) -> None:
        """Forget what is gone, see what is there, adopt what is new."""
        for name in [name for name in self._memory.channels if name not in channels]:
            self._memory.end(name)
        for call in list(self._memory.calls.values()):
            if call.customer is not None and call.customer.channel not in channels:
                call.customer = None
                if call.direction is Direction.INBOUND or not call.legs:
                    self._memory.end_call(call)
            elif call.customer is None and not call.legs:
                self._memory.end_call(call)
        self._memory.holding = {bridge.bridge_id: bridge.is_holding for bridge in bridges[:MAX_BRIDGES]}
        where = {channel: bridge.bridge_id for bridge in bridges for channel in bridge.channels}
        ordered = sorted(channels.values(), key=lambda channel: channel.created_at or at)
        for channel in ordered:
            if self._memory.find(channel.channel_id) is None:
                self._adopt(channel, members, at)
        for channel in ordered:
            found = self._memory.find(channel.channel_id)
            if found is not None:
                found[1].bridge = where.get(channel.channel_id)
                self._observe(found[1], channel, at)
        for call in self._memory.calls.values():
            call.waits_in_bridge = wait_bridge(call.name) in self._memory.holding
            call.talks_in_bridge = talk_bridge(call.name) in self._memory.holding
        self._bind_orphans(at)
        for call in self._memory.calls.values():
            for leg in call.legs.values():
                self._presume_joined(call, leg)

    def _presume_joined(self, call: Call, leg: Leg) -> None:
        """An agent of ours who is where they talk had the customer, who was only put on hold."""
        there = leg.up_at is not None and leg.bridge == talk_bridge(call.name)
        if there and leg.joined_at is None and leg.purpose not in (None, Purpose.CONSULT):
            leg.joined_at = leg.up_at
            leg.told.add("answered")

    def _adopt(self, channel: Channel, members: frozenset[str] | None, at: datetime) -> None:
        named = our_names(channel.channel_id)
        if members is not None and channel.channel_id not in members and named is None:
            return
        inside = channel.application == "Stasis" and channel.arguments[:1] == (self._application,)
        arguments = channel.arguments[1:] if inside else ()
        if named is not None and not arguments:
            arguments = (named[0], named[1])
        if arguments[:1] in ((AGENT,), (CUSTOMER,)):
            created_at = channel.created_at or at
            self._outgoing(channel.channel_id, channel.peer, arguments, channel.connected, "", created_at)
        elif inside and arguments:
            self._offer(channel, arguments, channel.created_at or at)

    def _come_up(self, at: datetime, devices: Sequence[LiveDevice], started_at: datetime | None = None) -> None:
        self._up = True
        self._heard_at = at
        live = tuple(self._live_call(call) for call in self._memory.calls.values())
        self._tell(ConnectionUp(at=at, calls=live, devices=tuple(devices), started_at=started_at))
        for call in list(self._memory.calls.values()):
            for leg in call.legs.values():
                leg.told |= {"initiated"}
            self._review(call, at)
            self._look_after(call, at)
        # Of calls that are over:
        for leg in self._memory.orphans():
            if our_names(leg.channel) is not None:
                self._ask(delete("channels", leg.channel, reason="normal"), at)
        for bridge in self._memory.holding:
            role, _, name = bridge.partition("~")
            if role in (TALK, WAIT) and name not in self._memory.calls:
                self._ask(delete("bridges", bridge), at)

    def _live_call(self, call: Call) -> LiveCall:
        customer = call.customer
        return LiveCall(
            call=call.name,
            direction=call.direction,
            dialled=call.dialled,
            from_number=call.number or None,
            from_name=call.caller_name,
            trunk=call.trunk,
            diverted_from=call.diverted_from,
            attributes=dict(call.attributes),
            offered_at=call.offered_at,
            customer_answered_at=customer.up_at if customer and call.direction is Direction.OUTBOUND else None,
            legs=tuple(self._live_leg(call, leg) for leg in call.legs.values()),
        )

    def _live_leg(self, call: Call, leg: Leg) -> LiveLeg:
        held = leg.holds_itself or self._is_put_on_hold(call, leg)
        if leg.answered or self._with_customer(call, leg) or (leg.up_at is not None and leg.consults is not None):
            state = LegState.HELD if held else LegState.CONNECTED
        else:
            state = LegState.INITIATED if leg.ringing_at is None and leg.up_at is None else LegState.ALERTING
        return LiveLeg(
            leg=leg.leg,
            device=leg.device,
            state=state,
            consults=leg.consults if leg.joined_at is None else None,
            initiated_at=leg.initiated_at,
            alerting_at=leg.ringing_at,
            answered_at=leg.up_at if state in (LegState.CONNECTED, LegState.HELD) else None,
            held_since=leg.held_at if state is LegState.HELD else None,
        )

    def _look_after(self, call: Call, at: datetime) -> None:
        """Bring about what would have been done, had nobody been away."""
        customer = call.customer
        if customer is None:
            return
        if customer.bridge is None and not customer.hung_up_itself and call.direction is Direction.INBOUND:
            self._say(self._control.receive(call, answered=customer.up_at is not None), at)
        for leg in call.legs.values():
            if leg.up_at is not None and leg.joined_at is None:
                self._picked_up(call, leg, at)
        if not call.legs and customer.bridge is not None and not self._memory.is_holding(customer.bridge):
            self._say(self._control.wait(call), at)

    # ---- events

    def _heard_event(self, event: Event, received_at: datetime) -> None:
        at = event.at or received_at
        self._heard_at = received_at
        handler = self._handlers.get(event.kind)
        if handler is not None:
            handler(event, at)

    def _replaced(self, event: Event, _at: datetime) -> None:
        if event.text("application") in ("", self._application):
            self._outbox.broken = REPLACED

    def _stasis_start(self, event: Event, at: datetime) -> None:
        channel, replaced = event.channel(), event.channel("replace_channel")
        if channel is None or self._memory.is_over(channel.channel_id):
            return
        if replaced is not None and self._memory.find(replaced.channel_id) is not None:
            self._take_place(channel, replaced.channel_id, channel.peer, at)
            return
        self._enter(channel, event.arguments(), at)

    def _dialplan(self, event: Event, at: datetime) -> None:
        """A passive application with all channels sees this instead of `StasisStart`."""
        channel = event.channel()
        application, *arguments = event.text("dialplan_app_data").split(",")
        if channel is None or event.text("dialplan_app") != "Stasis" or application != self._application:
            return
        if arguments and not self._memory.is_over(channel.channel_id):
            self._enter(channel, tuple(arguments), at)

    def _enter(self, channel: Channel, arguments: tuple[str, ...], at: datetime) -> None:
        """A channel is in the application."""
        found = self._memory.find(channel.channel_id)
        if found is None:
            if arguments[:1] not in ((AGENT,), (CUSTOMER,)):
                self._offer(channel, arguments, at)
                return
            self._outgoing(channel.channel_id, channel.peer, arguments, channel.connected, "", at)
        else:
            self._learn(*found, arguments, at)
        self._seen(channel, at)
        found = self._memory.find(channel.channel_id)
        if found is None or not channel.is_up:
            return
        call, party = found
        if isinstance(party, Leg):
            if call is not None:
                self._picked_up(call, party, at)
            elif our_names(party.channel) is not None:
                self._ask(delete("channels", party.channel, reason="normal"), at)  # its call is over
        elif call is not None and call.outgoing is not None:
            self._say(self._control.customer_answered(call), at)

    def _learn(self, call: Call | None, party: Party, arguments: tuple[str, ...], at: datetime) -> None:
        """Who did not see it originated hears now under which name that was, and for what."""
        if isinstance(party, Leg) and party.purpose is None and our_names(party.channel) is not None:
            self._of_ours(party, arguments, at)
        alias = arguments[1] if len(arguments) > 1 and arguments[0] in (AGENT, CUSTOMER) else ""
        if isinstance(party, Leg):
            party.alias = party.alias or alias
        if call is not None:
            self._memory.name(call, alias)

    def _offer(self, channel: Channel, arguments: tuple[str, ...], at: datetime) -> None:
        """A customer enters."""
        if self._memory.is_full():
            raise Malformed("too many calls")
        plain = [argument for argument in arguments if "=" not in argument]
        named = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
        own = {name.removeprefix(VARIABLE_PREFIX): v for name, v in channel.variables.items() if v and _is_ours(name)}
        dialled = plain[1] if plain[:1] == [INBOUND] and len(plain) > 1 else channel.exten
        diverted_from = named.pop(DIVERTED_FROM, "") or None
        call = Call(
            channel.channel_id,
            Direction.INBOUND,
            at,
            dialled=dialled,
            number=channel.number,
            caller_name=channel.caller_name,
            trunk=channel.peer,
            diverted_from=diverted_from,
            attributes={**own, **named},
            customer=Party(channel.channel_id),
        )
        self._memory.add_call(call)
        if self._up:
            self._tell_offered(call)
            self._say(self._control.receive(call, answered=channel.is_up), at)
        assert call.customer is not None
        self._observe(call.customer, channel, at)

    def _outgoing(
        self, channel: str, dialled: str, arguments: tuple[str, ...], shown: str, originator: str, at: datetime
    ) -> None:
        """A channel that an application called. Somebody beyond a trunk is a customer, a phone is an agent's."""
        if self._memory.find(channel) is not None or self._memory.is_over(channel):
            return
        if self._memory.is_full():
            raise Malformed("too many calls")
        alias = arguments[1] if len(arguments) > 1 and arguments[0] in (AGENT, CUSTOMER) else ""
        if "@" in dialled or arguments[:1] == (CUSTOMER,):
            self._customer_called(channel, dialled.partition("@"), alias, at)
            return
        named = our_names(channel)
        leg = Leg(
            channel=channel,
            leg=named[2] if named is not None else channel,
            device=dialled.rpartition("/")[2],
            alias=alias,
            presented=shown,
            originator=originator,
            initiated_at=at,
        )
        if named is not None and len(arguments) > 2:
            self._of_ours(leg, arguments, at)
        self._memory.add_leg(leg)
        self._bind(leg, at)

    def _of_ours(self, leg: Leg, arguments: tuple[str, ...], at: datetime) -> None:
        """A leg that a gateway of ours called says what it is for."""
        match arguments:
            case [_, call, "dial", number, trunk, timeout_s] if timeout_s.isdecimal() and len(timeout_s) < 6:
                leg.purpose = Purpose.DIAL
                known = self._memory.calls.get(call)
                if known is None:
                    known = Call(call, Direction.OUTBOUND, at, dialled=number, trunk=trunk)
                    self._memory.add_call(known)
                known.outgoing = Outgoing(number, trunk, int(timeout_s))
            case [_, _, purpose, other] if purpose in set(Purpose):
                leg.purpose = Purpose(purpose)
                leg.consults = other if leg.purpose is Purpose.CONSULT else None
            case [_, _, purpose] if purpose in set(Purpose):
                leg.purpose = Purpose(purpose)

    def _customer_called(self, channel: str, dialled: tuple[str, str, str], alias: str, at: datetime) -> None:
        """We dial out: the agent is there already."""
        number, _, trunk = dialled
        call = self._memory.by_alias(alias) if alias else None
        agents = [leg for leg in self._memory.orphans() if alias and leg.alias == alias]
        if call is None:
            since = min((leg.initiated_at for leg in agents if leg.initiated_at is not None), default=at)
            call = Call(alias or channel, Direction.OUTBOUND, since, dialled=number, trunk=trunk)
            self._memory.add_call(call)
            self._tell_offered(call)
        self._memory.set_customer(call, Party(channel))
        self._memory.name(call, alias)
        self._bind_orphans(at)
        self._review(call, at)

    def _dial(self, event: Event, at: datetime) -> None:
        peer = event.channel("peer")
        if peer is None or event.channel("caller") is not None or self._memory.is_over(peer.channel_id):
            return  # the dialplan dials for somebody
        if self._memory.find(peer.channel_id) is None and event.text("dialstring"):
            dialled = peer.peer if peer.name.startswith("Local/") else event.text("dialstring")
            self._outgoing(peer.channel_id, dialled, (), peer.connected, "", at)
        found = self._memory.find(peer.channel_id)
        if found is None:
            return
        call, party = found
        party.dial_status = event.text("dialstatus") or party.dial_status
        if isinstance(party, Leg) and party.initiated_at is not None:
            party.initiated_at = min(party.initiated_at, at)
            party.presented = party.presented or peer.connected
        if event.text("dialstatus") == "RINGING":
            party.ringing_at = at if party.ringing_at is None else min(party.ringing_at, at)
        self._seen(peer, at)
        if event.text("forward") and call is not None and isinstance(party, Leg):
            to = event.text("forward").partition("@")[0].rpartition("/")[2]
            self._diverted(call, party, to, event.channel("forwarded"), at)

    def _diverted(self, call: Call, leg: Leg, to: str, place: Channel | None, at: datetime) -> None:
        """The phone passes the call on (302): Asterisk calls somebody else in its place, for the same purpose."""
        self._memory.end(leg.channel)
        self._tell(LegDiverted(at=at, call=call.name, leg=leg.leg, device=leg.device, to=to))
        if place is not None and self._memory.find(place.channel_id) is None:
            heir = Leg(place.channel_id, leg=place.channel_id, device=to, purpose=leg.purpose, initiated_at=at)
            heir.alias, heir.consults = leg.alias, leg.consults
            self._memory.add_leg(heir)
            self._bind_to(heir, call, at)

    def _channel_changed(self, event: Event, at: datetime) -> None:
        channel = event.channel()
        if channel is not None:
            self._seen(channel, at)

    def _seen(self, channel: Channel, at: datetime) -> None:
        found = self._memory.find(channel.channel_id)
        if found is None:
            return
        call, party = found
        self._observe(party, channel, at)
        if call is None and isinstance(party, Leg):
            self._bind(party, at)
        elif call is not None:
            self._review(call, at)

    def _observe(self, party: Party, channel: Channel, at: datetime) -> None:
        if channel.rings:
            party.ringing_at = at if party.ringing_at is None else min(party.ringing_at, at)
        elif channel.is_up:
            party.up_at = at if party.up_at is None else min(party.up_at, at)

    def _hangup_request(self, event: Event, at: datetime) -> None:
        channel = event.channel()
        found = None if channel is None else self._memory.find(channel.channel_id)
        if found is None or found[1].hung_up_at is not None:
            return
        party = found[1]
        party.hung_up_at = at
        party.hung_up_itself = not event.flag("soft")
        party.hung_up_cause = event.number("cause")

    def _channel_end(self, event: Event, at: datetime) -> None:
        channel = event.channel()
        found = None if channel is None else self._memory.find(channel.channel_id)
        if found is None or channel is None:
            return
        call, party = found
        self._observe(party, channel, at)
        cause = event.number("cause")
        party.hung_up_cause = cause if cause is not None else party.hung_up_cause
        if call is None and isinstance(party, Leg):
            self._adopt_failed(party, at)
            call = party.call
        if call is not None:
            self._end_party(call, party, at)
        else:
            self._memory.end(channel.channel_id)

    def _entered(self, event: Event, at: datetime) -> None:
        channel, bridge = event.channel(), event.bridge()
        if channel is None or bridge is None:
            return
        found = self._memory.find(channel.channel_id)
        if found is None:
            return
        self._memory.holding[bridge.bridge_id] = bridge.is_holding
        while len(self._memory.holding) > MAX_BRIDGES:
            del self._memory.holding[next(iter(self._memory.holding))]
        found[1].bridge = found[1].last_bridge = bridge.bridge_id
        self._seen(channel, at)

    def _left(self, event: Event, at: datetime) -> None:
        channel, bridge = event.channel(), event.bridge()
        found = None if channel is None else self._memory.find(channel.channel_id)
        if found is None or bridge is None or channel is None:
            return
        if found[1].bridge == bridge.bridge_id:
            found[1].bridge = None
        self._seen(channel, at)

    def _bridge_destroyed(self, event: Event, _at: datetime) -> None:
        bridge = event.bridge()
        if bridge is None:
            return
        self._memory.holding.pop(bridge.bridge_id, None)
        for call in self._memory.calls.values():
            call.waits_in_bridge = call.waits_in_bridge and wait_bridge(call.name) != bridge.bridge_id
            call.talks_in_bridge = call.talks_in_bridge and talk_bridge(call.name) != bridge.bridge_id

    def _hold(self, event: Event, at: datetime) -> None:
        self._phone_holds(event, at, holds=True)

    def _unhold(self, event: Event, at: datetime) -> None:
        self._phone_holds(event, at, holds=False)

    def _phone_holds(self, event: Event, at: datetime, *, holds: bool) -> None:
        channel = event.channel()
        found = None if channel is None else self._memory.find(channel.channel_id)
        if found is None or found[0] is None or not isinstance(found[1], Leg) or found[1].holds_itself is holds:
            return
        call, leg = found
        assert isinstance(leg, Leg)
        leg.holds_itself = holds
        kind = LegHeld if holds else LegRetrieved
        if not leg.hold_told:
            self._tell(kind(at=at, call=call.name, leg=leg.leg, device=leg.device))  # type: ignore[union-attr]

    def _digit(self, event: Event, at: datetime) -> None:
        channel = event.channel()
        found = None if channel is None else self._memory.find(channel.channel_id)
        digit = event.text("digit")
        if found is not None and found[0] is not None and len(digit) == 1:
            leg = found[1].leg if isinstance(found[1], Leg) else None
            self._tell(DigitPressed(at=at, call=found[0].name, digit=digit, leg=leg))

    def _variable(self, event: Event, at: datetime) -> None:
        name, channel = event.text("variable"), event.channel()
        found = None if channel is None else self._memory.find(channel.channel_id)
        if found is None or found[0] is None or isinstance(found[1], Leg) or not _is_ours(name):
            return
        call = found[0]
        name, value = name.removeprefix(VARIABLE_PREFIX), event.text("value")
        if len(call.attributes) < 100 or name in call.attributes:
            call.attributes[name] = value
            self._tell(AttributesSet(at=at, call=call.name, attributes={name: value}))

    def _device_state(self, event: Event, at: datetime) -> None:
        found = event.object("device_state")
        name, word = found.get("name"), found.get("state")
        device = device_of(name) if isinstance(name, str) else None
        state = DEVICE_STATES.get(word) if isinstance(word, str) else None
        if device is not None and state is not None:
            self._tell(DeviceChanged(at=at, device=device, state=state))

    def _endpoint_state(self, event: Event, at: datetime) -> None:
        device = _to_device(event.object("endpoint"))
        if device is not None:
            self._tell(DeviceChanged(at=at, device=device.device, state=device.state))

    # ---- transfers by phones

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
        giver = next((g for g in givers if g is not None and self._memory.find(g.channel_id) is not None), None)
        place = next((p for p in places if self._memory.find(p.channel_id) is not None), None)
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
        found = self._memory.find(replaced)
        if found is None or found[0] is None or self._memory.is_over(channel.channel_id):
            return
        call, party = found
        bridge = party.bridge or party.last_bridge
        if not isinstance(party, Leg):
            self._memory.set_customer(call, Party(channel.channel_id, up_at=party.up_at, bridge=bridge))
            return
        if self._memory.find(channel.channel_id) is None:
            leg = Leg(channel.channel_id, bridge=bridge, leg=channel.channel_id, initiated_at=at, joined_at=at)
            leg.call, leg.got_from = call, party.leg
            party.gave_to = leg.leg
            self._memory.add_leg(leg)
            self._observe(leg, channel, at)
        if not device.startswith("_attended") or talks_since is not None:
            self._tell_place(channel.channel_id, device, at, talks_since)

    def _tell_place(self, channel: str, device: str, at: datetime, talks_since: datetime | None) -> None:
        """It is known who took an agent's place."""
        found = self._memory.find(channel)
        if found is None or found[0] is None or not isinstance(found[1], Leg):
            return
        call, leg = found[0], found[1]
        if leg.device or leg.got_from is None:
            return
        leg.device = device
        if talks_since is not None:
            # They have talked before; since when is not said.
            leg.initiated_at, leg.up_at = min(talks_since, at), at - timedelta(milliseconds=1)
        self._tell_leg(call, leg)
        if talks_since is not None:
            self._tell_answered(call, leg, leg.up_at or at)
        transferred = CallTransferred(at=at, call=call.name, leg=leg.leg, device=device, from_leg=leg.got_from)
        self._tell(transferred)
        self._review(call, at)

    # ---- which leg is whose

    def _bind_orphans(self, at: datetime) -> None:
        for leg in self._memory.orphans():
            self._bind(leg, at)

    def _bind(self, leg: Leg, at: datetime) -> None:
        call = leg.call or self._memory.call_of(leg)
        if call is not None:
            self._bind_to(leg, call, at)

    def _bind_to(self, leg: Leg, call: Call, at: datetime) -> None:
        self._memory.bind(leg, call)
        if call.gives is not None and leg.purpose is Purpose.TRANSFER and call.gives[0] == leg.leg:
            self._tell_leg(call, leg)
            self._give(call, leg, call.leg(call.gives[1]), at, Who.GATEWAY)
        if leg.purpose is None and leg.consults is None:
            asking = next(
                (o for o in call.legs.values() if o.device == leg.presented and o.joined_at is not None), None
            )
            leg.consults = asking.leg if asking is not None and asking is not leg else None
            self._inferred_transfer(call, leg, at)
        self._review(call, at)

    def _inferred_transfer(self, call: Call, leg: Leg, at: datetime) -> None:
        """Somebody else's gateway took one agent away and at once called another: it gave the customer away."""
        gone = call.left_by
        if gone is None or call.left_at is None or gone.hung_up_itself or not gone.ended_by_us:
            return
        if at - call.left_at <= AT_ONCE and call.direction is Direction.INBOUND:
            self._tell_leg(call, leg)
            self._give(call, leg, gone, at, Who.GATEWAY)

    def _adopt_failed(self, leg: Leg, at: datetime) -> None:
        """A leg ends and nothing said to which call it belonged: somebody was called for a customer not yet dialled."""
        self._bind(leg, at)
        if leg.call is not None or our_names(leg.channel) is not None or not leg.presented:
            return
        call = Call(leg.alias or leg.channel, Direction.OUTBOUND, leg.initiated_at or at, dialled=leg.presented)
        self._memory.add_call(call)
        self._tell_offered(call)
        self._bind_to(leg, call, at)

    # ---- what follows from the facts

    def _with_customer(self, call: Call, leg: Leg) -> bool:
        customer = call.customer
        return (
            customer is not None
            and customer.up_at is not None
            and customer.bridge is not None
            and leg.up_at is not None
            and leg.bridge == customer.bridge
            and not self._memory.is_holding(leg.bridge)
        )

    def _is_put_on_hold(self, call: Call, leg: Leg) -> bool:
        """The gateway lets the customer wait while the agent stays where they talked."""
        customer = call.customer
        return (
            leg.joined_at is not None
            and leg.bridge is not None
            and leg.gave_to is None
            and customer is not None
            and self._memory.is_holding(customer.bridge)
        )

    def _review(self, call: Call, at: datetime) -> None:
        """Tell what has become true and was not told."""
        if call.direction is Direction.OUTBOUND and call.customer is not None:
            self._tell_customer(call, call.customer)
        for leg in list(call.legs.values()):
            self._tell_leg(call, leg)
            if leg.up_at is None or not leg.device:
                continue
            if self._with_customer(call, leg):
                self._joined(call, leg, at)
            elif leg.joined_at is None:
                self._talks_elsewhere(call, leg)
            elif leg.held_at is None and self._is_put_on_hold(call, leg):
                leg.held_at, leg.hold_told, leg.retrieved_at = at, False, None
            self._tell_hold(call, leg, at)
        customer = call.customer
        if (
            customer is not None
            and call.left_by is not None
            and self._memory.is_holding(customer.bridge)
            and "waiting" not in call.left_by.told
            and not any(leg.joined_at and leg.gave_to is None for leg in call.legs.values())
        ):
            call.left_by.told.add("waiting")
            self._tell(CustomerWaits(at=at, call=call.name))

    def _joined(self, call: Call, leg: Leg, at: datetime) -> None:
        assert leg.up_at is not None
        if leg.joined_at is None:
            others = [other for other in call.legs.values() if other is not leg and self._with_customer(call, other)]
            leg.joined_at = at
            call.left_by = None
            self._tell_answered(call, leg, leg.up_at if at - leg.up_at <= AT_ONCE or leg.consults else at)
            if call.gives is not None and call.gives[0] == leg.leg:
                giver = call.leg(call.gives[1])
                self._give(call, leg, giver, at, Who.GATEWAY)
            elif leg.consults is not None or others:
                self._tell(CallConferenced(at=at, call=call.name, leg=leg.leg, device=leg.device))
        elif not leg.answered:
            self._tell_answered(call, leg, leg.up_at)
        if leg.held_at is not None and leg.retrieved_at is None:
            leg.retrieved_at = at

    def _talks_elsewhere(self, call: Call, leg: Leg) -> None:
        """Picked up, and not with the customer: another agent's consultation, or the one for whom we dial."""
        assert leg.up_at is not None
        asking = next(
            (
                other
                for other in call.legs.values()
                if other.joined_at is not None and other.bridge is not None and other.bridge == leg.bridge
            ),
            None,
        )
        if asking is not None and leg.purpose in (None, Purpose.CONSULT):
            if leg.consults is None:
                leg.consults = asking.leg
                leg.told.discard("initiated")
                self._tell_leg(call, leg)
            self._tell_answered(call, leg, leg.up_at)
        elif call.direction is Direction.OUTBOUND and leg.purpose in (None, Purpose.DIAL):
            self._tell_answered(call, leg, leg.up_at)

    def _give(self, call: Call, leg: Leg, giver: Leg | None, at: datetime, by: Who) -> None:
        call.gives = None
        if giver is not None:
            giver.gave_to = leg.leg
        from_leg = giver.leg if giver is not None else None
        self._tell(CallTransferred(at=at, call=call.name, leg=leg.leg, device=leg.device, from_leg=from_leg, by=by))

    def _picked_up(self, call: Call, leg: Leg, at: datetime) -> None:
        """An agent whom we called is there: do what they were called for."""
        customer = call.customer
        match leg.purpose:
            case None:
                return  # somebody else's
            case Purpose.DIAL if customer is None:
                self._say(self._control.dial_customer(call, leg), at)
            case Purpose.DIAL if customer is not None and customer.up_at is not None and leg.joined_at is None:
                self._say(self._control.customer_answered(call), at)
            case Purpose.CONSULT:
                self._say(self._control.talk(call, leg), at)
            case Purpose.CONNECT | Purpose.TRANSFER if self._is_taken(call, leg):
                self._say(self._control.end(call, leg), at)
            case Purpose.CONNECT | Purpose.TRANSFER | Purpose.CONFERENCE if customer is not None:
                self._say(self._control.talk(call, customer, leg), at)

    def _is_taken(self, call: Call, leg: Leg) -> bool:
        """Two agents never get one call, whatever crosses."""
        return any(other is not leg and self._with_customer(call, other) for other in call.legs.values())

    # ---- ends

    def _end_party(self, call: Call, party: Party, at: datetime) -> None:
        if isinstance(party, Leg):
            self._end_leg(call, party, at)
        else:
            self._end_customer(call, party, at)

    def _end_leg(self, call: Call, leg: Leg, at: datetime) -> None:
        leg.device = leg.device or UNKNOWN
        self._tell_leg(call, leg)
        self._memory.end(leg.channel)
        cause = _cause(leg)
        if leg.answered:
            self._tell_hold(call, leg, at)
            self._tell(LegCleared(at=at, call=call.name, leg=leg.leg, device=leg.device, cause=cause))
        else:
            reason = _failure(leg)
            if reason in (FailureReason.BUSY, FailureReason.DECLINED) and leg.ringing_at is None:
                # The phone itself said so: it was reached.
                leg.ringing_at = leg.initiated_at
                self._tell_leg(call, leg)
            self._tell(LegFailed(at=at, call=call.name, leg=leg.leg, device=leg.device, reason=reason, cause=cause))
        if call.customer is None:
            if not call.legs:
                timed_out = not leg.answered and _failure(leg) is FailureReason.NO_ANSWER
                by = Who.GATEWAY if timed_out or leg.ended_by_us else Who.AGENT if leg.hung_up_itself else Who.PBX
                self._clear(call, at, by, leg if by is Who.AGENT else None, TIME_OUT if timed_out else cause)
            return
        self._left_alone(call, leg, at)

    def _left_alone(self, call: Call, leg: Leg, at: datetime) -> None:
        """An agent is gone. If others talk on, or the customer was given to somebody, there is nothing to do."""
        customer = call.customer
        assert customer is not None
        if leg.gave_to is not None or customer.hung_up_itself:
            return
        heir = self._heir(call, leg, at)
        if heir is not None:
            by = Who.AGENT if leg.hung_up_itself else Who.GATEWAY
            self._give(call, heir, leg, heir.joined_at or at, by)
            if not self._with_customer(call, heir) and heir.up_at is not None:
                self._say(self._control.talk(call, customer, heir), at)
            return
        if any(other.joined_at is not None and other.gave_to is None for other in call.legs.values()):
            return
        if not leg.answered:
            if call.direction is Direction.INBOUND:
                self._tell(CustomerWaits(at=at, call=call.name))
                if customer.bridge is not None and not self._memory.is_holding(customer.bridge):
                    self._say(self._control.wait(call), at)
            return
        call.left_by, call.left_at = leg, at
        if call.gives is not None and call.gives[1] == leg.leg:
            return
        if leg.hung_up_itself or call.direction is Direction.OUTBOUND:
            # The agent hangs up: the conversation is over.
            ended = self._control.end(call, customer)
            customer.ended_by_us = False
            self._say(ended, at)
        elif not self._memory.is_holding(customer.bridge):
            self._say(self._control.wait(call), at)

    def _heir(self, call: Call, leg: Leg, at: datetime) -> Leg | None:
        """Who has the customer because this agent left: whom they consulted, if both were together just now."""
        for other in call.legs.values():
            if other.consults != leg.leg:
                continue
            if other.joined_at is not None and at - other.joined_at <= AT_ONCE:
                return other
            if other.joined_at is None and leg.hung_up_itself and leg.purpose is not None:
                return other  # who hangs up while consulting hands over
        return None

    def _end_customer(self, call: Call, customer: Party, at: datetime) -> None:
        if call.direction is Direction.OUTBOUND and customer.up_at is None:
            reason = _failure(customer)
            self._tell_customer(call, customer)
            self._tell(CustomerFailed(at=at, call=call.name, reason=reason, cause=_cause(customer)))
            if customer.ended_by_us or call.left_by is not None:
                agent = call.left_by if call.left_by is not None and call.left_by.hung_up_itself else None
                self._clear(call, at, Who.AGENT if agent else Who.GATEWAY, agent, _cause(customer))
            elif reason is FailureReason.NO_ANSWER:
                self._clear(call, at, Who.GATEWAY, None, TIME_OUT)
            else:
                self._clear(call, at, Who.PBX, None, _cause(customer))
            return
        by, agent = self._who_ended(call, customer, at)
        self._clear(call, at, by, agent, _cause(customer))

    def _who_ended(self, call: Call, customer: Party, at: datetime) -> tuple[Who, Leg | None]:
        if customer.hung_up_itself:
            return Who.CUSTOMER, None
        leaver = call.left_by
        if leaver is not None and call.left_at is not None and leaver.hung_up_itself and at - call.left_at <= AT_ONCE:
            return Who.AGENT, leaver
        hung_up = [leg for leg in call.legs.values() if leg.hung_up_itself and leg.joined_at and leg.gave_to is None]
        if hung_up and not customer.ended_by_us:
            return Who.AGENT, hung_up[0]
        if customer.ended_by_us or customer.hung_up_cause == EXPLICIT:
            return Who.GATEWAY, None
        return Who.PBX, None

    def _clear(self, call: Call, at: datetime, by: Who, agent: Leg | None, cause: str) -> None:
        for leg in self._memory.orphans():
            # Somebody who was called for this customer, if anything says so.
            if leg.presented and leg.presented == call.number:
                self._bind_to(leg, call, at)
        for leg in call.legs.values():
            self._tell_leg(call, leg)
        leg_name = agent.leg if agent is not None else None
        self._tell(CallCleared(at=at, call=call.name, by=by, leg=leg_name, cause=cause))
        self._say(self._control.clean_up(call), at)
        self._memory.end_call(call)

    # ---- telling

    def _tell(self, event: PbxEvent) -> None:
        """What is found out while it is looked at what is up is part of `ConnectionUp`."""
        if self._up or not isinstance(event, CallEvent):
            self._outbox.events.append(event)

    def _tell_offered(self, call: Call) -> None:
        self._tell(
            CallOffered(
                at=call.offered_at,
                call=call.name,
                direction=call.direction,
                dialled=call.dialled,
                from_number=call.number or None,
                from_name=call.caller_name,
                trunk=call.trunk,
                diverted_from=call.diverted_from,
                attributes=dict(call.attributes),
            )
        )

    def _tell_customer(self, call: Call, customer: Party) -> None:
        if customer.ringing_at is not None and "alerting" not in customer.told:
            customer.told.add("alerting")
            self._tell(CustomerAlerting(at=customer.ringing_at, call=call.name))
        if customer.up_at is not None and "answered" not in customer.told:
            customer.told.add("answered")
            self._tell(CustomerAnswered(at=customer.up_at, call=call.name))

    def _tell_leg(self, call: Call, leg: Leg) -> None:
        """That it is called, and that it rings."""
        if not leg.device:
            return
        if "initiated" not in leg.told and leg.initiated_at is not None:
            leg.told.add("initiated")
            self._tell(
                LegInitiated(at=leg.initiated_at, call=call.name, leg=leg.leg, device=leg.device, consults=leg.consults)
            )
        if "alerting" not in leg.told and leg.ringing_at is not None:
            leg.told.add("alerting")
            self._tell(LegAlerting(at=leg.ringing_at, call=call.name, leg=leg.leg, device=leg.device))

    def _tell_answered(self, call: Call, leg: Leg, at: datetime) -> None:
        if not leg.answered:
            leg.told.add("answered")
            self._tell(LegAnswered(at=at, call=call.name, leg=leg.leg, device=leg.device))

    def _tell_hold(self, call: Call, leg: Leg, at: datetime) -> None:
        """Of somebody else's leg later: who is taken out of a conversation, or brought back, for a moment only is given
        away. Of our own we know what is meant.
        """
        patience = HOLD_AFTER if leg.purpose is None else timedelta(0)
        if leg.held_at is None or (call.gives is not None and call.gives[1] == leg.leg):
            return
        if not leg.hold_told and (leg.retrieved_at or at) - leg.held_at >= patience:
            leg.hold_told = True
            if not leg.holds_itself:
                held = LegHeld(at=leg.held_at, call=call.name, leg=leg.leg, device=leg.device, by=Who.GATEWAY)
                self._tell(held)
        if leg.retrieved_at is not None and at - leg.retrieved_at >= patience:
            if leg.hold_told and not leg.holds_itself:
                self._tell(LegRetrieved(at=leg.retrieved_at, call=call.name, leg=leg.leg, device=leg.device))
            leg.held_at, leg.hold_told, leg.retrieved_at = None, False, None

    def _put_aside(self, why: str) -> None:
        self.set_aside[why] += 1


def _is_ours(variable: str) -> bool:
    return variable.startswith(VARIABLE_PREFIX) and variable != "CC_CALL_ID"


def _failure(party: Party) -> FailureReason:
    """Why a channel was not answered."""
    cause = party.hung_up_cause
    if cause == BUSY or party.dial_status == "BUSY":
        return FailureReason.BUSY
    if cause == REJECTED:
        return FailureReason.DECLINED
    if party.ended_by_us or (party.hung_up_at is not None and not party.hung_up_itself):
        return FailureReason.CANCELLED
    if cause in _NOT_REACHED or party.ringing_at is None:
        return FailureReason.UNREACHABLE
    return FailureReason.NO_ANSWER


def _cause(party: Party) -> str:
    return "" if party.hung_up_cause is None else str(party.hung_up_cause)


def _started_at(found: Any) -> datetime | None:
    status = found.get("status") if isinstance(found, dict) else None
    return to_moment(status.get("startup_time")) if isinstance(status, dict) else None


def _members(found: list[Any], application: str) -> frozenset[str] | None:
    """The channels in our application; None if it is not listed."""
    for row in found:
        if isinstance(row, dict) and row.get("name") == application and isinstance(row.get("channel_ids"), list):
            return frozenset(channel for channel in row["channel_ids"] if isinstance(channel, str))
    return None


def _to_device(found: Any) -> LiveDevice | None:
    if not isinstance(found, Mapping):
        raise Malformed("endpoint is no object")
    technology, resource = found.get("technology"), found.get("resource")
    device = device_of(f"{technology}/{resource}")
    if device is None:
        return None
    states = {"online": DeviceState.IDLE, "offline": DeviceState.UNREACHABLE}
    word = found.get("state")
    state = states.get(word) if isinstance(word, str) else None
    if state is None:
        return None
    busy = state is DeviceState.IDLE and bool(found.get("channel_ids"))
    return LiveDevice(device=device, state=DeviceState.IN_USE if busy else state)


def _message(data: bytes) -> str:
    """What Asterisk says about a failed request."""
    try:
        found = read_json(data[:10_000])
    except Malformed:
        return ""
    message = found.get("message") if isinstance(found, dict) else None
    return message[:200] if isinstance(message, str) else ""
