"""Traces: JSON Lines of what passed over the wire, ``{"t": 1.927, "dir": "rx", "text": "Event: ..."}``.

``dir`` is ``rx`` (from the PBX), ``tx`` (to it), ``open`` or ``close``. Bytes that are no UTF-8 stand in ``base64``.
ARI lines have ``ch`` (``ws``, ``rest``), REST lines ``id``, ``method``, ``path`` and ``status``.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from telephony_gateway.drivers.interpreter import Wire

NO_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""When a recording began, if nobody wrote it down."""


class Kind(StrEnum):
    """What a line of a trace is."""

    HEARD = "rx"
    SAID = "tx"
    OPENED = "open"
    CLOSED = "close"


@dataclass(frozen=True)
class Line:
    """A line of a trace; ``t`` in seconds since the recording began."""

    t: float
    kind: Kind
    wire: Wire
    reason: str = ""


@dataclass(frozen=True)
class Trace:
    """One recorded connection, reconnects included."""

    path: Path
    began_at: datetime
    lines: tuple[Line, ...]

    def at(self, t: float) -> datetime:
        """The moment of a line."""
        return self.began_at + timedelta(seconds=t)

    def seconds(self, at: datetime) -> float:
        """On the trace's clock."""
        return round((at - self.began_at).total_seconds(), 3)

    def with_lines(self, lines: Iterable[Line]) -> "Trace":
        """The same recording, told otherwise."""
        return replace(self, lines=tuple(lines))


class NoTrace(Exception):
    """The file is no trace; the text says why."""


def read(path: Path) -> Trace:
    """The trace in a file; when it began says ``expected.json`` beside it.

    Raises:
        NoTrace: a line makes no sense.
    """
    return Trace(path, _began_at(path.parent / "expected.json"), tuple(_lines(path)))


def _lines(path: Path) -> Iterator[Line]:
    with path.open(encoding="utf-8") as file:
        for number, row in enumerate(file, 1):
            if not row.strip():
                continue
            try:
                yield _line(json.loads(row))
            except (ValueError, KeyError, TypeError) as error:
                raise NoTrace(f"{path}:{number}: {error}") from error


def _line(row: dict[str, Any]) -> Line:
    kind = Kind(row["dir"])
    data = base64.b64decode(row["base64"]) if "base64" in row else str(row.get("text") or "").encode()
    wire = Wire(
        data=data,
        channel=str(row.get("ch") or ""),
        exchange=str(row.get("id") or ""),
        method=str(row.get("method") or ""),
        path=str(row.get("path") or ""),
        status=int(row.get("status") or 0),
    )
    reason = str(row.get("text") or "") if kind is Kind.CLOSED else ""
    return Line(t=float(row["t"]), kind=kind, wire=wire, reason=reason)


def _began_at(expected: Path) -> datetime:
    try:
        epoch = json.loads(expected.read_text(encoding="utf-8"))["recorded_epoch"]
        return datetime.fromtimestamp(float(epoch), UTC)
    except (OSError, ValueError, KeyError, TypeError):
        return NO_EPOCH
