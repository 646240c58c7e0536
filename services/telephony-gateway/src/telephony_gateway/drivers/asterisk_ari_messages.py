"""What Asterisk's REST interface (ARI) says, as values; and what is said to it, as requests.

Names of fields and events: Asterisk's ``rest-api/api-docs`` (16 to 22). Fields that are not needed are not read; those
that are have to be what they should be, or the message is `Malformed`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from telephony_gateway.domain.pbx_events import LiveDevice
from telephony_gateway.domain.words import DeviceState
from telephony_gateway.drivers.asterisk_devices import PHONES
from telephony_gateway.drivers.interpreter import Wire

MAX_MESSAGE = 1024 * 1024
"""Bytes of one message of the WebSocket."""
MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of one answer: a list of 10,000 channels has 7 MB."""
MAX_TEXT = 1000
MAX_ID = 149
"""``AST_MAX_PUBLIC_UNIQUEID``."""
PREFIX = "/ari"

_EXTENSION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,79}$")
_NUMBER = re.compile(r"^\+?[0-9*#]{1,32}$")
_CHANNEL_NAME = re.compile(r"^([A-Za-z0-9]+)/(.+)-([0-9a-f]{8})(;[12])?$")


class Malformed(Exception):
    """A message makes no sense; the text says why in a few words that can be counted."""


