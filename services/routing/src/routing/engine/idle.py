"""Available agents, best first: pools of interchangeable agents, a ranking over many pools.

Nothing here looks at all agents. Heaps delete lazily: an entry that is no longer true is dropped when it
comes to the top, or when such entries are the majority.
"""

from heapq import heapify, heappop, heappush, heapreplace

from routing.engine.model import OrderKey
from routing.engine.state import AgentEntry, Kinds, Seat


class Pool:
    """The available agents of one class who have room for the same kinds of work."""

    __slots__ = ("best", "count", "kinds", "rankings", "seats", "serial")

    def __init__(self, kinds: Kinds, serial: int) -> None:
        self.kinds = kinds
        self.serial = serial
        """Tells pools apart in a ranking where an agent left a seat in one and has the same in another."""
        self.seats: list[Seat] = []
        self.count = 0
        self.best: Seat | None = None
        self.rankings: dict[Ranking, None] = {}
        """Those to be told of every change."""

    def add(self, agent: AgentEntry, key: OrderKey) -> None:
        """Seat an agent who has no seat."""
        seat = (*key, agent)
        agent.pool = self
        agent.seat = seat
        heappush(self.seats, seat)
        self.count += 1
        if self.best is None or seat < self.best:
            self.best = seat
            for ranking in self.rankings:
                ranking.improved(self, seat)
        for ranking in self.rankings:
            ranking.eligible += 1

    def remove(self, agent: AgentEntry) -> None:
        """Take the agent's seat away."""
        seat = agent.seat
        agent.pool = agent.seat = None
        self.count -= 1
        if seat is self.best:
            self._drop_stale()
        elif len(self.seats) > 2 * self.count + 32:
            self.seats = [seat for seat in self.seats if seat[-1].seat is seat]
            heapify(self.seats)
        for ranking in self.rankings:
            ranking.eligible -= 1

    def _drop_stale(self) -> None:
        seats = self.seats
        while seats and seats[0][-1].seat is not seats[0]:
            heappop(seats)
        self.best = seats[0] if seats else None


class Ranking:
    """The best of many pools without looking at each of them.

    Keeps for each pool that is not empty a seat that is its best one, or was it and was better. A pool says
    when it improves; that it got worse is noticed when its entry comes to the top.
    """

    __slots__ = ("eligible", "entries", "known")

    def __init__(self) -> None:
        self.entries: list[tuple[Seat, int, Pool]] = []
        self.known: dict[Pool, Seat] = {}
        """The seat in each pool's entry; an entry with another seat is left over."""
        self.eligible = 0
        """Agents in all pools together."""

    def add(self, pool: Pool) -> None:
        """Watch a pool."""
        pool.rankings[self] = None
        self.eligible += pool.count
        if pool.best is not None:
            self.improved(pool, pool.best)

    def remove(self, pool: Pool) -> None:
        """Watch a pool no longer."""
        del pool.rankings[self]
        self.eligible -= pool.count
        self.known.pop(pool, None)

    def improved(self, pool: Pool, seat: Seat) -> None:
        """The best of ``pool`` is in this seat now."""
        known = self.known.get(pool)
        if known is None or seat < known:
            self.known[pool] = seat
            heappush(self.entries, (seat, pool.serial, pool))
            if len(self.entries) > 2 * len(self.known) + 32:
                self.entries = [(seat, pool.serial, pool) for pool, seat in self.known.items()]
                heapify(self.entries)

    def best(self) -> Seat | None:
        """The first of all available agents."""
        entries, known = self.entries, self.known
        while entries:
            seat, serial, pool = entries[0]
            if known.get(pool) is not seat:
                heappop(entries)
            elif pool.best is None:
                heappop(entries)
                del known[pool]
            elif pool.best is seat:
                return seat
            else:
                known[pool] = pool.best
                heapreplace(entries, (pool.best, serial, pool))
        return None
