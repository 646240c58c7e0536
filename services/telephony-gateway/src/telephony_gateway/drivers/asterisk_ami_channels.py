"""Asterisk's channels and bridges as the Manager Interface tells of them, and who is connected with whom."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from telephony_gateway.drivers.asterisk_ami_messages import Message

DOWN, RING, RINGING, UP = 0, 4, 5, 6
"""``ChannelState``: not there yet, dials, is rung, talks (https://docs.asterisk.org, ``ast_channel_state``)."""
MAX_CHANNELS = 50_000
REMEMBERED = 20_000
"""So many channels that are gone are known by name, so that a late event makes none of them anew."""

_NAME = re.compile(r"^(?P<technology>[^/]+)/(?P<rest>.+?)(?:-[0-9a-fA-F]{6,16})?(?:;[12])?$")
_HIDDEN = frozenset(
    {
        "Announcer", "AudioSocket", "Bridge", "CBAnn", "CBRec", "Local", "Message", "MulticastRTP", "Null", "Parked",
        "Recorder", "Snoop", "Surrogate", "UnicastRTP",
    }
)  # fmt: skip
"""Technologies whose channels are nobody's phone."""
_EXTENSION = re.compile(r"^[0-9]{2,6}$")
_NOBODY = frozenset({"", "<unknown>"})


@dataclass(eq=False)
class Channel:
    """A channel. Times are those of the first event that told so."""

    uid: str
    name: str
    created_at: datetime
    endpoint: str = ""
    """``1001`` of ``PJSIP/1001-0000002a``."""
    technology: str = ""
    hidden: bool = False
    trunk: bool = False
    state: int = DOWN
    incoming: bool = False
    """Whoever is there called the PBX, not the PBX them."""
    alerting_at: datetime | None = None
    up_at: datetime | None = None
    number: str = ""
    caller_name: str = ""
    shown: str = ""
    """The number of whom it is connected with, as far as the PBX says so."""
    context: str = ""
    exten: str = ""
    first_exten: str = ""
    linked: str = ""
    bridge: str | None = None
    other_half: str | None = None
    """Of a Local channel."""
    dialled_from: str | None = None
    dials: str = ""
    """What the PBX dials to reach it: ``13800138000@carrier``."""
    dial_status: str = ""
    forward: str = ""
    requested_at: datetime | None = None
    """When whoever is there hung up (HangupRequest)."""
    softly_at: datetime | None = None
    """When the PBX ended it (SoftHangupRequest)."""
    transfers: bool = False
    """The gateway asked the PBX to do what this phone would do at a transfer."""
    gone: bool = False

    @property
    def is_up(self) -> bool:
        """Whether somebody is there."""
        return self.state == UP and not self.gone

    @property
    def is_phone(self) -> bool:
        """Whether it is the phone of one of us."""
        return not self.hidden and not self.trunk

    @property
    def dialled_number(self) -> str:
        """The number outside at which the PBX reaches it."""
        return re.split(r"[@/]", self.dials.removeprefix("sip:"), maxsplit=1)[0]


@dataclass(eq=False)
class Bridge:
    """A bridge. In a holding bridge nobody hears anybody."""

    uid: str
    holding: bool = False
    members: set[str] = field(default_factory=set)


class Channels:
    """All channels that are up."""

    def __init__(self, trunks: tuple[str, ...] = ()) -> None:
        self._trunks = frozenset(trunks)
        self._channels: dict[str, Channel] = {}
        self._by_name: dict[str, str] = {}
        self._bridges: dict[str, Bridge] = {}
        self._gone: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._channels)

    def __iter__(self) -> Iterator[Channel]:
        return iter(list(self._channels.values()))

    def get(self, uid: str | None) -> Channel | None:
        """The channel with this unique id, if it is up."""
        return self._channels.get(uid) if uid else None

    def named(self, name: str) -> Channel | None:
        """The channel of this name, if it is up."""
        return self.get(self._by_name.get(name))

    def seen(self, message: Message, at: datetime, prefix: str = "") -> Channel | None:
        """The channel that an event tells of, as it is now; None if it is over, or the event names none."""
        uid, name = message[f"{prefix}Uniqueid"], message[f"{prefix}Channel"]
        if not uid or not name or uid in self._gone or not (uid.isprintable() and len(uid) <= 200):
            return None
        channel = self._channels.get(uid)
        if channel is None:
            if len(self._channels) >= MAX_CHANNELS:
                return None
            channel = self._channels[uid] = Channel(uid=uid, name=name, created_at=at)
            self._rename(channel, name)
        elif channel.name != name:
            self._rename(channel, name)
        self._update(channel, message, at, prefix)
        return channel

    def _rename(self, channel: Channel, name: str) -> None:
        if self._by_name.get(channel.name) == channel.uid:
            del self._by_name[channel.name]
        channel.name = name
        self._by_name[name] = channel.uid
        found = _NAME.match(name)
        technology, rest = (found["technology"], found["rest"]) if found else ("", name)
        channel.technology = technology
        channel.hidden = not found or technology in _HIDDEN
        channel.endpoint = rest.split("@", 1)[0]
        channel.trunk = not channel.hidden and self.is_trunk(channel.endpoint)

    def is_trunk(self, endpoint: str) -> bool:
        """Whether an endpoint leads outside: it is configured as a trunk, or no extension of two to six digits."""
        return endpoint in self._trunks or _EXTENSION.match(endpoint) is None

    @staticmethod
    def _update(channel: Channel, message: Message, at: datetime, prefix: str) -> None:
        state = message[f"{prefix}ChannelState"]
        if state.isdecimal() and len(state) <= 2:
            told = int(state)
            if told == RINGING and channel.alerting_at is None:
                channel.alerting_at = at
            if told == UP and channel.up_at is None:
                channel.up_at = at
            # What another topic tells may be late: up stays up.
            channel.state = channel.state if channel.state == UP else told
        channel.number = known(message[f"{prefix}CallerIDNum"]) or channel.number
        channel.caller_name = known(message[f"{prefix}CallerIDName"])
        channel.shown = known(message[f"{prefix}ConnectedLineNum"]) or channel.shown
        channel.context = message[f"{prefix}Context"]
        channel.exten = message[f"{prefix}Exten"]
        channel.linked = message[f"{prefix}Linkedid"] or channel.linked

    def remove(self, channel: Channel) -> None:
        """It is over."""
        channel.gone = True
        self.leave(channel)
        self._channels.pop(channel.uid, None)
        if self._by_name.get(channel.name) == channel.uid:
            del self._by_name[channel.name]
        self._gone[channel.uid] = None
        while len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]

    # ---- bridges

    def enter(self, channel: Channel, bridge_uid: str, technology: str) -> None:
        """It is in a bridge now, and in no other."""
        self.leave(channel)
        bridge = self._bridges.setdefault(bridge_uid, Bridge(bridge_uid))
        bridge.holding = technology == "holding_bridge"
        bridge.members.add(channel.uid)
        channel.bridge = bridge_uid

    def leave(self, channel: Channel, bridge_uid: str | None = None) -> bool:
        """It is in no bridge any more; False if it was not in this one."""
        if channel.bridge is None or bridge_uid not in (None, channel.bridge):
            return False
        bridge = self._bridges[channel.bridge]
        bridge.members.discard(channel.uid)
        channel.bridge = None
        if not bridge.members:
            del self._bridges[bridge.uid]
        return True

    def beside(self, channel: Channel) -> list[Channel]:
        """Who else is in its bridge and may be heard there."""
        bridge = self._bridges.get(channel.bridge) if channel.bridge is not None else None
        if bridge is None or bridge.holding:
            return []
        others = (self._channels.get(uid) for uid in sorted(bridge.members) if uid != channel.uid)
        return [other for other in others if other is not None]

    def is_held_in_a_bridge(self, channel: Channel) -> bool:
        """Whether it is where nobody hears anybody."""
        bridge = self._bridges.get(channel.bridge) if channel.bridge is not None else None
        return bridge is not None and bridge.holding

    def reached_from(self, channel: Channel) -> list[Channel]:
        """All real channels that are connected with this one, through bridges and Local channels."""
        seen = {channel.uid}
        found = []
        waiting = [channel]
        while waiting:
            current = waiting.pop()
            beside = self.beside(current)
            other_half = self.get(current.other_half)
            for other in [*beside, *([other_half] if other_half is not None else [])]:
                if other.uid in seen:
                    continue
                seen.add(other.uid)
                if other.hidden:
                    waiting.append(other)
                    continue
                if other.is_up:
                    found.append(other)
                    waiting.append(other)
        return found


def known(number: str) -> str:
    """A number or name; empty for Asterisk's word for none."""
    return "" if number in _NOBODY else number