def read_json(data: bytes) -> Any:
    """JSON in whatever encoding names came: what is no UTF-8 is GB18030, or becomes U+FFFD.

    Raises:
        Malformed: it is no JSON.
    """
    if len(data) > MAX_ANSWER:
        raise Malformed("too long")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        try:
            text = data.decode("gb18030")
        except UnicodeDecodeError:
            text = data.decode(errors="replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed("no JSON") from error


# ---- what is heard


@dataclass(frozen=True)
class Channel:
    """A channel as Asterisk describes it in every event."""

    channel_id: str
    name: str = ""
    state: str = ""
    number: str = ""
    """Of whom it calls or is: for a caller, their number."""
    caller_name: str = ""
    connected: str = ""
    """Number, or else name, of whom it shows on its display."""
    exten: str = ""
    application: str = ""
    """The dialplan application it is in (``Stasis``, ``Queue`` ...), and that one's arguments."""
    arguments: tuple[str, ...] = ()
    created_at: datetime | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    """``channelvars`` of ``ari.conf``."""

    @property
    def is_up(self) -> bool:
        """Whether it was answered."""
        return self.state == "Up"

    @property
    def rings(self) -> bool:
        """Whether the phone said that it rings."""
        return self.state == "Ringing"

    @property
    def peer(self) -> str:
        """``1001`` of ``PJSIP/1001-0000000a`` and of ``Local/1001@from-agent-0000000b;1``; a trunk's name."""
        return peer_of(self.name)


def to_channel(found: Any) -> Channel:
    """A channel.

    Raises:
        Malformed: it has no id, or a field is of the wrong kind.
    """
    if not isinstance(found, dict):
        raise Malformed("channel is no object")
    caller, connected, dialplan = (_object(found, name) for name in ("caller", "connected", "dialplan"))
    application, arguments = _text(dialplan, "app_name"), _text(dialplan, "app_data")
    return Channel(
        channel_id=_id(found, "id"),
        name=_text(found, "name"),
        state=_text(found, "state"),
        number=_text(caller, "number"),
        caller_name=_text(caller, "name"),
        connected=_text(connected, "number") or _text(connected, "name"),
        exten=_text(dialplan, "exten"),
        application=application,
        arguments=tuple(arguments.split(",")) if application == "Stasis" else (),
        created_at=to_moment(found.get("creationtime")),
        variables=_texts(found, "channelvars"),
    )


@dataclass(frozen=True)
class Bridge:
    """A bridge and who is in it."""

    bridge_id: str
    is_holding: bool
    channels: tuple[str, ...]


def to_bridge(found: Any) -> Bridge:
    """A bridge.

    Raises:
        Malformed: it has no id, or a field is of the wrong kind.
    """
    if not isinstance(found, dict):
        raise Malformed("bridge is no object")
    channels = found.get("channels")
    if not isinstance(channels, list) or not all(isinstance(channel, str) for channel in channels):
        raise Malformed("bridge without a list of channels")
    return Bridge(
        bridge_id=_id(found, "id"),
        is_holding=_text(found, "bridge_type") == "holding",
        channels=tuple(channel for channel in channels if len(channel) <= MAX_ID),
    )


@dataclass(frozen=True)
class Event:
    """An event. Its particulars are read when they are needed."""

    kind: str
    at: datetime | None
    """Asterisk's time; missing if it told none."""
    body: Mapping[str, Any]

    def channel(self, name: str = "channel") -> Channel | None:
        """The channel of that name, if the event has one."""
        found = self.body.get(name)
        return None if found is None else to_channel(found)

    def bridge(self) -> Bridge | None:
        """The bridge, if the event has one."""
        found = self.body.get("bridge")
        return None if found is None else to_bridge(found)

    def text(self, name: str) -> str:
        """A text; empty if it is missing."""
        return _text(self.body, name)

    def number(self, name: str) -> int | None:
        """A number, if it is one."""
        found = self.body.get(name)
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    def flag(self, name: str) -> bool:
        """Whether it is true."""
        return self.body.get(name) is True

    def arguments(self) -> tuple[str, ...]:
        """What the dialplan, or whoever originated the channel, gave to ``Stasis()``."""
        found = self.body.get("args")
        if not isinstance(found, list):
            return ()
        return tuple(argument[:MAX_TEXT] for argument in found[:100] if isinstance(argument, str))

    def object(self, name: str) -> Mapping[str, Any]:
        """An object; empty if it is missing."""
        return _object(self.body, name)


def to_event(data: bytes) -> Event:
    """A message of the WebSocket.

    Raises:
        Malformed: it is no event.
    """
    found = read_json(data)
    if not isinstance(found, dict):
        raise Malformed("no object")
    kind = found.get("type")
    if not isinstance(kind, str) or not kind:
        raise Malformed("no type")
    return Event(kind[:100], to_moment(found.get("timestamp")), found)


def to_moment(found: Any) -> datetime | None:
    """``2026-11-22T07:29:45.187+0000``; None if it is no time, or one without a zone."""
    if not isinstance(found, str) or len(found) > 40:
        return None
    try:
        at = datetime.fromisoformat(found)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def to_device(found: Any) -> LiveDevice | None:
    """A device as an endpoint tells it; None for what is no phone, or of which nothing is known.

    Raises:
        Malformed: it is no endpoint.
    """
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


def started_at_of(found: Any) -> datetime | None:
    """When Asterisk came up, of ``GET /asterisk/info``."""
    status = found.get("status") if isinstance(found, dict) else None
    return to_moment(status.get("startup_time")) if isinstance(status, dict) else None


def message_of(data: bytes) -> str:
    """What Asterisk says about a failed request."""
    try:
        found = read_json(data[:10_000])
    except Malformed:
        return ""
    message = found.get("message") if isinstance(found, dict) else None
    return message[:200] if isinstance(message, str) else ""


def peer_of(name: str) -> str:
    """The phone, trunk or extension in a channel's name."""
    parts = _CHANNEL_NAME.match(name)
    if parts is None:
        return name.partition("/")[2] or name
    peer = parts.group(2)
    return peer.partition("@")[0] if parts.group(1) == "Local" else peer


def device_of(name: str) -> str | None:
    """What we call the device ``PJSIP/1001``; None for what is no phone."""
    technology, _, resource = name.partition("/")
    if technology not in PHONES or _EXTENSION.match(resource) is None:
        return None
    return resource


def _object(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"{name} is no object")
    return value


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed(f"{name} is no text")
    return value[:MAX_TEXT]


def _texts(found: Mapping[str, Any], name: str) -> dict[str, str]:
    values = list(_object(found, name).items())[:100]
    return {key: value[:MAX_TEXT] for key, value in values if isinstance(value, str) and len(key) <= MAX_TEXT}


def _id(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID or not value.isprintable():
        raise Malformed(f"no {name}")
    return value


# ---- what is said


@dataclass(frozen=True)
class Request:
    """A REST request, without host, user and secret."""

    method: str
    steps: tuple[str, ...]
    """The path below ``/ari``: ``("channels", ID, "answer")``."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    def wire(self, exchange: str) -> Wire:
        """On the wire. Whatever stands in names and values is one step or one value there."""
        path = "/".join((PREFIX, *(quote(step, safe="~:") for step in self.steps)))
        if self.query:
            path += "?" + urlencode(self.query, quote_via=quote)
        data = b"" if self.body is None else json.dumps(self.body).encode()
        return Wire(data=data, channel="rest", exchange=exchange, method=self.method, path=path)


def to_request(wire: Wire) -> Request:
    """The request that somebody made."""
    try:
        parts = urlsplit(wire.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query, max_num_fields=50).items()}
    except ValueError as error:
        raise Malformed("no path") from error
    path = parts.path
    below = path.partition(f"{PREFIX}/")[2] if f"{PREFIX}/" in path else path.lstrip("/")
    return Request(wire.method.upper(), tuple(unquote(step) for step in below.split("/")), query)


def get(*steps: str, **query: str) -> Request:
    """Ask for something."""
    return Request("GET", steps, query)


def post(*steps: str, **query: str) -> Request:
    """Do something."""
    return Request("POST", steps, query)


def delete(*steps: str, **query: str) -> Request:
    """End something."""
    return Request("DELETE", steps, query)


def endpoint_of(device: str) -> str | None:
    """How Asterisk calls a device; None if no phone can be called so.

    A device is an extension and nothing else: with ``@`` in it (``13900000000@carrier``) it would be a way out
    through a trunk, past the dial rules.
    """
    return f"PJSIP/{device}" if _EXTENSION.match(device) else None


def outside(number: str, trunk: str) -> str | None:
    """How Asterisk calls a number through a trunk; None if it is no number, or no trunk."""
    if _NUMBER.match(number) is None or _EXTENSION.match(trunk) is None:
        return None
    return f"PJSIP/{number}@{trunk}"


def caller_id(number: str, name: str) -> str:
    """``"Name" <number>``, without anything that could end either of them."""
    number = "".join(c for c in number if c.isalnum() or c in "+*#")[:80]
    name = "".join(c for c in name if c.isprintable() and c not in '"<>\\')[:80].strip()
    return f'"{name}" <{number}>' if name else number or "anonymous"


def joined(arguments: Iterable[str]) -> str:
    """Arguments of an application; a comma separates them and cannot be in one."""
    return ",".join(argument.replace(",", " ") for argument in arguments)
