"""The driver for FreeSWITCH 1.10 over an inbound event socket (mod_event_socket).

A call waits when the dialplan sends ``cc::waiting`` or parks it. To connect an agent the gateway calls the phone itself
(``bgapi originate ... &park()``) and joins the legs (``uuid_bridge``), so that a caller never hears of an agent who
does not answer. Whatever the dialplan, mod_callcenter or phones do beside that is understood by what FreeSWITCH tells
of channels and bridges (`freeswitch_esl_calls`).
"""

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from prometheus_client import Counter

from telephony_gateway.domain.pbx_commands import Command
from telephony_gateway.domain.pbx_events import (
    CommandDone,
    ConnectionUp,
)
from telephony_gateway.drivers.connection import StreamDriver, Tap, no_tap
from telephony_gateway.drivers.conversation import MAX_LATER, SETTLED, Conversation
from telephony_gateway.drivers.credentials import Credentials, credentials_of
from telephony_gateway.drivers.freeswitch_esl_calls import Calls
from telephony_gateway.drivers.freeswitch_esl_channels import is_uid
from telephony_gateway.drivers.freeswitch_esl_commands import (
    Api,
    Awaited,
    Dialplan,
    Job,
    Plan,
    awaited_again,
    kill,
    originated,
    plan_for,
    play,
)
from telephony_gateway.drivers.freeswitch_esl_memory import Ordered
from telephony_gateway.drivers.freeswitch_esl_messages import (
    JSON,
    PLAIN,
    Event,
    JsonEvent,
    Message,
    MessageReader,
    Unspeakable,
    json_of,
    line,
    said,
)
from telephony_gateway.drivers.interface import Endpoint
from telephony_gateway.drivers.interpreter import Refusal, Wire

NOT_BRIDGED = timedelta(seconds=2)
"""``uuid_bridge`` may say ``+OK`` and do nothing, if the other side hung up in that moment."""
NEVER_CAME = timedelta(seconds=10)
"""After its time is up a leg that was asked for, and of which nothing was heard, is forgotten."""
DUMPS_AT_ONCE = 50
MAX_ASKED = 20_000
MAX_CHANNELS = 50_000

EVENTS = (
    "CHANNEL_CREATE CHANNEL_ORIGINATE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_ANSWER CHANNEL_BRIDGE "
    "CHANNEL_UNBRIDGE CHANNEL_PARK CHANNEL_UNPARK CHANNEL_HOLD CHANNEL_UNHOLD CHANNEL_UUID CHANNEL_HANGUP "
    "CHANNEL_HANGUP_COMPLETE CHANNEL_DESTROY DTMF BACKGROUND_JOB HEARTBEAT SHUTDOWN "
    "CUSTOM cc::waiting conference::maintenance sofia::register sofia::unregister sofia::expire"
)
"""What is listened to; ``CUSTOM`` must come last."""

MALFORMED = Counter("telephony_esl_messages_malformed_total", "What made no sense, by why.", ("pbx", "why"))

REDIRECTED = "REDIRECTION_TO_NEW_DESTINATION"
Row = Mapping[str, str]
_CHANNELS = "api show channels"
_OVER = frozenset({"CS_HANGUP", "CS_REPORTING", "CS_DESTROY"})
"""States of channels that have ended, and may still be listed (``linger``)."""


@dataclass
class _Snapshot:
    asked_at: datetime
    asked: bool = False
    rows: dict[str, Row] | None = None
    dumps: dict[str, Event] = field(default_factory=dict)
    to_ask: deque[str] = field(default_factory=deque)
    open_questions: int = 0
    registered: set[str] = field(default_factory=set)
    later: deque[tuple[Message, datetime]] = field(default_factory=deque)
    progress_at: datetime | None = None


@dataclass
class _Order:
    """A command that is being carried out: of its answers the last ``+OK`` is its own."""

    command: Command
    left: int


