"""A scenario: who calls when and for how long, who is there to answer, and by what rules. All times in seconds.

Whatever may change over the day is one value, or a list with one for each period.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from routing.document import BadDocument, Document
from routing.document import Field as FieldPath
from routing.domain.rules import DEFAULT_QUEUE, Facts, choose, first_fault, read
from routing.engine import (
    ORDERS,
    AgentProfile,
    CancelItem,
    Capacity,
    Engine,
    EngineRefusal,
    FireTimers,
    Item,
    Mode,
    PutAgent,
    PutQueue,
    QueueConfig,
    Requirement,
    SetMode,
    Settings,
    Step,
    SubmitItem,
    WorkKind,
)
from routing.simulation.distributions import Distribution, NotNegative, Part, Positive, at_least_0, rows


def _known_order(name: str) -> str:
    if name not in ORDERS:
        raise ValueError(f"one of {', '.join(sorted(ORDERS))}")
    return name


Order = Annotated[str, AfterValidator(_known_order)]
"""By which of the engine's orders an agent is chosen."""

ValueT = TypeVar("ValueT")
PerPeriod = Annotated[
    list[ValueT],
    BeforeValidator(lambda given: given if isinstance(given, list) else [given]),
    Field(min_length=1),
]
"""One value for all periods, or one for each."""

Name = Annotated[str, StringConstraints(pattern=r"^[^\s/]{1,100}$")]
Level = Annotated[int, Field(ge=0, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=100_000)]


class Time(Part):
    """How long is simulated."""

    period_s: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    periods: int = Field(default=1, ge=1, le=10_000)
    warm_up_s: NotNegative = 0
    """Who arrives before this is served, but not counted."""
    drain: bool = False
    """After the last period nobody arrives any more and who is there is served to the end; else it is cut off."""
    batches: int = Field(default=30, ge=2, le=1_000)
    """Into so many equal parts a single replication is cut for its confidence intervals."""

    @property
    def horizon_s(self) -> float:
        """When the last period ends."""
        return self.period_s * self.periods


class DailyFactor(Part):
    """A factor on the day's arrivals, drawn once a replication: gamma with mean 1 and variance 1 / shape."""

    shape: Positive
    shared: bool = False
    """Types that share it have the same factor (when they give the same shape)."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call that comes; what a recording does not say of it is drawn."""

    at_s: float
    service_s: float | None = None
    patience_s: float | None = None


class Recorded(Part):
    """Calls from a file with a header, each at its recorded time; the names are those of columns."""

    file: str
    time: str
    """Seconds since the first period began."""
    service: str | None = None
    """Seconds; where the cell is empty, it is drawn from the type's ``service_s``."""
    patience: str | None = None
    where: dict[str, str] = Field(default={})
    """Only rows with these values: ``{type: NW}``."""
    _calls: list[Arrival] = PrivateAttr(default=[])

    @model_validator(mode="after")
    def _read(self, info: ValidationInfo) -> "Recorded":
        def cell(row: dict[str, str], column: str | None) -> float | None:
            return at_least_0(row, column) if column is not None and row[column] else None

        columns = [c for c in (self.time, self.service, self.patience, *self.where) if c is not None]
        self._calls = sorted(
            (
                Arrival(
                    at_s=at_least_0(row, self.time),
                    service_s=cell(row, self.service),
                    patience_s=cell(row, self.patience),
                )
                for row in rows(info, self.file, columns)
                if all(row[column] == value for column, value in self.where.items())
            ),
            key=lambda call: call.at_s,
        )
        if not self._calls:
            raise ValueError(f"{self.file}: there is no such call in it")
        return self

    @property
    def calls(self) -> list[Arrival]:
        """In the order of their times."""
        return self._calls


