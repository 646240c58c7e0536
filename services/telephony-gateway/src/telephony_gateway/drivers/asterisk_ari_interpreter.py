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

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from telephony_gateway.domain.pbx_commands import Command, Connect, Originate
from telephony_gateway.domain.pbx_events import (
    CommandDone,
    CommandRefused,
    ConnectionLost,
    ConnectionUp,
    LiveDevice,
)
from telephony_gateway.domain.words import Direction
from telephony_gateway.drivers.asterisk_ari_calls import Call, Leg
from telephony_gateway.drivers.asterisk_ari_control import Say
from telephony_gateway.drivers.asterisk_ari_events import Hearing
from telephony_gateway.drivers.asterisk_ari_messages import (
    MAX_MESSAGE,
    Event,
    Malformed,
    Request,
    get,
    message_of,
    post,
    read_json,
    started_at_of,
    to_bridge,
    to_channel,
    to_device,
    to_event,
    to_request,
)
from telephony_gateway.drivers.asterisk_ari_snapshot import lay_over, live_call, look_after, members_of, tidy_up
from telephony_gateway.drivers.asterisk_ari_story import ABSENT, Story
from telephony_gateway.drivers.interpreter import Outbox, Refusal, Wire

APPLICATION = "contactcentre"
REPLACED = "another gateway took over"
SNAPSHOT = ("channels", "bridges", "endpoints", "applications")
SNAPSHOT_S = 10.0
MAX_WAITING_EVENTS = 20_000
"""While the answers to what is up are awaited."""
MAX_PENDING = 10_000
NOT_FOUND, CONFLICT = 404, 409
"""HTTP."""

