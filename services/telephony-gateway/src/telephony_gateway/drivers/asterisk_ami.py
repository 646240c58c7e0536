"""The driver for Asterisk 16 to 22 over the Manager Interface: works with any dialplan that says when a call waits.

A call waits when its channel sends ``UserEvent(CCWaiting)`` or enters ``AGI(agi:async)``; to ring an agent the gateway
sends it to the agent's extension in the context for agents. Whatever the dialplan, the PBX's own queues or phones do
beside that is understood by what Asterisk tells of channels and bridges (`asterisk_ami_calls`).
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

from prometheus_client import Counter

from telephony_gateway.domain.pbx_commands import Command
from telephony_gateway.domain.pbx_events import CommandDone, CommandRefused
from telephony_gateway.drivers.asterisk_ami_calls import NOT_CALLED, Calls
from telephony_gateway.drivers.asterisk_ami_commands import Action, Dialplan, actions_for, bridge, hang_up
from telephony_gateway.drivers.asterisk_ami_memory import Attempt, Ordered
from telephony_gateway.drivers.asterisk_ami_messages import Message, MessageReader, Unspeakable, action, said
from telephony_gateway.drivers.asterisk_ami_snapshot import CALL_VARIABLE, LEG_VARIABLE, NUMBER_VARIABLE
from telephony_gateway.drivers.connection import StreamDriver, Tap, no_tap
from telephony_gateway.drivers.conversation import MAX_LATER, SETTLED, Conversation
from telephony_gateway.drivers.credentials import Credentials, credentials_of, setting_of
from telephony_gateway.drivers.interface import Endpoint
from telephony_gateway.drivers.interpreter import Refusal, Wire

MAX_UNANSWERED = 10_000

_LISTS = {
    "CoreShowChannels": "CoreShowChannelsComplete",
    "Status": "StatusComplete",
    "BridgeList": "BridgeListComplete",
    "DeviceStateList": "DeviceStateListComplete",
}
"""What is asked after login, and the event that ends the answer."""

RECALLED = f"{CALL_VARIABLE},{LEG_VARIABLE},{NUMBER_VARIABLE}"

MALFORMED = Counter("telephony_ami_messages_malformed_total", "What made no sense, by why.", ("pbx", "why"))


@dataclass
class _Snapshot:
    asked_at: datetime
    missing: set[str] = field(default_factory=lambda: set(_LISTS))
    channels: list[Message] = field(default_factory=list)
    statuses: dict[str, Message] = field(default_factory=dict)
    technologies: dict[str, str] = field(default_factory=dict)
    devices: list[Message] = field(default_factory=list)
    later: deque[tuple[Message, datetime]] = field(default_factory=deque)
    progress_at: datetime | None = None


@dataclass(frozen=True)
class _Awaited:
    """An action whose answer settles something."""

    action: str
    command: Command | None = None
    last: bool = False
    """Of a command's actions, the one whose success is that of the command."""