class Arrivals(Part):
    """When a type's calls come: a Poisson process, or as recorded."""

    poisson_per_hour: PerPeriod[NotNegative] | None = None
    daily_factor: DailyFactor | None = None
    recorded: Recorded | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Arrivals":
        if (self.poisson_per_hour is None) is (self.recorded is None):
            raise ValueError("either poisson_per_hour or recorded")
        if self.recorded is not None and self.daily_factor is not None:
            raise ValueError("a daily_factor is for poisson_per_hour")
        return self


class Retrial(Part):
    """Who was not served calls again, as a new call of the same type."""

    after_blocked: Share = 0
    after_abandoned: Share = 0
    delay_s: Distribution


class CallType(Part):
    """A stream of calls (or leads, or service requests) that are alike."""

    arrivals: Arrivals
    service_s: PerPeriod[Distribution]
    """By the period in which the call arrived."""
    patience_s: PerPeriod[Distribution] | None = None
    """How long a caller waits before giving up; without it for ever."""
    retrial: Retrial | None = None
    kind: WorkKind = WorkKind.CALL
    queue: Name | None = None
    requirement: dict[Name, Level] = Field(default={})
    any_of: list[dict[Name, Level]] = Field(default=[])
    wanted: dict[Name, Level] = Field(default={})
    territory: Name | None = None
    priority: int = 0
    dialled: str | None = None
    known: bool = False
    tier: str | None = None
    language: str | None = None
    attributes: dict[str, str] = Field(default={})
    """These five, and the territory, are what rules look at."""


class StepPart(Part):
    """What an item gives up when it has waited so long in its queue; see ``routing.engine.Step``."""

    after_s: NotNegative
    levels: dict[Name, Level] = Field(default={})
    also: dict[Name, Level] = Field(default={})
    wider: int = 0
    priority: int = 0
    queue: Name | None = None

    @property
    def step(self) -> Step:
        """As the engine has it."""
        return Step(
            after_ms=round(self.after_s * 1000),
            levels=tuple(sorted(self.levels.items())),
            also=tuple(sorted(self.also.items())),
            wider=self.wider,
            priority=self.priority,
            queue=self.queue,
        )


class Queue(Part):
    """How the items of a queue are treated; as the queues of a workspace."""

    wrap_up_s: NotNegative = 0
    priority: int = 0
    priority_credit_s: NotNegative = 60
    acceleration: int = 1
    due_after_s: NotNegative = 0
    priority_class: int = 0
    agent_order: Order | None = None
    steps: list[StepPart] = Field(default=[])

    @model_validator(mode="after")
    def _suits_the_engine(self) -> "Queue":
        self.config("any")
        return self

    def config(self, queue_id: str) -> QueueConfig:
        """As the engine has it. Raises: ValueError."""
        return QueueConfig(
            queue_id=queue_id,
            wrap_up_ms=round(self.wrap_up_s * 1000),
            priority=self.priority,
            priority_credit_ms=round(self.priority_credit_s * 1000),
            acceleration=self.acceleration,
            due_after_ms=round(self.due_after_s * 1000),
            priority_class=self.priority_class,
            order=None if self.agent_order is None else ORDERS[self.agent_order],
            steps=tuple(step.step for step in self.steps),
        )


class Group(Part):
    """Agents who can do the same and work at the same times."""

    agents: PerPeriod[Count]
    """Who is too many when a period begins leaves: those with nothing in hand at once, others after it is done."""
    skills: dict[Name, Level] = Field(default={})
    territories: list[Name] = Field(default=[])
    capacity: dict[WorkKind, Count] = Field(default={WorkKind.CALL: 1})
    total_capacity: Count | None = None
    service_s: dict[Name, PerPeriod[Distribution]] = Field(default={})
    """For these types the group is faster or slower than the type's ``service_s`` says."""

    @property
    def profile(self) -> AgentProfile:
        """As the engine has it; every agent has a device."""
        return AgentProfile(
            skills=self.skills,
            territories=tuple(self.territories),
            capacity=Capacity(self.capacity, self.total_capacity),
            device_id="device",
        )