HEARTBEAT = "cordboard-heartbeat"
DEAF = "its events do not reach us"
BEATS = (0.0, 0.5, 0.5, 0.5, 1.0, 1.0, 2.0)
"""Pauses in seconds between heartbeats, the last one again and again. A heartbeat is a user event of our application
that has to come back over the WebSocket: an Asterisk that tidies up after a gateway which went just when this one came
forgets the application, and leaves the connection open and silent (seen with 22 in 5 of 80 quick reconnects)."""
UNHEARD_TICKS = 20
"""So many ticks a heartbeat may take. Not seconds: while the gateway is busy it hears nothing and nothing ticks."""


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
        self._story = Story(application)
        self._hearing = Hearing(self._story)
        self._says: list[Wire] = []
        self._broken: str | None = None
        self._pending: dict[str, _Pending] = {}
        self._exchanges = 0
        self._snapshot: _Snapshot | None = None
        self._open = False
        self._heard_at: datetime | None = None
        self._beats = 0
        self._next_beat_at: datetime | None = None
        self._unheard_ticks: int | None = None

    # ---- Interpreter

    def opened(self, at: datetime, *, asks: bool = True) -> None:
        """See `interpreter.Interpreter.opened`. Without asking, what lived goes on: Stasis keeps channels, bridges."""
        if self._open:
            self.lost(at, "another connection")
        self._open = True
        self._broken = None
        self._pending.clear()
        self._beats, self._next_beat_at, self._unheard_ticks = 0, None, None
        if asks:
            self._snapshot = _Snapshot(asked_at=at)
            self._ask(get("asterisk", "info", only="status"), at)
            for what in SNAPSHOT:
                self._ask(get(what), at)
            self._next_beat_at = at
            self._beat(at)
        else:
            self._come_up(at, ())
            self._say(at)

    def heard(self, wire: Wire, at: datetime) -> None:
        """See `interpreter.Interpreter.heard`."""
        try:
            if wire.channel == "rest":
                self._heard_answer(wire, at)
            elif len(wire.data) > MAX_MESSAGE:
                raise Malformed("too long")
            elif self._snapshot is not None:
                self._wait_for_snapshot(wire.data, at)
            elif self._story.up:
                self._heard_event(to_event(wire.data), at)
        except Malformed as error:
            self._put_aside(str(error))
        self._say(at)

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
        if self._story.up:
            heard_at = at if self._heard_at is None else min(at, self._heard_at)
            self._story.tell(ConnectionLost(at=heard_at, reason=reason))
        self._story.up = self._open = False
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
                self._story.tell(refused)
                continue
            if not any(say.decides == command.command_id for say in says):
                self._story.tell(CommandDone(at=at, command_id=command.command_id))
            self._story.say(says)
            self._say(at)

    def tick(self, at: datetime) -> None:
        """See `interpreter.Interpreter.tick`."""
        if self._snapshot is not None and (at - self._snapshot.asked_at).total_seconds() > SNAPSHOT_S:
            self._snapshot = None
            self._broken = "it did not say what is up"
        self._beat(at)
        for call in self._story.memory.calls.values():
            for leg in call.legs.values():
                self._story.tell_hold(call, leg, at)

    def take(self) -> Outbox:
        """See `interpreter.Interpreter.take`."""
        outbox = Outbox(self._story.news, self._says, self._broken)
        self._story.news, self._says, self._broken = [], [], None
        return outbox

    def call_of(self, exchange: str) -> str:
        """Which call a request is about; those of one call are said one after the other. Empty: about none."""
        pending = self._pending.get(exchange)
        return pending.say.call if pending is not None and pending.say is not None else ""

    # ---- what is said

    def _order(self, command: Command, at: datetime) -> list[Say]:
        call = self._story.memory.calls.get(command.call)
        if isinstance(command, Originate):
            return [] if call is not None else self._originate(command, at)
        if call is None:
            raise Refusal("no-such-call")
        if isinstance(command, Connect) and call.leg(command.leg) is not None:
            return []
        return self._story.control.order(call, command)

    def _originate(self, command: Originate, at: datetime) -> list[Say]:
        says = self._story.control.originate(command)
        self._story.memory.add_call(
            Call(command.call, Direction.OUTBOUND, at, dialled=command.number, trunk=command.trunk)
        )
        self._story.tell_offered(self._story.memory.calls[command.call])
        return says

    def _say(self, at: datetime) -> None:
        """What the story wants said, as requests."""
        while self._story.says:
            says, self._story.says = self._story.says, []
            for say in says:
                self._ask(say.request, at, say)

    def _ask(self, request: Request, at: datetime, say: Say | None = None) -> None:
        self._exchanges += 1
        exchange = f"gateway-{self._exchanges}"
        self._await(exchange, _Pending(request, say, at))
        self._says.append(request.wire(exchange))

    def _await(self, exchange: str, pending: _Pending) -> None:
        """Whoever made the request, this gateway or one that was recorded: it counts as ours."""
        self._pending[exchange] = pending
        while len(self._pending) > MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        match pending.request:
            case Request("DELETE", ("channels", channel)):
                found = self._story.memory.find(channel)
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
        self._story.outgoing(channel, dialled, arguments, query.get("callerId", ""), query.get("originator", ""), at)

    def _beat(self, at: datetime) -> None:
        if self._unheard_ticks is not None:
            self._unheard_ticks += 1
            if self._unheard_ticks > UNHEARD_TICKS:
                self._broken = DEAF
        elif self._next_beat_at is not None and at >= self._next_beat_at:
            self._beats = min(self._beats + 1, len(BEATS) - 1)
            self._next_beat_at = at + timedelta(seconds=BEATS[self._beats])
            self._unheard_ticks = 0
            self._ask(post("events", "user", HEARTBEAT, application=self._story.application), at)

    # ---- what is answered

    def _heard_answer(self, wire: Wire, at: datetime) -> None:
        pending = self._pending.pop(wire.exchange, None)
        if pending is None:
            raise Malformed("answer to nothing")
        done = 200 <= wire.status < 300
        match pending.request:
            case Request("GET", ("asterisk", "info")):
                if self._snapshot is not None and done:
                    self._snapshot.started_at = started_at_of(read_json(wire.data))
            case Request("GET", (what,)) if what in SNAPSHOT:
                self._heard_list(what, wire, at, done=done)
            case Request("POST", ("events", "user", name)) if name == HEARTBEAT and wire.status == NOT_FOUND:
                self._broken = DEAF
            case Request("POST", ("channels", *steps), query) if "endpoint" in query:
                self._heard_originated(query.get("channelId", "".join(steps)), wire, at, done=done)
        if pending.say is not None and pending.say.decides is not None:
            self._decide(pending, wire, at, done=done)

    def _heard_originated(self, channel: str, wire: Wire, at: datetime, *, done: bool) -> None:
        if done:
            self._story.seen(to_channel(read_json(wire.data)), at)
            return
        found = self._story.memory.find(channel)
        if found is None or wire.status in (0, CONFLICT):
            return  # nobody knows, or it is there already
        call, party = found
        if isinstance(party, Leg) and call is None:
            self._story.adopt_failed(party, at)
            call = party.call
        if call is not None:
            party.hung_up_cause = party.hung_up_cause or ABSENT
            self._story.end_party(call, party, at)

    def _decide(self, pending: _Pending, wire: Wire, at: datetime, *, done: bool) -> None:
        assert pending.say is not None
        assert pending.say.decides is not None
        ends = pending.request.method == "DELETE"
        # A channel that is there already was asked for before; one that is not there any more need not be ended.
        if done or (ends and wire.status == NOT_FOUND) or (not ends and wire.status == CONFLICT):
            self._story.tell(CommandDone(at=at, command_id=pending.say.decides))
        elif wire.status:
            reason = "no-such-device" if "endpoint" in pending.request.query else "wrong-state"
            detail = f"{wire.status} {message_of(wire.data)}"
            self._story.tell(CommandRefused(at=at, command_id=pending.say.decides, reason=reason, detail=detail))

    # ---- what is heard

    def _heard_event(self, event: Event, received_at: datetime) -> None:
        self._heard_at = received_at
        if event.kind == "ApplicationReplaced":
            self._broken = REPLACED
        elif event.kind == "ChannelUserevent" and event.text("eventname") == HEARTBEAT:
            self._unheard_ticks = None
        else:
            self._hearing.hear(event, event.at or received_at)

    def _wait_for_snapshot(self, data: bytes, at: datetime) -> None:
        assert self._snapshot is not None
        if b"ApplicationReplaced" in data:
            self._heard_event(to_event(data), at)
        if len(self._snapshot.events) >= MAX_WAITING_EVENTS:
            self._broken = "too much happens before it says what is up"
            return
        self._snapshot.events.append(data)

    def _heard_list(self, what: str, wire: Wire, at: datetime, *, done: bool) -> None:
        snapshot = self._snapshot
        if snapshot is None:
            return
        try:
            found = read_json(wire.data) if done else None
        except Malformed:
            found = None
        if not isinstance(found, list):
            self._broken = f"no list of {what}: {wire.status} {message_of(wire.data)}"
            return
        snapshot.answers[what] = found
        if not all(name in snapshot.answers for name in SNAPSHOT):
            return
        self._snapshot = None
        channels = {channel.channel_id: channel for channel in self._each(snapshot.answers["channels"], to_channel)}
        bridges = self._each(snapshot.answers["bridges"], to_bridge)
        lay_over(
            self._story, channels, bridges, members_of(snapshot.answers["applications"], self._story.application), at
        )
        self._come_up(at, self._each(snapshot.answers["endpoints"], to_device), snapshot.started_at)
        self._ask(post("applications", self._story.application, "subscription", eventSource="deviceState:"), at)
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

    def _come_up(self, at: datetime, devices: Sequence[LiveDevice], started_at: datetime | None = None) -> None:
        story = self._story
        story.up = True
        self._heard_at = at
        live = tuple(live_call(story, call) for call in story.memory.calls.values())
        story.tell(ConnectionUp(at=at, calls=live, devices=tuple(devices), started_at=started_at))
        for call in list(story.memory.calls.values()):
            for leg in call.legs.values():
                leg.told.add("initiated")
            story.review(call, at)
            look_after(story, call)
        tidy_up(story)

    def _put_aside(self, why: str) -> None:
        self.set_aside[why] += 1
