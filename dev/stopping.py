"""Signals that ask the launcher to end, as exceptions, so that everything is stopped on the way out."""

import signal
import sys
from types import FrameType


def exit_on_signals() -> None:
    """SIGTERM and SIGHUP raise SystemExit, as SIGINT raises KeyboardInterrupt; SIGHUP stays ignored under nohup."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, leave)