class Lines(Part):
    """What there is room for. Who finds none hears the busy tone: blocked."""

    trunks: Count | None = None
    """Calls, waiting or served, at once."""
    waiting_room: Count | None = None
    """Calls that wait at once."""


class Scenario(Part):
    """All of it."""

    name: str = "scenario"
    time: Time
    types: dict[Name, CallType] = Field(min_length=1)
    groups: dict[Name, Group] = Field(min_length=1)
    queues: dict[Name, Queue] = Field(default={})
    lines: Lines = Lines()
    agent_order: Order = "longest_idle"
    """Where a queue has none of its own."""
    exclusive: list[WorkKind] = Field(default=[WorkKind.CALL])
    weights: dict[WorkKind, Annotated[int, Field(ge=1)]] = Field(default={})
    rules: list[dict[str, Any]] = Field(default=[])
    """A workspace's rules; they choose queue, requirement, priority. Without them each type says these itself."""
    service_level_s: NotNegative = 20
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    happened: dict[str, float] = Field(default={})
    """Measures of all types together that were really seen, to be compared with."""

    @property
    def settings(self) -> Settings:
        """As the engine has them."""
        return Settings(weights=self.weights, exclusive=frozenset(self.exclusive))

    def engine(self, new_assignment_id: Callable[[int], str]) -> Engine:
        """An engine with the scenario's queues; the one of types that name none is always there.

        Raises:
            EngineRefusal: queues overflow in a circle, or to one that is not there.
        """
        engine = Engine(new_assignment_id, self.settings, ORDERS[self.agent_order])
        queues = {DEFAULT_QUEUE: Queue(), **self.queues}
        for name, queue in queues.items():
            engine.step(PutQueue(replace(queue.config(name), steps=())), 0)
        for name, queue in queues.items():
            engine.step(PutQueue(queue.config(name)), 0)
        return engine

    def routed(self, call_type: CallType) -> "Routed":
        """Where items of a type go: as the rules say, or the type itself."""
        kind, own = call_type.kind, call_type
        if not self.rules:
            requirement = Requirement.of(own.requirement, own.territory, own.any_of, own.wanted)
            return Routed(kind, own.queue or DEFAULT_QUEUE, requirement, own.priority)
        facts = Facts(
            kind=kind,
            dialled=own.dialled,
            known=own.known,
            tier=own.tier,
            language=own.language,
            territory=own.territory,
            attributes=own.attributes,
        )
        rules = read(1, {"rules": self.rules})
        chosen = choose(rules, facts, priority=own.priority, skills=own.requirement)
        return Routed(
            kind,
            chosen.queue,
            Requirement.of(chosen.requirement, chosen.territory, chosen.any_of, chosen.wanted),
            chosen.priority,
            None if chosen.due_after_s is None else chosen.due_after_s * 1000,
            chosen.preferred_agent,
            chosen.patience_s * 1000,
        )


@dataclass(frozen=True, slots=True)
class Routed:
    """What the engine is told of each item of a type."""

    kind: WorkKind
    queue: str
    requirement: Requirement
    priority: int
    due_after_ms: int | None = None
    preferred_agent: str | None = None
    patience_ms: int = 0

    def item(self, item_id: str, now: int) -> Item:
        """One that is submitted now (ms)."""
        return Item(
            item_id,
            self.kind,
            self.queue,
            self.requirement,
            self.priority,
            now,
            self.preferred_agent,
            due_at=None if self.due_after_ms is None else now + self.due_after_ms,
            preferred_until=now + self.patience_ms if self.preferred_agent and self.patience_ms else None,
        )


def load(path: Path) -> Scenario:
    """Read a scenario.

    Raises:
        BadDocument: it cannot be simulated; says the line, field and reason of each fault.
        OSError: the file cannot be read.
    """
    document = Document(path)
    scenario = document.read(Scenario)
    found = list(_faults(scenario)) or list(_unserved(scenario))
    if found:
        faults = [document.fault(field, reason) for field, reason in found]
        raise BadDocument(path, sorted(faults, key=lambda fault: fault.line))
    return scenario


