"""Items that wait for the same thing, most urgent first."""

from heapq import heapify, heappop, heappush

from routing.engine.state import AgentEntry, Place, WorkEntry


class Line:
    """The waiting items of one demand. Deletes lazily, as the pools of agents do."""

    __slots__ = ("acceleration", "count", "head", "places")

    def __init__(self, acceleration: int) -> None:
        self.acceleration = acceleration
        """That of the queues of all its items."""
        self.places: list[Place] = []
        self.count = 0
        self.head: Place | None = None

    def add(self, work: WorkEntry, key: int) -> None:
        """Queue an item that has no place."""
        place = (key, work.item.item_id, work)
        work.place = place
        work.line = self
        heappush(self.places, place)
        self.count += 1
        if self.head is None or place < self.head:
            self.head = place

    def remove(self, work: WorkEntry) -> None:
        """Take an item out."""
        place = work.place
        work.place = work.line = None
        self.count -= 1
        if place is self.head:
            self._drop_stale()
        elif len(self.places) > 2 * self.count + 32:
            self.places = [place for place in self.places if place[2].place is place]
            heapify(self.places)

    def head_for(self, agent: AgentEntry, now: int) -> Place | None:
        """The first that does not avoid this agent; looks at those before it, which only misses put there."""
        skipped: list[Place] = []
        while self.head is not None and is_avoided(self.head[2], agent, now):
            skipped.append(heappop(self.places))
            self._drop_stale()
        found = self.head
        for place in skipped:
            heappush(self.places, place)
        if skipped:
            self.head = skipped[0]
        return found

    def _drop_stale(self) -> None:
        places = self.places
        while places and places[0][2].place is not places[0]:
            heappop(places)
        self.head = places[0] if places else None


def is_avoided(work: WorkEntry, agent: AgentEntry, now: int) -> bool:
    """Whether the item is not to be offered to this agent for a while."""
    return work.avoid == agent.agent_id and now < work.avoid_until
