"""What is due when: one heap for everything that waits for time to pass."""

from enum import IntEnum
from heapq import heapify, heappop, heappush


class Timer(IntEnum):
    """What happens. Timers due at the same millisecond fire in this order, then by id."""

    OFFER_EXPIRES = 0
    """id: assignment."""
    WRAP_UP_ENDS = 1
    """id: agent."""
    AVOIDANCE_ENDS = 2
    """id: item."""
    STEP_IS_DUE = 3
    """id: item."""
    PATIENCE_ENDS = 4
    """id: item."""
    DEVICE_LOST = 5
    """id: agent."""
    DESKTOP_LOST = 6
    """id: agent."""


class Timers:
    """At most one timer per (what, id). Deletes lazily: live ones are in ``_due``."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, str]] = []
        self._due: tuple[dict[str, int], ...] = tuple({} for _ in Timer)

    def set(self, timer: Timer, id: str, due: int) -> None:
        """Start the timer, or move it."""
        self._due[timer][id] = due
        heappush(self._heap, (due, int(timer), id))

    def cancel(self, timer: Timer, id: str) -> None:
        """Stop the timer if it runs."""
        if self._due[timer].pop(id, None) is None:
            return
        live = sum(map(len, self._due))
        if len(self._heap) > 2 * live + 64:
            self._heap = [(due, kind, id) for kind, dues in enumerate(self._due) for id, due in dues.items()]
            heapify(self._heap)

    def next_due(self) -> int | None:
        """When the first fires."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: int) -> tuple[Timer, str] | None:
        """The first that is due; it runs no longer."""
        self._drop_stale()
        if not self._heap or self._heap[0][0] > now:
            return None
        _, kind, id = heappop(self._heap)
        del self._due[kind][id]
        return Timer(kind), id

    def _drop_stale(self) -> None:
        heap, dues = self._heap, self._due
        while heap and dues[heap[0][1]].get(heap[0][2]) != heap[0][0]:
            heappop(heap)
