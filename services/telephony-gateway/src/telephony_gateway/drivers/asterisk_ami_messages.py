"""The Asterisk Manager Interface on the wire: headers ``Name: value`` in lines, an empty line ends a message.

See the AMI v2 specification at https://docs.asterisk.org. What is heard is cut here, whatever it is: bytes in pieces,
messages of any size, text in any encoding. What is said is made here, and nowhere else: a value cannot end its line.
"""

import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

MAX_MESSAGE = 256 * 1024
"""Bytes of a message. The largest of real ones, a transfer's, has 5 KB."""
MAX_VALUE = 1000
"""Characters of a value that is said; Asterisk cuts lines of more than 1024 bytes or refuses them."""
MAX_LINE_BYTES = 1000
SET_ASIDE = 50
GREETING = b"Asterisk Call Manager/"
MAX_GREETING = 512
_END = b"\r\n\r\n"
_UNSPEAKABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, half characters, separators of lines and paragraphs (Unicode's categories)."""


class Unspeakable(ValueError):
    """A value that cannot be said: it would end its line, or is too long."""


@dataclass(frozen=True)
class SetAside:
    """What made no sense: its beginning, and why."""

    data: bytes
    why: str


class Message:
    """A message: its headers by name, of several with the same name the first."""

    __slots__ = ("_headers", "_more")

    def __init__(self, headers: Iterable[tuple[str, str]]) -> None:
        self._headers: dict[str, str] = {}
        self._more: list[tuple[str, str]] = []
        for name, value in headers:
            if self._headers.setdefault(name, value) is not value:
                self._more.append((name, value))

    def __getitem__(self, name: str) -> str:
        """The value; empty where there is none."""
        return self._headers.get(name, "")

    def __contains__(self, name: str) -> bool:
        return name in self._headers

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __bool__(self) -> bool:
        return bool(self._headers)

    def every(self, name: str) -> Iterator[str]:
        """All values of a header that may come several times."""
        if name in self._headers:
            yield self._headers[name]
        yield from (value for other, value in self._more if other == name)

    @property
    def event(self) -> str:
        """The name of the event; empty for an answer."""
        return self["Event"]


class MessageReader:
    """Cuts a stream into messages. What makes no sense is counted, its beginning kept, and passed over."""

    def __init__(self, count: Callable[[str], None] = lambda _why: None) -> None:
        self._count = count
        self.version: str | None = None
        """Of the protocol, once the PBX has greeted."""
        self.refused: str | None = None
        """Why this is no Asterisk Manager Interface."""
        self.malformed: Counter[str] = Counter()
        self.set_aside: deque[SetAside] = deque(maxlen=SET_ASIDE)
        self._buffer = bytearray()
        self._searched = 0
        self._skipping = False

    def restart(self) -> None:
        """A new connection begins."""
        self._buffer.clear()
        self._searched = 0
        self._skipping = False
        self.version = None
        self.refused = None

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete now."""
        if self.refused is not None:
            return
        self._buffer += data
        if self.version is None and not self._greeted():
            return
        while (end := self._buffer.find(_END, max(0, self._searched - len(_END)))) >= 0:
            raw = bytes(self._buffer[:end])
            del self._buffer[: end + len(_END)]
            self._searched = 0
            if self._skipping or len(raw) > MAX_MESSAGE:
                self._skipping = False
                self._put_aside(raw, "too-long")
                continue
            message = self._message(raw)
            if message:
                yield message
        self._searched = len(self._buffer)
        if len(self._buffer) > MAX_MESSAGE:
            # The end may be in two pieces.
            del self._buffer[: -len(_END)]
            self._searched = 0
            self._skipping = True

    def _greeted(self) -> bool:
        """The first line stands alone, no empty line follows."""
        end = self._buffer.find(b"\r\n")
        begins_well = self._buffer.startswith(GREETING[: len(self._buffer)])
        if not begins_well or (end < 0 and len(self._buffer) > MAX_GREETING):
            self._put_aside(bytes(self._buffer[:MAX_GREETING]), "no-greeting")
            self.refused = "whoever listens there is no Asterisk Manager Interface"
            self._buffer.clear()
            return False
        if end < 0:
            return False
        self.version = decoded(bytes(self._buffer[len(GREETING) : end]))[:20]
        del self._buffer[: end + 2]
        return True

    def _message(self, raw: bytes) -> Message | None:
        headers = []
        for line in raw.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if colon and name:
                headers.append((decoded(name.strip()), decoded(value.strip())))
        if not headers and raw.strip():
            self._put_aside(raw, "no-headers")
        return Message(headers)

    def _put_aside(self, raw: bytes, why: str) -> None:
        self.malformed[why] += 1
        self._count(why)
        self.set_aside.append(SetAside(raw[:200], why))


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


def action(name: str, action_id: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """An action as bytes.

    Raises:
        Unspeakable: a value would break out of its line.
    """
    lines = [f"{key}: {spoken(value)}" for key, value in (("Action", name), ("ActionID", action_id), *headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def spoken(value: str) -> str:
    """A value that may be said.

    Raises:
        Unspeakable: it has a line break or another control character, or is too long.
    """
    if len(value) > MAX_VALUE or len(value.encode("utf-8", errors="replace")) > MAX_LINE_BYTES:
        raise Unspeakable("too long")
    if any(unicodedata.category(c) in _UNSPEAKABLE for c in value):
        raise Unspeakable("it has control characters")
    return value


def said(data: bytes) -> Iterator[Message]:
    """The actions in what a gateway said; for traces."""
    for raw in data.split(_END):
        headers = [line.partition(b":") for line in raw.split(b"\r\n") if b":" in line]
        if headers:
            yield Message((decoded(name.strip()), decoded(value.strip())) for name, _, value in headers)
