"""FreeSWITCH's channels as the event socket tells of them, and which of them hear each other."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum

from telephony_gateway.drivers.freeswitch_esl_messages import Event

MAX_CHANNELS = 50_000
REMEMBERED = 20_000
"""So many channels that are gone are known by name, so that a late event makes none of them anew."""
CLOCKS_APART = timedelta(seconds=5)
"""If the PBX's clock says something else than ours by more than this, ours counts."""
MAX_NAME = 200

_EPOCH = datetime.fromtimestamp(0, UTC)
_LATEST_US = 4_102_444_800_000_000
"""The year 2100: what is later is no time."""
_EXTENSION = re.compile(r"^[0-9]{2,6}$")
_NO_NUMBER = frozenset({"", "anonymous", "unknown", "unavailable", "restricted", "private", "withheld"})
_HIDDEN = frozenset({"loopback", "null", "[null]", "error"})
"""Endpoints whose channels are nobody's phone."""


class Kind(Enum):
    """Who is at the other end of a channel."""

    PHONE = "phone"
    TRUNK = "trunk"
    HIDDEN = "hidden"
    """Nobody: a loopback, a means of the dialplan."""


@dataclass(eq=False)
class Channel:
    """A channel. Times are those of the first event that told so."""

    uid: str
    name: str
    created_at: datetime
    kind: Kind
    incoming: bool
    """Whoever is there called the PBX, not the PBX them."""
    user: str
    """A phone's extension, a trunk's number."""
    called_user: str = ""
    """The extension in an outgoing channel's name, which is where it really goes."""
    profile: str = ""
    number: str = ""
    """Caller id: of an incoming channel its own, of an outgoing one what it is shown."""
    caller_name: str = ""
    dialled: str = ""
    """The number that was called at first."""
    diverted_from: str = ""
    context: str = ""
    parent: str = ""
    """The channel for which the PBX made this one."""
    other_half: str = ""
    """Of a loopback channel."""
    member: str = ""
    """Of an agent's leg that mod_callcenter called: the caller's channel."""
    alerting_at: datetime | None = None
    answered_at: datetime | None = None
    parked: bool = False
    held: bool = False
    """By itself: whoever is there put the other side on hold."""
    held_since: datetime | None = None
    bridged: str = ""
    room: str = ""
    """The conference in which it is."""
    variables: dict[str, str] = field(default_factory=dict)
    """What a gateway wrote on it."""
    attributes: dict[str, str] = field(default_factory=dict)
    """From a snapshot only."""
    application: str = ""
    """From a snapshot only."""
    was_bridged: bool = False
    """From a snapshot only: with somebody, at some time."""
    hung_at: datetime | None = None
    cause: str = ""
    disposition: str = ""
    """Who ended it, if it speaks SIP: ``recv_bye``, ``send_bye``, ``recv_cancel`` ..."""
    complete: bool = False
    """All that can be known of its end is known."""
    killed: bool = False
    """The gateway had it ended."""

    @property
    def is_live(self) -> bool:
        """Whether it is not over."""
        return self.hung_at is None

    @property
    def ended_it(self) -> bool:
        """Whether whoever is there hung up."""
        return self.disposition.startswith("recv_")


def moment(event: Event, heard_at: datetime) -> datetime:
    """When an event happened, by the PBX's clock unless that is wrong."""
    told = time_of(event["Event-Date-Timestamp"])
    return told if told is not None and abs(told - heard_at) <= CLOCKS_APART else heard_at


def time_of(microseconds: str) -> datetime | None:
    """A time as FreeSWITCH writes it: microseconds since 1970, 0 for never."""
    if not microseconds.isdecimal() or not microseconds.isascii() or len(microseconds) > len(str(_LATEST_US)):
        return None
    value = int(microseconds)
    return _EPOCH + timedelta(microseconds=value) if 0 < value < _LATEST_US else None


def known_number(number: str) -> str:
    """A number; empty for the words that mean there is none."""
    return "" if number.lower() in _NO_NUMBER else number


