"""FreeSWITCH's event socket on the wire: headers in lines, an empty line, and a body of ``Content-Length`` bytes.

See https://developer.signalwire.com/freeswitch (mod_event_socket). What is heard is cut here, whatever it is: bytes in
pieces, messages of any size, text in any encoding. Values of plain events are percent-encoded, those of replies, bodies
and JSON are not; names in GBK come through as the bytes that they are. What is said is made here, and nowhere else: a
value cannot end its line.
"""

import json
import unicodedata
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote_to_bytes

MAX_HEADERS = 256 * 1024
"""Bytes of a message's headers, or of a plain event; real events have 13 KB at most."""
MAX_BODY = 32 * 1024 * 1024
"""Bytes of a body: ``show channels as json`` takes 1 KB for each leg."""
MAX_SKIPPED = 1024 * 1024 * 1024
"""Bytes of a body that is passed over unread; whoever announces more is not understood."""
MAX_LINE = 4000
"""Characters of a line that is said."""
SET_ASIDE = 50
PLAIN, JSON = "text/event-plain", "text/event-json"
_END = b"\n\n"
_LENGTH = b"content-length"
_UNSPEAKABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, half characters, separators of lines and paragraphs (Unicode's categories)."""


class Unspeakable(ValueError):
    """A line that cannot be said: it would end before its end, or is too long."""


@dataclass(frozen=True)
class SetAside:
    """What made no sense: its beginning, and why."""

    data: bytes
    why: str


class Event(Protocol):
    """An event or a channel's description: values by name, empty where there is none."""

    def __getitem__(self, name: str, /) -> str:
        """The value."""

    def __iter__(self) -> Iterator[str]:
        """The names."""


class PlainEvent:
    """An event of ``event plain``; values are decoded when they are asked for: a few of more than a hundred."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Mapping[bytes, bytes]) -> None:
        self._raw = raw

    def __getitem__(self, name: str, /) -> str:
        raw = self._raw.get(name.encode("ascii"), b"")
        return decoded(unquote_to_bytes(raw) if b"%" in raw else raw)

    def __iter__(self) -> Iterator[str]:
        return (decoded(name) for name in self._raw)


class JsonEvent:
    """An event of ``event json``, or a channel as ``uuid_dump ... json`` describes it."""

    __slots__ = ("_told",)

    def __init__(self, told: Mapping[str, object]) -> None:
        self._told = told

    def __getitem__(self, name: str, /) -> str:
        value = self._told.get(name, "")
        return value if isinstance(value, str) else ""

    def __iter__(self) -> Iterator[str]:
        return iter(self._told)


@dataclass(frozen=True)
class Message:
    """What stands between two empty lines: its type, the reply in one line, the body."""

    kind: str
    """``Content-Type``."""
    reply: str
    body: bytes
    disposition: str = ""

    @property
    def text(self) -> str:
        """The body, or where there is none the reply."""
        return decoded(self.body) if self.body else self.reply


class MessageReader:
    """Cuts a stream into messages. What makes no sense is counted, its beginning kept, and passed over."""

    def __init__(self) -> None:
        self.refused: str | None = None
        """Why whoever talks cannot be understood any more."""
        self.malformed: Counter[str] = Counter()
        self.set_aside: deque[SetAside] = deque(maxlen=SET_ASIDE)
        self._buffer = bytearray()
        self._searched = 0
        self._head: tuple[dict[bytes, bytes], int] | None = None
        self._skip = 0

    def restart(self) -> None:
        """A new connection begins."""
        self._buffer.clear()
        self._searched = self._skip = 0
        self._head = self.refused = None

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete now."""
        if self.refused is not None:
            return
        self._buffer += data
        while self.refused is None:
            if self._skip:
                passed = min(self._skip, len(self._buffer))
                del self._buffer[:passed]
                self._skip -= passed
                if self._skip:
                    return
            if self._head is None and not self._read_head():
                return
            if self._head is None:
                continue
            headers, length = self._head
            if len(self._buffer) < length:
                return
            body = bytes(self._buffer[:length])
            del self._buffer[:length]
            self._head = None
            yield Message(
                kind=decoded(headers.get(b"Content-Type", b"")),
                reply=decoded(headers.get(b"Reply-Text", b"")),
                body=body,
                disposition=decoded(headers.get(b"Content-Disposition", b"")),
            )

    def event(self, message: Message) -> Event | None:
        """The event in a message; None if it makes no sense."""
        told = plain_event(message.body) if message.kind == PLAIN else json_object(message.body)
        if told is None or not told["Event-Name"]:
            self._put_aside(message.body, "no-event")
            return None
        return told

    def _read_head(self) -> bool:
        """Whether something was found: headers, or what is passed over."""
        if self._searched == 0:
            stray = 0
            while self._buffer.startswith((b"\r", b"\n"), stray):
                stray += 1
            del self._buffer[:stray]
        end = self._buffer.find(_END, max(0, self._searched - 1))
        if end < 0:
            self._searched = len(self._buffer)
            if len(self._buffer) > MAX_HEADERS:
                self._give_up("headers-too-long", "headers that do not end")
            return False
        raw = bytes(self._buffer[:end])
        del self._buffer[: end + len(_END)]
        self._searched = 0
        headers = headers_of(raw)
        if b"Content-Type" not in headers:
            # Nothing tells where the next message begins: this is no event socket, or we have lost our place.
            self._give_up("no-content-type", "no event socket", raw)
            return False
        length = next((value for name, value in headers.items() if name.lower() == _LENGTH), b"0")
        if not length.isdigit() or len(length) > len(str(MAX_SKIPPED)) or int(length) > MAX_SKIPPED:
            self._give_up("bad-length", "a body of an impossible length", raw)
            return False
        if int(length) > MAX_BODY:
            self._put_aside(raw, "too-long")
            self._skip = int(length)
        else:
            self._head = headers, int(length)
        return True

    def _give_up(self, why: str, reason: str, raw: bytes | None = None) -> None:
        self._put_aside(bytes(self._buffer[:200]) if raw is None else raw, why)
        self.refused = f"not understood: {reason}"
        self._buffer.clear()

    def _put_aside(self, raw: bytes, why: str) -> None:
        self.malformed[why] += 1
        self.set_aside.append(SetAside(raw[:200], why))


def headers_of(raw: bytes) -> dict[bytes, bytes]:
    """The headers in lines; of several with the same name the first."""
    pairs = [line.split(b":", 1) for line in raw.split(b"\n")]
    # A hundred and more in each event: this is where the time goes.
    return {pair[0]: pair[1].strip() for pair in reversed(pairs) if len(pair) == 2}


def plain_event(body: bytes) -> Event | None:
    """The event in the body of a ``text/event-plain``; what follows its headers (a job's result) is ``_body``."""
    raw, _, inner = body.partition(_END)
    if len(raw) > MAX_HEADERS:
        return None
    headers = headers_of(raw)
    if inner:
        headers[b"_body"] = inner.replace(b"%", b"%25")
    return PlainEvent(headers)


def json_object(body: bytes) -> "JsonEvent | None":
    """A JSON object whose texts may be in any encoding; None if it is none."""
    told = json_of(body)
    return JsonEvent(told) if isinstance(told, dict) else None


def json_of(body: bytes) -> object:
    """What a JSON text says; None if it is none. Texts that are no UTF-8 (FreeSWITCH passes on what it got) are GBK."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    try:
        # Byte by byte: a second byte of GBK may look like a backslash, which FreeSWITCH has escaped.
        return _decoded_texts(json.loads(body.decode("latin-1"), strict=False))
    except (ValueError, RecursionError):
        return None


def _decoded_texts(value: object) -> object:
    match value:
        case str():
            try:
                return decoded(value.encode("latin-1"))
            except UnicodeEncodeError:
                return value
        case dict():
            return {_decoded_texts(name): _decoded_texts(inner) for name, inner in value.items()}
        case list():
            return [_decoded_texts(inner) for inner in value]
        case _:
            return value


def decoded(raw: bytes) -> str:
    """Text in UTF-8, else in GBK (what Chinese PBXs and carriers send), else whatever it is."""
    if raw.isascii():
        return raw.decode("ascii")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        return raw.decode("gb18030")
    except UnicodeDecodeError:
        return raw.decode("utf-8", errors="replace")


def line(text: str, *headers: str) -> bytes:
    """A command as bytes, with further header lines.

    Raises:
        Unspeakable: a value would break out of its line.
    """
    return ("\n".join(spoken(part) for part in (text, *headers)) + "\n\n").encode()


def spoken(text: str) -> str:
    """A line that may be said.

    Raises:
        Unspeakable: it has a line break or another control character, or is too long.
    """
    if len(text) > MAX_LINE:
        raise Unspeakable("too long")
    if any(unicodedata.category(c) in _UNSPEAKABLE for c in text):
        raise Unspeakable("it has control characters")
    return text


def said(data: bytes) -> Iterator[str]:
    """The first lines of the commands in what a gateway said; for traces."""
    for raw in data.split(_END):
        first = raw.strip().split(b"\n", 1)[0].strip()
        if first:
            yield decoded(first)
