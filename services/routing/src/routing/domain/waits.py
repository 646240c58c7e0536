"""How long what waits will still wait: queue length times how fast its line moves, as it was seen to move.

The queue-length estimator (QL) of Ibrahim and Whitt, "Real-Time Delay Estimation Based on Delay History", M&SOM 11(3),
2009: with n ahead, s agents and service rate mu, (n + 1) / (s mu). Here s mu is not taken from a plan but measured for
each line, which is what waits for the same kind, skills and territory: how long items stood at its head. So a skill
that few have moves slowly, and so does one whose agents are busy with other lines. Who is ahead and will give up is
not known: where many do, it expects too much.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

REMEMBERED = 50
"""Departures after which an older one counts for 1/e: fewer follow faster, more are steadier."""
MAX_LINES = 10_000


@dataclass(slots=True)
class _Line:
    departed_at: int
    gap_ms: float = 0.0
    """Mean time at the head."""
    departures: int = 0
    error_ms: float = 0.0
    """Mean absolute difference of what was expected and what came."""
    errors: int = 0


class Waits:
    """What was seen of the lines of a workspace. Nothing of it is stored: a new owner learns it again."""

    def __init__(self) -> None:
        self._lines: OrderedDict[Hashable, _Line] = OrderedDict()

    def expected_ms(self, line: Hashable, ahead: int) -> int | None:
        """How long until an agent is offered an item before which so many go; None before any was."""
        seen = self._lines.get(line)
        return None if seen is None else round((ahead + 1) * seen.gap_ms)

    def error_ms(self, line: Hashable) -> int | None:
        """By how much expectations were wrong lately, in the mean; None before any could be compared."""
        seen = self._lines.get(line)
        return None if seen is None or not seen.errors else round(seen.error_ms)

    def departed(self, line: Hashable, joined_at: int, expected_ms: int | None, now: int) -> None:
        """An item that waited since ``joined_at``, when so much was expected, is offered to an agent."""
        seen = self._lines.get(line)
        if seen is None:
            if len(self._lines) >= MAX_LINES:
                self._lines.popitem(last=False)
            seen = self._lines[line] = _Line(joined_at)
        self._lines.move_to_end(line)
        seen.departures += 1
        gap = now - max(seen.departed_at, joined_at)
        seen.gap_ms += (gap - seen.gap_ms) / min(seen.departures, REMEMBERED)
        seen.departed_at = now
        if expected_ms is not None:
            seen.errors += 1
            error = abs(now - joined_at - expected_ms)
            seen.error_ms += (error - seen.error_ms) / min(seen.errors, REMEMBERED)
