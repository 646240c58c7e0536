"""All timers of the PBX in one heap."""

import heapq
from collections.abc import Callable

_COMPACT_ABOVE = 1024


class Timer:
    """Something to do at ``due_us``. Cancelled timers stay in the heap until they are due or swept."""

    __slots__ = ("action", "due_us", "order")

    def __init__(self, due_us: int, order: int, action: Callable[[], None]) -> None:
        self.due_us = due_us
        self.order = order
        self.action: Callable[[], None] | None = action

    def __lt__(self, other: "Timer") -> bool:
        if self.due_us != other.due_us:
            return self.due_us < other.due_us
        return self.order < other.order


class Timers:
    """Timers by due time; those of the same moment fire in the order in which they were set."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._order = 0
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def set(self, due_us: int, action: Callable[[], None]) -> Timer:
        """Have ``action`` done at ``due_us``."""
        self._order += 1
        timer = Timer(due_us, self._order, action)
        heapq.heappush(self._heap, timer)
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Have it not done; nothing happens if it was done or cancelled before."""
        if timer is None or timer.action is None:
            return
        timer.action = None
        self._cancelled += 1
        if self._cancelled > _COMPACT_ABOVE and self._cancelled * 2 > len(self._heap):
            self._heap = [timer for timer in self._heap if timer.action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def next_due_us(self) -> int | None:
        """When the next timer fires; None when none is set."""
        while self._heap and self._heap[0].action is None:
            heapq.heappop(self._heap)
            self._cancelled -= 1
        return self._heap[0].due_us if self._heap else None

    def take_due(self, now_us: int) -> tuple[int, Callable[[], None]] | None:
        """Remove the first timer that is due by ``now_us``: its due time and what to do."""
        due_us = self.next_due_us()
        if due_us is None or due_us > now_us:
            return None
        timer = heapq.heappop(self._heap)
        action = timer.action
        assert action is not None
        timer.action = None
        return due_us, action