def _faults(scenario: Scenario) -> Iterator[tuple[FieldPath | str, str]]:
    """What no part can know of itself."""
    time = scenario.time
    if time.warm_up_s >= time.horizon_s:
        yield ("time", "warm_up_s"), f"the simulation ends at {time.horizon_s:g} s: nothing would be counted"
    for field, values in _per_period(scenario):
        if len(values) not in (1, time.periods):
            yield field, f"one value, or one for each of the {time.periods} periods, not {len(values)}"
    for name, group in scenario.groups.items():
        for type_name in group.service_s:
            if type_name not in scenario.types:
                yield ("groups", name, "service_s", type_name), f"there is no type {type_name}"
    queues = {DEFAULT_QUEUE, *scenario.queues}
    try:
        scenario.engine(str)
    except EngineRefusal as error:
        yield ("queues",), str(error)
    if scenario.rules:
        yield from _rule_faults(scenario, queues)
    for name, call_type in scenario.types.items():
        if call_type.queue is not None and scenario.rules:
            yield ("types", name, "queue"), "the rules choose the queue"
        elif call_type.queue is not None and call_type.queue not in queues:
            yield ("types", name, "queue"), f"there is no queue {call_type.queue}"


def _per_period(scenario: Scenario) -> Iterator[tuple[FieldPath, list[Any]]]:
    for name, call_type in scenario.types.items():
        yield ("types", name, "service_s"), call_type.service_s
        if call_type.patience_s is not None:
            yield ("types", name, "patience_s"), call_type.patience_s
        if call_type.arrivals.poisson_per_hour is not None:
            yield ("types", name, "arrivals", "poisson_per_hour"), call_type.arrivals.poisson_per_hour
    for name, group in scenario.groups.items():
        yield ("groups", name, "agents"), group.agents
        for type_name, service in group.service_s.items():
            yield ("groups", name, "service_s", type_name), service


def _rule_faults(scenario: Scenario, queues: set[str]) -> Iterator[tuple[FieldPath | str, str]]:
    for index, rule in enumerate(scenario.rules):
        try:
            read(1, {"rules": [rule]})
        except KeyError as error:
            yield ("rules", index), f"{error.args[0]} is missing"
            return
        except (TypeError, ValueError, AttributeError) as error:
            yield ("rules", index), f"this is no rule: {error}"
            return
    rules = read(1, {"rules": scenario.rules}).rules
    for index, parsed in enumerate(rules):
        if parsed.when.local is not None:
            yield ("rules", index, "when", "time_zone"), "a scenario has no date, so no rule can ask what time it is"
    fault = first_fault(rules, queues)
    if fault is not None:
        field, reason = fault
        yield field, reason


def _unserved(scenario: Scenario) -> Iterator[tuple[FieldPath, str]]:
    for name, groups in servers(scenario).items():
        if not groups:
            yield ("types", name), "no group can serve it: skills, territory or capacity are missing"


def servers(scenario: Scenario) -> dict[str, list[str]]:
    """Which groups can serve each type, at once or when it gave up enough: as the engine does with an agent of each."""
    served: dict[str, list[str]] = {name: [] for name in scenario.types}
    for group_name, group in scenario.groups.items():
        engine = scenario.engine(str)
        engine.step(PutAgent(group_name, group.profile), 0)
        engine.step(SetMode(group_name, Mode.READY), 0)
        for name, call_type in scenario.types.items():
            engine.step(SubmitItem(scenario.routed(call_type).item(name, 0)), 0)
            while engine.assignment_of(name) is None and (due := engine.next_due()) is not None:
                engine.step(FireTimers(), due)
            if engine.assignment_of(name) is not None:
                served[name].append(group_name)
            engine.step(CancelItem(name, "asked"), 0)
    return served