class AsteriskAmi(Conversation):
    """The pure part; see `interpreter.Interpreter`."""

    def __init__(
        self,
        credentials: Credentials = Credentials(),  # noqa: B008 (immutable)
        *,
        trunks: tuple[str, ...] = (),
        dialplan: Dialplan = Dialplan(),  # noqa: B008 (immutable)
        count: Callable[[str], None] = lambda _why: None,
    ) -> None:
        super().__init__()
        self.calls = Calls(trunks, dialplan.waiting_context, dialplan.conference_context)
        self.reader = MessageReader(count)
        self.unknown_answers = 0
        self._credentials = credentials
        self._dialplan = dialplan
        self._number = 0
        self._awaited: dict[str, _Awaited] = {}
        self._snapshot: _Snapshot | None = None

    # ---- the connection

    def opened(self, at: datetime, *, asks: bool = True) -> None:
        """See `interpreter.Interpreter.opened`."""
        parallel = self._up and not asks
        self.reader.restart()
        self._awaited.clear()
        self._restart(at)
        self._snapshot = None
        if parallel:
            return  # a second connection of whoever was recorded; the first goes on
        self._started_at = None
        if asks:
            self._snapshot = _Snapshot(at)
            if not self._credentials.user or not self._credentials.secret:
                self._broken = "no user and secret for this PBX in the environment"
                return
            headers = [("Username", self._credentials.user), ("Secret", self._credentials.secret)]
            self._say("Login", [*headers, ("Events", "on")])
        else:
            self._begin(self.calls.snapshot(at, (), {}, {}, (), None))

    def heard(self, wire: Wire, at: datetime) -> None:
        """See `interpreter.Interpreter.heard`."""
        self._hear(at)
        for message in self.reader.feed(wire.data):
            self._take_in(message, at)
        if self.reader.refused is not None:
            self._broken = self.reader.refused

    def lost(self, at: datetime, reason: str) -> None:
        """See `interpreter.Interpreter.lost`."""
        self._end(at, reason)
        self._snapshot = None

    def tick(self, at: datetime) -> None:
        """See `interpreter.Interpreter.tick`."""
        self.calls.tick(at)
        self._finish_snapshot(at)
        if self._credentials.user:
            self._watch(at, self._snapshot.asked_at if self._snapshot is not None else None)

    def _ping(self) -> None:
        self._say("Ping", ())

    def _collect(self) -> None:
        for one, other in self.calls.take_to_bridge():
            self._say(*bridge(one, other))
        for channel in self.calls.take_left_over():
            self._say(*hang_up(channel))
        self._events += self.calls.take_events()

    # ---- what the PBX says

    def _take_in(self, message: Message, at: datetime) -> None:
        if not message.event:
            self._answer(message, at)
        elif self._snapshot is not None:
            self._take_in_early(self._snapshot, message, at)
        elif message["ActionID"] not in self._awaited or message.event == "OriginateResponse":
            self._understand(message, at)

    def _understand(self, message: Message, at: datetime) -> None:
        if message.event == "FullyBooted":
            self._booted(message, at)
        self.calls.hear(message, at)

    def _booted(self, message: Message, at: datetime) -> None:
        if message["Uptime"].isdecimal() and len(message["Uptime"]) < 12:
            self._started_at = at - timedelta(seconds=int(message["Uptime"]))

    def _answer(self, message: Message, at: datetime) -> None:
        action_id = message["ActionID"]
        awaited = self._awaited.get(action_id)
        if awaited is None:
            self.unknown_answers += 1
            return
        success = message["Response"] in ("Success", "Goodbye", "Follows", "Pong")
        if awaited.action in _LISTS and success:
            return  # the list follows under the same id
        del self._awaited[action_id]
        if awaited.action == "Login":
            self._answered_login(message, at, success=success)
        elif awaited.action in _LISTS and self._snapshot is not None:
            self._snapshot.missing.discard(awaited.action)  # not allowed to ask, or unknown to this version
            self._finish_snapshot(at)
        elif awaited.command is not None:
            self._settle(awaited, message, at, success=success)

    def _answered_login(self, message: Message, at: datetime, *, success: bool) -> None:
        if not success:
            self._broken = f"login refused: {message['Message'][:100]}"
            return
        self._logged_in = True
        if self._snapshot is not None:
            self._snapshot.asked_at = at
            for name in _LISTS:
                self._say(name, [("AllVariables", "false"), ("Variables", RECALLED)] if name == "Status" else ())

    def _settle(self, awaited: _Awaited, message: Message, at: datetime, *, success: bool) -> None:
        assert awaited.command is not None
        command_id = awaited.command.command_id
        if not success:
            reason = _reason(message["Message"])
            self._events.append(
                CommandRefused(at=at, command_id=command_id, reason=reason, detail=message["Message"][:200])
            )
            for key in [key for key, other in self._awaited.items() if other.command is awaited.command]:
                del self._awaited[key]
        elif awaited.last:
            self._events.append(CommandDone(at=at, command_id=command_id))

    # ---- the snapshot

    def _take_in_early(self, snapshot: _Snapshot, message: Message, at: datetime) -> None:
        """Lists are laid together, events wait until all of them are there."""
        awaited = self._awaited.get(message["ActionID"])
        if awaited is None or awaited.action not in _LISTS:
            if message.event == "FullyBooted":
                self._booted(message, at)
            snapshot.later.append((message, at))
            if len(snapshot.later) > MAX_LATER:
                self._broken = "too much happened while we asked what is up"
            return
        snapshot.progress_at = at
        match message.event:
            case "CoreShowChannel":
                snapshot.channels.append(message)
            case "Status":
                snapshot.statuses[message["Uniqueid"]] = message
            case "BridgeListItem":
                snapshot.technologies[message["BridgeUniqueid"]] = message["BridgeTechnology"]
            case "DeviceStateChange":
                snapshot.devices.append(message)
            case event if event == _LISTS[awaited.action]:
                del self._awaited[message["ActionID"]]
                snapshot.missing.discard(awaited.action)
                self._finish_snapshot(at)

    def _finish_snapshot(self, at: datetime) -> None:
        snapshot = self._snapshot
        if snapshot is None:
            return
        # In a trace: whoever was recorded asked for less.
        settled = snapshot.progress_at is not None and at - snapshot.progress_at > SETTLED
        if snapshot.missing and not (settled and "CoreShowChannels" not in snapshot.missing and not self._logged_in):
            return
        self._snapshot = None
        self._begin(
            self.calls.snapshot(
                at,
                snapshot.channels,
                snapshot.statuses,
                snapshot.technologies,
                snapshot.devices,
                self._started_at,
            )
        )
        for message, heard_at in snapshot.later:
            self._understand(message, heard_at)

    # ---- what we say

    def _say(self, name: str, headers: Sequence[tuple[str, str]], awaited: _Awaited | None = None) -> None:
        self._number += 1
        action_id = f"cb-{self._number}"
        self._says.append(Wire(action(name, action_id, headers)))
        self._await(action_id, awaited or _Awaited(name))

    def _await(self, action_id: str, awaited: _Awaited) -> None:
        self._awaited[action_id] = awaited
        while len(self._awaited) > MAX_UNANSWERED:
            del self._awaited[next(iter(self._awaited))]

    def order(self, commands: Sequence[Command], at: datetime) -> None:
        """See `interpreter.Interpreter.order`."""
        for command in commands:
            try:
                wanted = actions_for(command, self.calls, self._dialplan, at)
                self._order(command, wanted)
            except Refusal as refusal:
                self._refuse(command, at, refusal.reason, refusal.detail)
            except Unspeakable as error:
                self._refuse(command, at, "malformed", str(error))

    def _order(self, command: Command, wanted: Sequence[Action]) -> None:
        made = [action(name, "0", headers) for name, headers in wanted]  # all of them can be said, or none is
        if not made:
            self._events.append(CommandDone(at=self._heard_at or _NEVER, command_id=command.command_id))
        for number, (name, headers) in enumerate(wanted, 1):
            self._say(name, headers, _Awaited(name, command, last=number == len(wanted)))

    # ---- what a recorded gateway said

    def asks_for_snapshot(self, wire: Wire) -> bool:
        """See `interpreter.Interpreter.asks_for_snapshot`."""
        return any(message["Action"] == "CoreShowChannels" for message in said(wire.data))

    def said(self, wire: Wire, at: datetime) -> None:
        """See `interpreter.Interpreter.said`."""
        for message in said(wire.data):
            name = message["Action"]
            if name in _LISTS or name == "Login":
                if name in _LISTS:
                    self._await(message["ActionID"], _Awaited(name))
                continue
            channel = self.calls.channels.named(message["Channel"])
            match name:
                case "Redirect" if channel is not None:
                    self._said_redirect(message, at)
                case "Originate":
                    self._said_originate(message)
                case "Hangup" if channel is not None:
                    self.calls.hung_up(channel)
                case "Atxfer" | "BlindTransfer" if channel is not None:
                    self.calls.transfers(channel)

    def _said_redirect(self, message: Message, at: datetime) -> None:
        for prefix in ("", "Extra"):
            channel = self.calls.channels.named(message[f"{prefix}Channel"])
            context, exten = message[f"{prefix}Context"], message[f"{prefix}Exten"]
            if channel is None:
                continue
            if context == self._dialplan.agent_context:
                self.calls.redirected(channel, Attempt(exten, "", at, at + NOT_CALLED), at)
            elif context == self._dialplan.conference_context:
                self.calls.joins_room(channel, exten)
            else:
                self.calls.redirected(channel, None, at)

    def _said_originate(self, message: Message) -> None:
        uid, exten = message["ChannelId"], message["Exten"]
        device = message["Channel"].partition("/")[2]
        if not uid:
            return
        call = self.calls.call_in_room(exten)
        if call is not None:
            self.calls.expect(uid, Ordered(call.name, uid, device))
        elif not self.calls.channels.is_trunk(device) and self._dialplan.is_outside(exten):
            self.calls.expect(uid, Ordered(uid, uid, device, number=exten))