class Channels:
    """All channels that are up."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}
        self._gone: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._channels)

    def __iter__(self) -> Iterator[Channel]:
        return iter(list(self._channels.values()))

    def get(self, uid: str) -> Channel | None:
        """The channel with this id, if it is up."""
        return self._channels.get(uid)

    def was(self, uid: str) -> bool:
        """Whether there is or was such a channel."""
        return uid in self._channels or uid in self._gone

    def make(self, event: Event, at: datetime) -> Channel | None:
        """A channel that an event names for the first time; None if it is over, or the event names none."""
        uid, name = event["Unique-ID"], event["Channel-Name"]
        if not is_uid(uid) or not name or uid in self._gone or len(self._channels) >= MAX_CHANNELS:
            return None
        incoming = event["Call-Direction"] == "inbound"
        kind, user = _who(event, name, incoming=incoming)
        channel = Channel(
            uid=uid,
            name=name[:MAX_NAME],
            created_at=self._time(event, "Created", at) or at,
            kind=kind,
            incoming=incoming,
            user=user[:MAX_NAME],
            called_user="" if incoming else _extension(name),
            profile=event["variable_sip_gateway_name"] or event["variable_sofia_profile_name"],
            number=event["Caller-Caller-ID-Number"],
            caller_name=event["Caller-Caller-ID-Name"],
            dialled=event["variable_cc_did"] or event["Caller-Destination-Number"],
            diverted_from=_diverted_from(event) if incoming else "",
            parent="" if incoming else event["Other-Leg-Unique-ID"],
            other_half=event["variable_other_loopback_leg_uuid"],
            member=event["variable_cc_member_session_uuid"],
        )
        if channel.caller_name in ("unknown", channel.number):
            channel.caller_name = ""
        self._channels[uid] = channel
        self.update(channel, event, at)
        return channel

    def update(self, channel: Channel, event: Event, at: datetime) -> None:
        """What every event about a channel tells."""
        channel.context = event["Caller-Context"] or channel.context
        channel.other_half = channel.other_half or event["variable_other_loopback_leg_uuid"]
        if not channel.incoming and channel.alerting_at is None:
            channel.alerting_at = self._time(event, "Progress", at) or self._time(event, "Progress-Media", at)
        if channel.answered_at is None:
            channel.answered_at = self._time(event, "Answered", at)

    @staticmethod
    def _time(event: Event, what: str, at: datetime) -> datetime | None:
        """A channel's own time, by our clock if that of the PBX is wrong."""
        told, now = time_of(event[f"Caller-Channel-{what}-Time"]), time_of(event["Event-Date-Timestamp"])
        if told is None or now is None:
            return None
        return min(told + (at - now), at)

    def rename(self, channel: Channel, uid: str) -> None:
        """A channel has got another id (CHANNEL_UUID)."""
        if not is_uid(uid) or uid in self._channels or uid in self._gone:
            return
        self._channels[uid] = self._channels.pop(channel.uid)
        bridged, half = self.get(channel.bridged), self.get(channel.other_half)
        if bridged is not None and bridged.bridged == channel.uid:
            bridged.bridged = uid
        if half is not None and half.other_half == channel.uid:
            half.other_half = uid
        channel.uid = uid

    def remove(self, channel: Channel) -> None:
        """It is over, and nothing more will be told of it."""
        self._channels.pop(channel.uid, None)
        self._gone[channel.uid] = None
        while len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def real_parent(self, channel: Channel) -> tuple[Channel | None, list[Channel]]:
        """The channel for which this one was made, past loopbacks; and the loopbacks that were passed."""
        passed: list[Channel] = []
        uid = channel.parent
        while (parent := self.get(uid)) is not None and parent.kind is Kind.HIDDEN and parent not in passed:
            passed.append(parent)
            half = self.get(parent.other_half)
            if half is None or half in passed:
                break
            passed.append(half)
            uid = half.parent
        return (None if parent is None or parent.kind is Kind.HIDDEN else parent), passed

    def bridge(self, one: Channel, other: Channel) -> None:
        """These two hear each other, and nobody else."""
        for channel in (one, other):
            self.unbridge(channel)
        one.bridged, other.bridged = other.uid, one.uid

    def unbridge(self, channel: Channel) -> Channel | None:
        """It hears nobody any more; who it was that it heard."""
        other = self.get(channel.bridged)
        channel.bridged = ""
        if other is not None and other.bridged == channel.uid:
            other.bridged = ""
        return other

    def peer(self, channel: Channel) -> Channel | None:
        """Who is bridged with it, past loopbacks."""
        seen = {channel.uid}
        other = self.get(channel.bridged)
        while other is not None and other.kind is Kind.HIDDEN and other.uid not in seen:
            seen.add(other.uid)
            half = self.get(other.other_half)
            other = self.get(half.bridged) if half is not None else None
        return other if other is not None and other.kind is not Kind.HIDDEN and other is not channel else None

    def in_room(self, room: str) -> list[Channel]:
        """Who is in a conference."""
        return [channel for channel in self._channels.values() if channel.room == room] if room else []


def is_uid(uid: str) -> bool:
    """Whether it can be a channel's id."""
    return 0 < len(uid) <= MAX_NAME and uid.isascii() and uid.isprintable() and " " not in uid


def _who(event: Event, name: str, *, incoming: bool) -> tuple[Kind, str]:
    """Who is there: ``sofia/internal/1001@pbx`` is a phone, ``sofia/external/13800138000@carrier`` a trunk."""
    technology = name.partition("/")[0]
    if technology in _HIDDEN:
        return Kind.HIDDEN, ""
    user = (event["Caller-Username"] if incoming else "") or name.rpartition("/")[2].partition("@")[0]
    if event["variable_sip_gateway_name"] or event["variable_sip_gateway"]:
        return Kind.TRUNK, user
    own = event["variable_user_name"] if incoming else event["variable_dialed_user"]
    if own:
        return Kind.PHONE, own
    if incoming and not known_number(event["Caller-Caller-ID-Number"]):
        return Kind.TRUNK, user
    return (Kind.PHONE if _EXTENSION.match(user) else Kind.TRUNK), user


def _extension(name: str) -> str:
    """``1003`` of ``sofia/internal/1003@10.0.0.9``; empty if it is none."""
    user = name.rpartition("/")[2].partition("@")[0]
    return user if _EXTENSION.match(user) else ""


def _diverted_from(event: Event) -> str:
    """Who was called at first: RFC 5806 (Diversion), or what FreeSWITCH made of it."""
    diversion = event["variable_sip_h_Diversion"]
    if diversion:
        user = diversion.partition("<")[2].partition(">")[0] or diversion
        return re.split(r"[@;>]", re.sub(r"^(?:sips?|tel):", "", user), maxsplit=1)[0]
    return event["Caller-RDNIS"]
