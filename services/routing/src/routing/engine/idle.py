"""Available agents, best first: a pool per class of agents and kind of work, a ranking over many pools.

Nothing here looks at all agents. Heaps delete lazily: an entry that is no longer true is dropped when it
comes to the top, or when such entries are the majority.
"""

from heapq import heapify, heappop, heappush, heapreplace

from routing.engine.model import OrderKey
from routing.engine.state import AgentEntry, Seat


class Pool:
    """The agents of one class who have room for one kind of work."""

    __slots__ = ("best", "count", "kind", "rankings", "seats", "serial")

    def __init__(self, kind: int, serial: int) -> None:
        self.kind = kind
        self.serial = serial
        """Tells pools apart in a ranking where they meet with equal keys."""
        self.seats: list[Seat] = []
        self.count = 0
        self.best: Seat | None = None
        self.rankings: dict[Ranking, None] = {}
        """Those to be told of every change."""

    def add(self, agent: AgentEntry, key: OrderKey) -> None:
        """Seat an agent who has no seat for this kind."""
        seat = (key, agent)
        agent.seats[self.kind] = seat
        heappush(self.seats, seat)
        self.count += 1
        if self.best is None or key < self.best[0]:
            self.best = seat
            for ranking in self.rankings:
                ranking.improved(self, key)
        for ranking in self.rankings:
            ranking.eligible += 1

    def remove(self, agent: AgentEntry) -> None:
        """Take the agent's seat away."""
        seat = agent.seats[self.kind]
        agent.seats[self.kind] = None
        self.count -= 1
        if seat is self.best:
            self._drop_stale()
        elif len(self.seats) > 2 * self.count + 32:
            self.seats = [seat for seat in self.seats if seat[1].seats[self.kind] is seat]
            heapify(self.seats)
        for ranking in self.rankings:
            ranking.eligible -= 1

    def _drop_stale(self) -> None:
        seats, kind = self.seats, self.kind
        while seats and seats[0][1].seats[kind] is not seats[0]:
            heappop(seats)
        self.best = seats[0] if seats else None


class Ranking:
    """The best of many pools without looking at each of them.

    Keeps for each pool that is not empty an entry that is at most the key of its best agent. A pool says
    when it improves; that it got worse is noticed when its entry comes to the top.
    """

    __slots__ = ("eligible", "entries", "known")

    def __init__(self) -> None:
        self.entries: list[tuple[OrderKey, int, Pool]] = []
        self.known: dict[Pool, OrderKey] = {}
        """The key of each pool's entry; an entry with another key is left over."""
        self.eligible = 0
        """Agents in all pools together."""

    def add(self, pool: Pool) -> None:
        """Watch a pool."""
        pool.rankings[self] = None
        self.eligible += pool.count
        if pool.best is not None:
            self.improved(pool, pool.best[0])

    def remove(self, pool: Pool) -> None:
        """Watch a pool no longer."""
        del pool.rankings[self]
        self.eligible -= pool.count
        self.known.pop(pool, None)

    def improved(self, pool: Pool, key: OrderKey) -> None:
        """The best of ``pool`` has this key now."""
        known = self.known.get(pool)
        if known is None or key < known:
            self.known[pool] = key
            heappush(self.entries, (key, pool.serial, pool))
            if len(self.entries) > 2 * len(self.known) + 32:
                self.entries = [(key, pool.serial, pool) for pool, key in self.known.items()]
                heapify(self.entries)

    def best(self) -> Seat | None:
        """The first of all available agents."""
        entries, known = self.entries, self.known
        while entries:
            key, serial, pool = entries[0]
            if known.get(pool) is not key:
                heappop(entries)
            elif pool.best is None:
                heappop(entries)
                del known[pool]
            elif pool.best[0] == key:
                return pool.best
            else:
                known[pool] = pool.best[0]
                heapreplace(entries, (pool.best[0], serial, pool))
        return None
