"""Available agents, best first: pools of interchangeable agents, a ranking over many pools.

Nothing here looks at all agents. Heaps delete lazily: an entry that is no longer true is dropped when it
comes to the top, or when such entries are the majority.

Queues may want agents in different orders. For each key by which agents are compared there is a *lane*: the pool
has a heap and each agent a seat in every lane, a ranking looks at one.
"""

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from routing.engine.model import OrderKey, Standing
from routing.engine.state import NO_SEATS, AgentEntry, Kinds, Seat

SCAN_UP_TO = 512
"""More pools than this keep a ranking; up to it, looking at each pool is cheaper."""

Lanes = Sequence[Callable[[Standing], OrderKey]]


class Pool:
    """The available agents of one class who have room for the same kinds of work."""

    __slots__ = ("best", "count", "kinds", "rankings", "seats", "serial")

    def __init__(self, kinds: Kinds, serial: int, lanes: int) -> None:
        self.kinds = kinds
        self.serial = serial
        """Tells pools apart in a ranking where an agent left a seat in one and has the same in another."""
        self.seats: list[list[Seat]] = [[] for _ in range(lanes)]
        self.count = 0
        self.best: list[Seat | None] = [None] * lanes
        self.rankings: dict[Ranking, None] = {}
        """Those to be told of every change."""

    def add_lane(self) -> None:
        """Nobody sits here just now."""
        self.seats.append([])
        self.best.append(None)

    def add(self, agent: AgentEntry, lanes: Lanes) -> None:
        """Seat an agent who has no seat."""
        agent.pool = self
        seats: list[Seat] = [(*key(agent), agent) for key in lanes]
        agent.seats = tuple(seats)
        self.count += 1
        for lane, seat in enumerate(seats):
            heappush(self.seats[lane], seat)
            best = self.best[lane]
            if best is None or seat < best:
                self.best[lane] = seat
                for ranking in self.rankings:
                    if ranking.lane == lane:
                        ranking.improved(self, seat)
        for ranking in self.rankings:
            ranking.eligible += 1

    def remove(self, agent: AgentEntry) -> None:
        """Take the agent's seats away."""
        left = agent.seats
        agent.pool = None
        agent.seats = NO_SEATS
        self.count -= 1
        for lane, seat in enumerate(left):
            if seat is self.best[lane]:
                self._drop_stale(lane)
            elif len(self.seats[lane]) > 2 * self.count + 32:
                self.seats[lane] = [seat for seat in self.seats[lane] if seat[-1].seats[lane] is seat]
                heapify(self.seats[lane])
        for ranking in self.rankings:
            ranking.eligible -= 1

    def _drop_stale(self, lane: int) -> None:
        seats = self.seats[lane]
        while seats and seats[0][-1].seats[lane] is not seats[0]:
            heappop(seats)
        self.best[lane] = seats[0] if seats else None


class Tier:
    """Pools whose agents suit a demand equally well."""

    __slots__ = ("lane", "pools", "rank", "ranking")

    def __init__(self, rank: tuple[int, ...], lane: int) -> None:
        self.rank = rank
        self.lane = lane
        self.pools: dict[Pool, None] = {}
        self.ranking: Ranking | None = None

    def add(self, pool: Pool) -> None:
        """One pool more."""
        self.pools[pool] = None
        if self.ranking is not None:
            self.ranking.add(pool)
        elif len(self.pools) > SCAN_UP_TO:
            self.ranking = Ranking(self.lane)
            for each in self.pools:
                self.ranking.add(each)

    def remove(self, pool: Pool) -> None:
        """One pool less, if it is one of these."""
        if pool not in self.pools:
            return
        del self.pools[pool]
        if self.ranking is not None:
            self.ranking.remove(pool)
            if len(self.pools) <= SCAN_UP_TO // 2:
                for each in self.pools:
                    self.ranking.remove(each)
                self.ranking = None

    def best(self) -> tuple[Seat | None, Seat | None, int]:
        """The best available agent, the best of the other pools (or None), and how many agents there are."""
        if self.ranking is not None:
            return self.ranking.best(), None, self.ranking.eligible
        lane = self.lane
        first: Seat | None = None
        second: Seat | None = None
        eligible = 0
        for pool in self.pools:
            best = pool.best[lane]
            if best is not None:
                eligible += pool.count
                if first is None or best < first:
                    first, second = best, first
                elif second is None or best < second:
                    second = best
        return first, second, eligible

    def best_after(self, pool: Pool, others: Seat | None) -> Seat | None:
        """The best agent now that the first of ``pool`` has left it; ``others`` is what :meth:`best` said."""
        if self.ranking is not None:
            return self.ranking.best()
        best = pool.best[self.lane]
        if others is None or (best is not None and best < others):
            return best
        return others


class Ranking:
    """The best of many pools without looking at each of them.

    Keeps for each pool that is not empty a seat that is its best one, or was it and was better. A pool says
    when it improves; that it got worse is noticed when its entry comes to the top.
    """

    __slots__ = ("eligible", "entries", "known", "lane")

    def __init__(self, lane: int) -> None:
        self.lane = lane
        self.entries: list[tuple[Seat, int, Pool]] = []
        self.known: dict[Pool, Seat] = {}
        """The seat in each pool's entry; an entry with another seat is left over."""
        self.eligible = 0
        """Agents in all pools together."""

    def add(self, pool: Pool) -> None:
        """Watch a pool."""
        pool.rankings[self] = None
        self.eligible += pool.count
        best = pool.best[self.lane]
        if best is not None:
            self.improved(pool, best)

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
            best = pool.best[self.lane]
            if known.get(pool) is not seat:
                heappop(entries)
            elif best is None:
                heappop(entries)
                del known[pool]
            elif best is seat:
                return seat
            else:
                known[pool] = best
                heapreplace(entries, (best, serial, pool))
        return None