_NEVER = datetime.min


def _reason(text: str) -> str:
    """A stable word for what Asterisk says."""
    low = text.lower()
    if "no such channel" in low or "channel not found" in low or "does not exist" in low:
        return "no-such-leg"
    if "permission" in low or "denied" in low:
        return "not-allowed"
    return "refused"


class AsteriskAmiDriver(StreamDriver):
    """See `interface.Driver`."""

    def __init__(self, endpoint: Endpoint, *, chance: Callable[[], float] = random.random, tap: Tap = no_tap) -> None:
        credentials = credentials_of(endpoint.pbx_id)
        interpreter = AsteriskAmi(
            credentials,
            trunks=endpoint.trunks,
            dialplan=dialplan_of(endpoint.pbx_id),
            count=lambda why: MALFORMED.labels(endpoint.pbx_id, why).inc(),
        )
        super().__init__(endpoint, interpreter, credentials, chance=chance, tap=tap)


def dialplan_of(pbx_id: str) -> Dialplan:
    """A PBX's dialplan where it is not as in the guide: ``CORDBOARD_PBX_<ID>_AGENT_CONTEXT`` and so on."""
    usual = {field.name: str(field.default) for field in fields(Dialplan)}
    return Dialplan(**{name: setting_of(pbx_id, name.upper(), default) for name, default in usual.items()})
