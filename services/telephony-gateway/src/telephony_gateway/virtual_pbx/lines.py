"""JSON lines: UTF-8 JSON objects, each on a line of its own, lines of bounded length."""

import json
from typing import Any

MAX_LINE = 512 * 1024
"""Bytes of a line, without its end. Fifty attributes of a thousand Chinese characters fit."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_encode_ascii = json.JSONEncoder(separators=(",", ":")).encode


class LineSplitter:
    """Cuts a stream of bytes into lines. A line beyond the limit is skipped up to its end, and counted."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self.limit = limit
        self.too_long = 0
        self._rest = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their ends; empty lines are left out."""
        if b"\n" not in data:
            self._keep(data)
            return []
        parts = data.split(b"\n")
        self._keep(parts[0])
        lines = [] if self._skipping else [bytes(self._rest)]
        self._skipping = False
        self._rest.clear()
        for part in parts[1:-1]:
            if len(part) > self.limit:
                self.too_long += 1
            else:
                lines.append(part)
        self._keep(parts[-1])
        return [line for line in map(bytes.rstrip, lines) if line]

    def _keep(self, data: bytes) -> None:
        if self._skipping:
            return
        self._rest += data
        if len(self._rest) > self.limit:
            self._rest.clear()
            self._skipping = True
            self.too_long += 1


def line(row: dict[str, Any]) -> bytes:
    """One object as a line."""
    return (_encode(row) + "\n").encode("utf-8", "replace")


def gbk_line(row: dict[str, Any], name: str) -> bytes:
    """One object as a line whose ``name`` stands there in raw GBK bytes; everything else is ASCII.

    That is what a switch sends which passes the display name on as it came from the network.
    """
    return (_encode_ascii(row)[:-1] + ',"name":').encode() + _encode(name).encode("gb18030", "replace") + b"}\n"


def text_of(data: bytes) -> str:
    """A line as text: UTF-8, else GBK (its superset GB18030), else what can be read of it."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        try:
            return data.decode("gb18030")
        except UnicodeDecodeError:
            return data.decode("utf-8", "replace")
