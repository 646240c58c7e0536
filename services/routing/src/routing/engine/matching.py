"""Which agents can serve which demands, worked out once per pair of class and demand.

Agents with the same abilities share a class while at least one of them is signed in; items that ask for the
same share a demand. When a class or a demand is new it is compared with those that could match it; from
then on an arriving item looks at the pools of its demand, and an agent with room at the lines of its class.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TypeVar

from routing.engine.idle import Pool, Tier
from routing.engine.model import AgentOrder, AgentProfile, OrderKey, Requirement, Skill, Standing, WorkKind
from routing.engine.state import CALL, KIND_INDEX, KINDS, NO_SEATS, AgentEntry, Kinds, Seat
from routing.engine.waiting import Line

SPARE_DEMANDS = 256
"""So many demands of which no item is open are kept for the next one."""

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

_ClassKey = tuple[tuple[Skill, ...], tuple[str, ...], tuple[int, ...], int | None]
_DemandKey = tuple[
    int, int, str, tuple[Skill, ...], str | None, tuple[tuple[Skill, ...], ...], str | None, tuple[tuple[str, int], ...]
]


class AgentClass:
    """Signed-in agents who can do the same."""

    __slots__ = ("key", "limits", "lines", "pools", "signed_in", "skills", "territories", "total")

    def __init__(self, key: _ClassKey) -> None:
        skills, territories, limits, total = key
        self.key = key
        self.skills = dict(skills)
        self.territories = frozenset(territories)
        self.limits = limits
        """Items of each kind."""
        self.total = total
        self.signed_in = 0
        self.pools: dict[Kinds, Pool] = {}
        self.lines: list[dict[Line, Demand]] = [{} for _ in KINDS]
        """Per kind, the lines of the demands that this class can serve."""


class Demand:
    """What open items of one kind and acceleration ask for, and in which order of agents, with those that wait."""

    __slots__ = (
        "classes",
        "filed_under",
        "key",
        "kind",
        "lane",
        "line",
        "open_items",
        "order",
        "requirement",
        "tiers",
    )

    def __init__(
        self, key: _DemandKey, requirement: Requirement, order: AgentOrder, lane: int, filed_under: str | None
    ) -> None:
        self.key = key
        self.kind = key[0]
        self.requirement = requirement
        self.order = order
        self.lane = lane
        self.filed_under = filed_under
        """One of the skills, under which the index finds it."""
        self.line = Line(acceleration=key[1])
        self.open_items = 0
        self.classes: dict[AgentClass, Tier] = {}
        self.tiers: list[Tier] = []
        """The best first."""

    def best(self) -> tuple[Seat | None, Seat | None, int]:
        """The best available agent, the best of the other pools of that tier, and how many agents there are."""
        if len(self.tiers) == 1:
            return self.tiers[0].best()
        first = second = None
        eligible = 0
        for tier in self.tiers:
            seat, next_seat, count = tier.best()
            eligible += count
            if first is None:
                first, second = seat, next_seat
        return first, second, eligible

    def best_after(self, agent_class: AgentClass, pool: Pool, others: Seat | None) -> Seat | None:
        """The best agent now that the best of all has left ``pool``; ``others`` is what :meth:`best` said."""
        return self.classes[agent_class].best_after(pool, others) or self.best()[0]

    def seat_of(self, agent: AgentEntry) -> Seat | None:
        """Where this agent is among those who are available for this."""
        if agent.pool is None or self.kind not in agent.pool.kinds or agent.agent_class not in self.classes:
            return None
        return agent.seats[self.lane]

    def key_at(self, seat: Seat) -> OrderKey:
        """By what the agent who sits there is compared with others."""
        rank = self.classes[seat[-1].agent_class].rank
        return (*rank, *seat[:-1]) if rank else seat[:-1]

    def key_of(self, agent: AgentEntry) -> OrderKey:
        """By what an agent who may have no seat would be compared with others."""
        key = self.order.key(agent)
        if self.order.rank is None and not self.requirement.wanted:
            return key
        levels = {skill: level for skill, level in agent.profile.skills.items() if level > 0}
        return (*self.order.rank_of(levels, self.requirement), *key)

    def is_served_by(self, agent_class: AgentClass) -> bool:
        """Whether these agents can do it at all: channel, skills, territory."""
        if not agent_class.limits[self.kind]:
            return False
        return not any(lacking(self.requirement, agent_class.skills, agent_class.territories))

    def connect(self, agent_class: AgentClass) -> None:
        """The class can serve this."""
        rank = self.order.rank_of(agent_class.skills, self.requirement)
        tier = next((tier for tier in self.tiers if tier.rank == rank), None)
        if tier is None:
            tier = Tier(rank, self.lane)
            self.tiers.append(tier)
            self.tiers.sort(key=lambda tier: tier.rank)
        self.classes[agent_class] = tier
        agent_class.lines[self.kind][self.line] = self
        for pool in agent_class.pools.values():
            if self.kind in pool.kinds:
                tier.add(pool)

    def watch(self, agent_class: AgentClass, pool: Pool) -> None:
        """A class that can serve this has this pool, in which there is room for it."""
        self.classes[agent_class].add(pool)

    def disconnect(self, agent_class: AgentClass) -> None:
        """The class serves this no longer, or one of the two is gone."""
        tier = self.classes.pop(agent_class)
        del agent_class.lines[self.kind][self.line]
        for pool in agent_class.pools.values():
            tier.remove(pool)
        if not tier.pools and tier not in self.classes.values():
            self.tiers.remove(tier)


class Matching:
    """All classes and demands, and which serves which."""

    def __init__(self) -> None:
        self._classes: dict[_ClassKey, AgentClass] = {}
        self._classes_by_skill: dict[str, dict[AgentClass, None]] = {}
        self._demands: dict[_DemandKey, Demand] = {}
        self._demands_by_skill: dict[str | None, dict[Demand, None]] = {}
        self._spare: dict[_DemandKey, None] = {}
        """Demands without an open item, the longest unused first."""
        self._pools_made = 0
        self.lanes: list[Callable[[Standing], OrderKey]] = []
        """The keys by which agents are compared; see `routing.engine.idle`."""

    def sign_in(self, profile: AgentProfile) -> AgentClass:
        """The class of an agent who signs in."""
        key = class_key(profile)
        agent_class = self._classes.get(key)
        if agent_class is None:
            agent_class = self._classes[key] = AgentClass(key)
            for skill in agent_class.skills:
                self._classes_by_skill.setdefault(skill, {})[agent_class] = None
            for filed_under in (None, *agent_class.skills):
                for demand in self._demands_by_skill.get(filed_under, ()):
                    if demand.is_served_by(agent_class):
                        demand.connect(agent_class)
        agent_class.signed_in += 1
        return agent_class

    def sign_out(self, agent_class: AgentClass) -> None:
        """An agent of the class, who has no seat any more, signs out."""
        agent_class.signed_in -= 1
        if agent_class.signed_in:
            return
        del self._classes[agent_class.key]
        for skill in agent_class.skills:
            _discard(self._classes_by_skill, skill, agent_class)
        for filed_under in (None, *agent_class.skills):
            for demand in self._demands_by_skill.get(filed_under, ()):
                if agent_class in demand.classes:
                    demand.disconnect(agent_class)

    def lane(self, order: AgentOrder) -> int:
        """The lane of an order, if need be a new one. Seats that agents had are given up then."""
        if order.key not in self.lanes:
            assert len(self.lanes) < len(NO_SEATS), "more keys by which agents are compared than lanes"
            self.lanes.append(order.key)
            for agent_class in self._classes.values():
                for pool in agent_class.pools.values():
                    pool.add_lane()
        return self.lanes.index(order.key)

    def pool(self, agent_class: AgentClass, kinds: Kinds) -> Pool:
        """Where the agents of a class sit who have room for these kinds."""
        pool = agent_class.pools.get(kinds)
        if pool is None:
            self._pools_made += 1
            pool = agent_class.pools[kinds] = Pool(kinds, self._pools_made, len(self.lanes))
            for kind in kinds:
                for demand in agent_class.lines[kind].values():
                    demand.watch(agent_class, pool)
        return pool

    def open_item(self, kind: WorkKind, asked: Requirement, order: AgentOrder, acceleration: int) -> Demand:
        """The demand of an item that opens."""
        key = (
            KIND_INDEX[kind],
            acceleration,
            order.name,
            asked.skills,
            asked.territory,
            asked.any_of,
            asked.area,
            asked.wanted,
        )
        demand = self._demands.get(key)
        if demand is None:
            demand = self._demands[key] = self._new_demand(key, asked, order)
        elif not demand.open_items:
            del self._spare[key]
        demand.open_items += 1
        return demand

    def close_item(self, demand: Demand) -> None:
        """An item of the demand, which does not wait any more, is over or asks for something else now."""
        demand.open_items -= 1
        if demand.open_items:
            return
        self._spare[demand.key] = None
        if len(self._spare) > SPARE_DEMANDS:
            oldest = next(iter(self._spare))
            del self._spare[oldest]
            self._forget(self._demands.pop(oldest))

    def _new_demand(self, key: _DemandKey, requirement: Requirement, order: AgentOrder) -> Demand:
        by_skill = self._classes_by_skill
        needed = (skill for skill, _ in requirement.skills)
        rarest = min(needed, key=lambda skill: len(by_skill.get(skill, ())), default=None)
        demand = Demand(key, requirement, order, self.lanes.index(order.key), rarest)
        self._demands_by_skill.setdefault(rarest, {})[demand] = None
        candidates: Iterable[AgentClass]
        candidates = self._classes.values() if rarest is None else by_skill.get(rarest, ())
        for agent_class in candidates:
            if demand.is_served_by(agent_class):
                demand.connect(agent_class)
        return demand

    def _forget(self, demand: Demand) -> None:
        for agent_class in tuple(demand.classes):
            demand.disconnect(agent_class)
        _discard(self._demands_by_skill, demand.filed_under, demand)


def class_key(profile: AgentProfile) -> _ClassKey:
    """What agents of one class have in common."""
    limits = [profile.capacity.items.get(kind, 0) for kind in KINDS]
    if profile.device_id is None:
        limits[CALL] = 0
    return (
        tuple(sorted((skill, level) for skill, level in profile.skills.items() if level > 0)),
        tuple(sorted(set(profile.territories))),
        tuple(limits),
        profile.capacity.total,
    )


def lacking(requirement: Requirement, levels: Mapping[str, int], territories: Collection[str]) -> Iterator[str]:
    """What somebody with these skills and territories lacks, in the words of :class:`explain.Candidate`."""
    for skill, least in requirement.skills:
        level = levels.get(skill, 0)
        if level < least:
            yield f"skill {skill} {level} < {least}"
    for group in requirement.any_of:
        if not any(levels.get(skill, 0) >= least for skill, least in group):
            yield "skill none of " + ", ".join(f"{skill} {least}" for skill, least in group)
    if not covers(territories, requirement.territory):
        yield f"territory {requirement.territory} not covered"
    if not covers(territories, requirement.area) and not any(
        root.startswith(f"{requirement.area}-") for root in territories
    ):
        yield f"territory {requirement.area} not touched"


def covers(territories: Collection[str], territory: str | None) -> bool:
    """Whether one of the sub-trees contains it: ``CN-31`` contains ``CN-31-0115`` but not ``CN-310``."""
    if territory is None or not territories or territory in territories:
        return True
    end = territory.rfind("-")
    while end > 0:
        if territory[:end] in territories:
            return True
        end = territory.rfind("-", 0, end)
    return False


def _discard(index: dict[KeyT, dict[ValueT, None]], key: KeyT, value: ValueT) -> None:
    values = index[key]
    del values[value]
    if not values:
        del index[key]