@dataclass(frozen=True)
class _Asked:
    """Something that was said, and whose answer is not there yet. Answers come in order."""

    what: str
    order: _Order | None = None
    uid: str = ""


class FreeswitchEsl(Conversation):
    """The pure part; see `interpreter.Interpreter`."""

    def __init__(
        self,
        credentials: Credentials = Credentials(),  # noqa: B008 (immutable)
        *,
        dialplan: Dialplan = Dialplan(),  # noqa: B008 (immutable)
        count: Callable[[str], None] = lambda _why: None,
    ) -> None:
        super().__init__()
        self.calls = Calls(dialplan.waiting_context)
        self.reader = MessageReader()
        self._credentials = credentials
        self._dialplan = dialplan
        self._count = count
        self._counted = 0
        self._asked: deque[_Asked] = deque(maxlen=MAX_ASKED)
        self._awaited: dict[str, Awaited] = {}
        self._bridging: dict[str, datetime] = {}
        """Legs that are to be bridged with the customer, since when."""
        self._snapshot: _Snapshot | None = None

    # ---- the connection

    def opened(self, at: datetime, *, asks: bool = True) -> None:
        """See `interpreter.Interpreter.opened`. FreeSWITCH speaks first: it wants to see the password."""
        parallel = self._up and not asks
        self.reader.restart()
        self._asked.clear()
        self._restart(at)
        self._snapshot = None
        if parallel:
            return  # a second connection of whoever was recorded; the first goes on
        self._started_at = None
        if asks:
            self._snapshot = _Snapshot(at)
            if not self._credentials.secret:
                self._broken = "no secret for this PBX in the environment"
        else:
            self._come_up(self.calls.snapshot(at, {}, (), None), at)

    def heard(self, wire: Wire, at: datetime) -> None:
        """See `interpreter.Interpreter.heard`."""
        self._hear(at)
        for message in self.reader.feed(wire.data):
            self._take_in(message, at)
        if self.reader.refused is not None:
            self._broken = self._broken or self.reader.refused
        self._tidy(at)

    def lost(self, at: datetime, reason: str) -> None:
        """See `interpreter.Interpreter.lost`."""
        self.calls.lost(at)
        self._end(at, reason)
        self._snapshot = None
        self._logged_in = False

    def tick(self, at: datetime) -> None:
        """See `interpreter.Interpreter.tick`."""
        self.calls.tick(at)
        self._finish_snapshot(at)
        self._tidy(at)
        self._end_ringing(at)
        if self._credentials.secret:
            self._watch(at, self._snapshot.asked_at if self._snapshot is not None else None)

    def _ping(self) -> None:
        self._api(Api("status"), "ping")

    def _collect(self) -> None:
        self._events += self.calls.take_events()
        malformed = sum(self.reader.malformed.values())
        for aside in list(self.reader.set_aside)[max(0, len(self.reader.set_aside) - (malformed - self._counted)) :]:
            self._count(aside.why)
        self._counted = malformed

    # ---- what the PBX says

    def _take_in(self, message: Message, at: datetime) -> None:
        match message.kind:
            case "auth/request":
                self._log_in()
            case "command/reply":
                self._replied(message, at)
            case "api/response":
                self._answered(message, at)
            case kind if kind in (PLAIN, JSON):
                self._hear_or_keep(message, at)
            case "text/disconnect-notice":
                if message.disposition != "linger":
                    self._broken = self._broken or f"closed by the PBX: {message.text.strip()[:100]}"
            case "text/rude-rejection":
                self._broken = "the PBX's access list does not let us in"

    def _log_in(self) -> None:
        if self._credentials.secret and not self._asked:
            try:
                self._say(login_line(self._credentials), _Asked("auth"))
            except Unspeakable:
                self._broken = "the secret for this PBX cannot be said"

    def _replied(self, message: Message, at: datetime) -> None:
        asked = self._next_asked("auth", "event", "job")
        refused = message.reply.startswith("-ERR")
        if asked is None:
            return
        if asked.what == "auth":
            if refused:
                self._broken = f"login refused: {message.reply[:100]}"
                return
            self._logged_in = True
            self._say(line(f"event plain {EVENTS}"), _Asked("event"))
            if self._snapshot is not None:
                self._snapshot.asked_at = at
                self._snapshot.asked = True
                self._api(Api("show channels as json"), "channels")
                self._api(Api("show registrations as json"), "registrations")
                self._api(Api("status"), "status")
        elif asked.what == "event" and refused:
            self._broken = f"we may not listen: {message.reply[:100]}"
        elif asked.what == "job" and asked.order is not None:
            self._settle(asked.order, message.reply, at)

    def _answered(self, message: Message, at: datetime) -> None:
        asked = self._next_asked("channels", "registrations", "status", "dump", "ping", "api")
        if self._snapshot is not None:
            self._take_in_answer(self._snapshot, message, asked, at)
        if asked is None:
            return
        failed = message.body.startswith(b"-")
        if asked.order is not None:
            self._settle(asked.order, message.text, at)
        if failed and asked.uid and asked.what == "api":
            # The other side is not there any more; nobody shall be left alone in a call.
            self._bridging.pop(asked.uid, None)
            self._api(kill(asked.uid), "api")

    def _next_asked(self, *kinds: str) -> _Asked | None:
        for index, asked in enumerate(self._asked):
            if asked.what in kinds:
                del self._asked[index]
                return asked
        return None

    def _settle(self, order: _Order, text: str, at: datetime) -> None:
        if order.left <= 0:
            return
        if text.startswith("-"):
            order.left = 0
            detail = text.strip()[:200]
            reason = "no-such-leg" if "No such channel" in text or "Invalid uuid" in text else "refused"
            self._refuse(order.command, at, reason, detail)
            return
        order.left -= 1
        if order.left == 0:
            self._events.append(CommandDone(at=at, command_id=order.command.command_id))

    def _hear_or_keep(self, message: Message, at: datetime) -> None:
        if self._snapshot is None:
            self._hear_message(message, at)
            return
        self._snapshot.later.append((message, at))
        if len(self._snapshot.later) > MAX_LATER:
            self._broken = "too much happened while we asked what is up"

    def _hear_message(self, message: Message, at: datetime) -> None:
        event = self.reader.event(message)
        if event is not None:
            self._understand(event, at)

    def _understand(self, event: Event, at: datetime) -> None:
        name = event["Event-Name"]
        self.calls.hear(event, at)
        if name == "BACKGROUND_JOB":
            self._job_done(event, at)
        elif name == "CHANNEL_PARK" and event["Unique-ID"] in self._awaited:
            self._picked_up(event["Unique-ID"], at)
        elif name == "CHANNEL_PARK":
            self._play(event["Unique-ID"])
        elif name == "CHANNEL_BRIDGE":
            for end in "AB":
                self._bridging.pop(event[f"Bridge-{end}-Unique-ID"], None)
        elif name in ("CHANNEL_HANGUP", "CHANNEL_DESTROY") and event["Hangup-Cause"] != REDIRECTED:
            self._awaited.pop(event["Unique-ID"], None)
            self._bridging.pop(event["Unique-ID"], None)

    def _job_done(self, event: Event, at: datetime) -> None:
        result = event["_body"].strip()
        job = originated(event["Job-Command-Arg"]) if event["Job-Command"] == "originate" else None
        if job is None:
            return
        if result.startswith("+OK"):
            # After a 302 it is another channel that was picked up.
            uid = result.removeprefix("+OK").strip()
            if job.uid in self._awaited and uid != job.uid and is_uid(uid):
                self._awaited[uid] = self._awaited.pop(job.uid).instead(uid)
            if uid in self._awaited and job.target.startswith("&park"):
                self._picked_up(uid, at)
            return
        cause = result.removeprefix("-ERR").strip()[:100]
        self._awaited.pop(job.uid, None)
        for device in job.devices:
            self.calls.originate_failed(job.uid, device, job.number, cause, at)

    def _picked_up(self, uid: str, at: datetime) -> None:
        """An agent whom the gateway called is there: join them with whom they were called for."""
        awaited = self._awaited.pop(uid)
        if not awaited.then:
            return
        call = self.calls.calls.get(awaited.call)
        if call is None or call.customer is None or not call.customer.is_live:
            self._api(kill(uid, "ORIGINATOR_CANCEL"), "api")
            return
        self._bridging[uid] = at
        for step in awaited.then:
            self._api(step, "api", uid=uid)

    def _play(self, uid: str) -> None:
        """To a customer whom the dialplan leaves in silence: music, or ringing on the way to another agent."""
        channel = self.calls.channels.get(uid)
        call = self.calls.call_of(channel) if channel is not None else None
        if channel is None or call is None or call.customer is not channel or not channel.is_live:
            return
        rings = call.transfer is not None and call.transfer.to
        what = self._dialplan.ringing if rings else self._dialplan.music
        if what:
            self._api(play(uid, what), "api")

    def _tidy(self, at: datetime) -> None:
        """End what nobody needs, and legs that were to be bridged and are not."""
        for uid in self.calls.take_orphans():
            self._awaited.pop(uid, None)
            self._bridging.pop(uid, None)
            self._api(kill(uid, "ORIGINATOR_CANCEL"), "api")
        for uid, since in list(self._bridging.items()):
            if at - since > NOT_BRIDGED:
                del self._bridging[uid]
                self._api(kill(uid), "api")

    def _end_ringing(self, at: datetime) -> None:
        for uid, awaited in list(self._awaited.items()):
            channel = self.calls.channels.get(uid)
            if channel is None and at - awaited.until > NEVER_CAME:
                del self._awaited[uid]
            elif at >= awaited.until and channel is not None and channel.answered_at is None:
                del self._awaited[uid]
                self.calls.killed(uid)
                self._api(kill(uid, "NO_ANSWER"), "api")

    # ---- the snapshot

    def _take_in_answer(self, snapshot: _Snapshot, message: Message, asked: _Asked | None, at: datetime) -> None:
        """Answers are known by what they say, so that those to somebody else's questions (in traces) are, too."""
        if asked is not None and asked.what == "dump":
            snapshot.open_questions -= 1
        told = json_of(message.body) if message.body.startswith(b"{") else None
        if isinstance(told, dict):
            snapshot.progress_at = at
            self._take_in_table(snapshot, told, asked)
        elif message.body.startswith(b"UP "):
            self._started_at = started_at(message.text, at)
        elif asked is not None and asked.what == "channels":
            self._broken = "the PBX does not tell its channels"
        self._ask_for_dumps(snapshot)
        self._finish_snapshot(at)

    @staticmethod
    def _take_in_table(snapshot: _Snapshot, told: Mapping[str, object], asked: _Asked | None) -> None:
        if told.get("Event-Name") == "CHANNEL_DATA":
            described = JsonEvent(told)
            if len(snapshot.dumps) < MAX_CHANNELS:
                snapshot.dumps[described["Unique-ID"]] = described
            return
        listed = told.get("rows", [])
        rows = [_texts(row) for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
        if any("reg_user" in row for row in rows):
            snapshot.registered |= {row.get("reg_user", "") for row in rows}
        elif snapshot.rows is None and (rows or (asked is not None and asked.what == "channels")):
            live = (row for row in rows[:MAX_CHANNELS] if row.get("uuid") and row.get("state") not in _OVER)
            snapshot.rows = {row["uuid"]: row for row in live}
            snapshot.to_ask.extend(snapshot.rows)

    def _ask_for_dumps(self, snapshot: _Snapshot) -> None:
        while self._logged_in and snapshot.to_ask and snapshot.open_questions < DUMPS_AT_ONCE:
            uid = snapshot.to_ask.popleft()
            snapshot.open_questions += 1
            try:
                self._api(Api(f"uuid_dump {uid} json"), "dump")
            except Unspeakable:
                snapshot.open_questions -= 1

    def _finish_snapshot(self, at: datetime) -> None:
        snapshot = self._snapshot
        if snapshot is None:
            return
        if self._credentials.secret:
            waits_for = {asked.what for asked in self._asked} & {"channels", "registrations", "status", "dump"}
            if snapshot.rows is None or waits_for or snapshot.to_ask:
                return
        else:
            # In a trace: whoever was recorded asks what it likes, or not at all.
            described = snapshot.rows is not None and snapshot.rows.keys() <= snapshot.dumps.keys()
            since = snapshot.progress_at or snapshot.asked_at
            if not described and at - since < SETTLED:
                return
        self._snapshot = None
        channels = {
            uid: (snapshot.dumps.get(uid) or _as_event(row, at), row) for uid, row in (snapshot.rows or {}).items()
        }
        self._come_up(self.calls.snapshot(at, channels, snapshot.registered, self._started_at), at)
        for message, heard_at in snapshot.later:
            self._hear_message(message, heard_at)

    def _come_up(self, up: ConnectionUp, at: datetime) -> None:
        self._begin(up)
        # Who was picked up, or left alone, while nobody listened.
        self._awaited = {uid: awaited for uid, awaited in self._awaited.items() if self._is_still_awaited(awaited, at)}
        for again in awaited_again(self.calls):
            self._awaited.setdefault(again.uid, again)
        for uid in [uid for uid, awaited in self._awaited.items() if self._is_picked_up(awaited)]:
            self._picked_up(uid, at)

    def _is_still_awaited(self, awaited: Awaited, at: datetime) -> bool:
        return self.calls.channels.get(awaited.uid) is not None or at < awaited.until

    def _is_picked_up(self, awaited: Awaited) -> bool:
        channel = self.calls.channels.get(awaited.uid)
        return channel is not None and channel.parked and channel.answered_at is not None

    # ---- what we say

    def _say(self, data: bytes, asked: _Asked) -> None:
        if not self._credentials.secret:
            return  # in a trace somebody else speaks
        self._says.append(Wire(data))
        self._asked.append(asked)
        if len(self._asked) >= MAX_ASKED:
            self._broken = self._broken or "the PBX does not answer"

    def _api(self, api: Api, what: str, order: _Order | None = None, uid: str = "") -> None:
        if not self._logged_in:
            return
        self._say(line(f"api {api.text}"), _Asked(what, order, uid))

    def order(self, commands: Sequence[Command], at: datetime) -> None:
        """See `interpreter.Interpreter.order`."""
        for command in commands:
            try:
                self._carry_out(command, plan_for(command, self.calls, self._dialplan, at), at)
            except Refusal as refusal:
                self._refuse(command, at, refusal.reason, refusal.detail)
            except Unspeakable as error:
                self._refuse(command, at, "malformed", str(error))

    def _carry_out(self, command: Command, plan: Plan, at: datetime) -> None:
        for step in plan.says:
            line(step.text)  # all of them can be said, or none is
        if not plan.says:
            self._events.append(CommandDone(at=at, command_id=command.command_id))
        order = _Order(command, len(plan.says))
        for step in plan.says:
            match step:
                case Job(text=text, uid=uid):
                    self._say(line(f"bgapi {text}", f"Job-UUID: {uid}"), _Asked("job", order, uid))
                case Api():
                    self._api(step, "api", order)
        for awaited in plan.awaits:
            known = self._awaited.get(awaited.uid)
            self._awaited[awaited.uid] = awaited if known is None else replace(awaited, until=known.until)

    # ---- what a recorded gateway said

    def asks_for_snapshot(self, wire: Wire) -> bool:
        """See `interpreter.Interpreter.asks_for_snapshot`."""
        return any(text.startswith(_CHANNELS) for text in said(wire.data))

    def said(self, wire: Wire, at: datetime) -> None:  # noqa: ARG002 (nothing depends on when)
        """See `interpreter.Interpreter.said`."""
        for text in said(wire.data):
            words = text.split()
            if words[0] == "api":
                self._asked.append(_Asked("channels" if text.startswith(_CHANNELS) else "api"))
            if len(words) < 3 or words[0] not in ("api", "bgapi"):
                continue
            match words[1]:
                case "uuid_kill":
                    self.calls.killed(words[2])
                case "uuid_transfer":
                    self.calls.moves(words[2])
                case "uuid_bridge":
                    self.calls.moves(*words[2:4])
                case "originate":
                    self._said_originate(text.partition("originate ")[2])

    def _said_originate(self, argument: str) -> None:
        job = originated(argument)
        if job is not None and job.uid and job.number_to_dial:
            self.calls.expect(job.uid, Ordered(job.uid, job.uid, job.devices[0], number=job.number_to_dial))


def login_line(credentials: Credentials) -> bytes:
    """With the socket's password, or as a user of the directory (``1000@domain``) with the rights of that user.

    Raises:
        Unspeakable: the secret has a line break or another control character.
    """
    user = credentials.user
    return line(f"userauth {user}:{credentials.secret}" if "@" in user else f"auth {credentials.secret}")


def started_at(status: str, at: datetime) -> datetime | None:
    """When the PBX came up, of ``UP 0 years, 0 days, 1 hour, 12 minutes, 5 seconds ...``."""
    units = {"year": 365 * 86400, "day": 86400, "hour": 3600, "minute": 60, "second": 1}
    words = status.partition("\n")[0].replace(",", "").split()
    up_s = 0
    for number, unit in zip(words[1::2], words[2::2], strict=False):
        if number.isdecimal() and len(number) < 6:
            up_s += int(number) * units.get(unit.rstrip("s"), 0)
    return at - timedelta(seconds=up_s) if up_s < 100 * 365 * 86400 else None


def _texts(row: Mapping[object, object]) -> dict[str, str]:
    return {str(name): value for name, value in row.items() if isinstance(value, str)}


def _as_event(row: Row, at: datetime) -> Event:
    """A channel that was listed and could not be described: it may have ended in between."""
    now = int(at.timestamp() * 1_000_000)
    epoch = row.get("created_epoch", "")
    created = int(epoch) * 1_000_000 if epoch.isdecimal() and len(epoch) < 12 else now
    return JsonEvent(
        {
            "Event-Name": "CHANNEL_DATA",
            "Event-Date-Timestamp": str(now),
            "Unique-ID": row.get("uuid", ""),
            "Channel-Name": row.get("name", ""),
            "Call-Direction": row.get("direction", ""),
            "Caller-Caller-ID-Number": row.get("initial_cid_num", ""),
            "Caller-Caller-ID-Name": row.get("initial_cid_name", ""),
            "Caller-Destination-Number": row.get("initial_dest", ""),
            "Caller-Context": row.get("context", ""),
            "Caller-Channel-Created-Time": str(created),
            "Answer-State": "answered" if row.get("callstate") in ("ACTIVE", "HELD") else "ringing",
        }
    )


class FreeswitchEslDriver(StreamDriver):
    """See `interface.Driver`."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        dialplan: Dialplan = Dialplan(),  # noqa: B008 (immutable)
        chance: Callable[[], float] = random.random,
        tap: Tap = no_tap,
    ) -> None:
        credentials = credentials_of(endpoint.pbx_id)
        interpreter = FreeswitchEsl(
            credentials,
            dialplan=dialplan,
            count=lambda why: MALFORMED.labels(pbx=endpoint.pbx_id, why=why).inc(),
        )
        super().__init__(endpoint, interpreter, credentials, chance=chance, tap=tap)
