"""What is counted while a scenario is played: per type and slot of arrival, per group and slot of time.

A slot is a period of the scenario or, where batches are wanted for confidence intervals, a batch.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """The calls of one type that arrived in one slot."""

    offered: int = 0
    """All, with those that call again."""
    retried: int = 0
    """Of these, calls of those who call again."""
    blocked: int = 0
    delayed: int = 0
    """For whom no agent was free."""
    served_waits_ms: "array[int]" = field(default_factory=lambda: array("q"))
    abandoned_waits_ms: "array[int]" = field(default_factory=lambda: array("q"))

    wait_errors_ms: "array[int]" = field(default_factory=lambda: array("q"))
    """Wait less what was expected when it began, of those served who waited; see ``domain.waits``."""

    @property
    def unfinished(self) -> int:
        """Still waiting when the simulation was cut off."""
        return self.offered - self.blocked - len(self.served_waits_ms) - len(self.abandoned_waits_ms)


def merged(tallies: Sequence[Tally]) -> Tally:
    """All of them as one."""
    total = Tally()
    for tally in tallies:
        total.offered += tally.offered
        total.retried += tally.retried
        total.blocked += tally.blocked
        total.delayed += tally.delayed
        total.served_waits_ms.extend(tally.served_waits_ms)
        total.abandoned_waits_ms.extend(tally.abandoned_waits_ms)
        total.wait_errors_ms.extend(tally.wait_errors_ms)
    return total


@dataclass(slots=True)
class GroupTally:
    """The time of a group's agents in one slot."""

    staffed_ms: int = 0
    """Signed in, or finishing what they had when they left."""
    occupied_ms: int = 0
    """Of these, with something in hand or in wrap-up."""
    served: int = 0
    """Items accepted."""


@dataclass(slots=True)
class Observations:
    """One replication."""

    types: dict[str, list[Tally]]
    groups: dict[str, list[GroupTally]]
    calls: int
    """All that were played, the warm-up's too."""


class Slots:
    """Which slot a time is in."""

    def __init__(self, edges_ms: Sequence[int]) -> None:
        self.edges_ms = tuple(edges_ms)
        """Where each begins, and where the last one ends."""

    def __len__(self) -> int:
        return len(self.edges_ms) - 1

    def of(self, ms: int) -> int | None:
        """None: before the first, or after the last."""
        slot = bisect_right(self.edges_ms, ms) - 1
        return slot if 0 <= slot < len(self) else None


class GroupClock:
    """Adds up what a group's agents do; told of each change."""

    __slots__ = ("_now", "_tally", "occupied", "served", "staffed")

    def __init__(self) -> None:
        self._now = 0
        self._tally = GroupTally()
        self.staffed = 0
        self.occupied = 0

    def advance(self, now: int) -> None:
        """Nothing changed until now."""
        passed = now - self._now
        if passed:
            self._tally.staffed_ms += passed * self.staffed
            self._tally.occupied_ms += passed * self.occupied
            self._now = now

    def add_served(self) -> None:
        """One more item accepted."""
        self._tally.served += 1

    def cut(self, now: int) -> GroupTally:
        """A slot is over: what happened since the last cut."""
        self.advance(now)
        tally, self._tally = self._tally, GroupTally()
        return tally
