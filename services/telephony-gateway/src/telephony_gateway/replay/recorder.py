"""Writes what passes over a driver's wire as a trace, without the secrets that open it."""

import base64
import json
import time
from pathlib import Path
from typing import Any, TextIO

from telephony_gateway.drivers.interpreter import Wire

REMOVED = b"[removed]"
SHORT = 4
"""A secret so short may be part of other words: what contains it is left out as a whole."""


class Recorder:
    """A `connection.Tap` that appends to a file; ``t`` counts from when it was made."""

    def __init__(self, file: TextIO, secrets: tuple[str, ...] = ()) -> None:
        self.lines = 0
        self._file = file
        self._secrets = [secret.encode() for secret in secrets if secret]
        self._began_s = time.monotonic()

    def __call__(self, direction: str, wire: Wire) -> None:
        """Write a line."""
        row: dict[str, Any] = {"t": round(time.monotonic() - self._began_s, 6), "dir": direction}
        if wire.channel:
            row["ch"] = wire.channel
        if wire.exchange:
            row["id"] = wire.exchange
        if wire.method:
            row["method"] = wire.method
        if wire.path:
            row["path"] = self._without_secrets(wire.path.encode()).decode(errors="replace")
        if wire.status:
            row["status"] = wire.status
        data = self._without_secrets(wire.data)
        try:
            row["text"] = data.decode()
        except UnicodeDecodeError:
            row["base64"] = base64.b64encode(data).decode()
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()
        self.lines += 1

    def _without_secrets(self, data: bytes) -> bytes:
        for secret in self._secrets:
            if len(secret) < SHORT and secret in data:
                return REMOVED
            data = data.replace(secret, REMOVED)
        return data


def write_expectation(directory: Path, driver: str) -> None:
    """Beside the trace, an ``expected.json`` in which only the moment of ``t`` = 0 is filled in.

    What really happened (``calls``) can only be written by whoever knows it from elsewhere: the phones.
    """
    told = {"scenario": directory.name, "interface": driver, "recorded_epoch": round(time.time(), 3)}
    (directory / "expected.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
