"""Rules: which queue, requirement, priority and territory a work item gets. The first rule that matches decides."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from routing.domain import calendars
from routing.domain.calendars import Clock, Local
from routing.engine import WorkKind, language_skill

OWN = "own"
"""In a rule: the territory or language of the work item itself."""
DEFAULT_QUEUE = "default"
"""Where work goes while a workspace has no rules. It needs no configuration, so no call is ever without a queue."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules may look at."""

    kind: str
    dialled: str | None = None
    """The number the customer called; only calls have one."""
    known: bool = False
    """Whether the customer is in our master."""
    tier: str | None = None
    language: str | None = None
    territory: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    clock: Clock | None = None
    """What time it is; without one, no condition on time holds and every queue is open."""


@dataclass(frozen=True, slots=True)
class When:
    """All the conditions of a rule must hold; within one, any of its values will do. An empty one always holds."""

    kind: frozenset[str] = frozenset()
    dialled: tuple[str, ...] = ()
    """Numbers, or beginnings of numbers that end in ``*``."""
    known: bool | None = None
    tier: frozenset[str] = frozenset()
    language: tuple[str, ...] = ()
    """``zh`` also means ``zh-CN``."""
    territory: tuple[str, ...] = ()
    """``CN-31`` also means ``CN-31-0115``."""
    attributes: tuple[tuple[str, frozenset[str]], ...] = ()
    open: frozenset[str] = frozenset()
    """Calendars of which one is open."""
    closed: frozenset[str] = frozenset()
    """Calendars of which one is closed."""
    local: Local | None = None

    @property
    def always(self) -> bool:
        """Whether there is no condition at all."""
        return self == When()

    def includes(self, other: "When") -> bool:
        """Whether this holds whenever the other does."""
        return (
            (not self.kind or (bool(other.kind) and other.kind <= self.kind))
            and (self.known is None or other.known is self.known)
            and (not self.tier or (bool(other.tier) and other.tier <= self.tier))
            and (not self.dialled or _all(other.dialled, lambda number: _is_dialled(number, self.dialled)))
            and (not self.language or _all(other.language, lambda code: _is_part(code, self.language)))
            and (not self.territory or _all(other.territory, lambda code: _is_part(code, self.territory)))
            and all(
                any(name == own and values <= enough for own, values in other.attributes)
                for name, enough in self.attributes
            )
            and (not self.open or (bool(other.open) and other.open <= self.open))
            and (not self.closed or (bool(other.closed) and other.closed <= self.closed))
            and (self.local is None or (other.local is not None and self.local.includes(other.local)))
        )

    def holds(self, facts: Facts) -> bool:
        """Whether a work item falls under this rule."""
        return (
            (not self.kind or facts.kind in self.kind)
            and (self.known is None or facts.known is self.known)
            and (not self.tier or facts.tier in self.tier)
            and (not self.dialled or _is_dialled(facts.dialled, self.dialled))
            and (not self.language or _is_part(facts.language, self.language))
            and (not self.territory or _is_part(facts.territory, self.territory))
            and all(facts.attributes.get(name) in values for name, values in self.attributes)
            and (not (self.open or self.closed or self.local) or self._holds_now(facts.clock))
        )

    def _holds_now(self, clock: Clock | None) -> bool:
        return (
            clock is not None
            and (not self.open or any(clock.is_open(calendar) for calendar in self.open))
            and (not self.closed or not all(clock.is_open(calendar) for calendar in self.closed))
            and (self.local is None or self.local.holds(clock.at))
        )


@dataclass(frozen=True, slots=True)
class Then:
    """What a rule gives. What it leaves out comes from the work item itself."""

    queue: str
    requirement: Mapping[str, int] = field(default_factory=dict)
    """Skills with their least levels, beside those that the work item asks for itself."""
    any_of: tuple[Mapping[str, int], ...] = ()
    """Groups of skills with least levels, of each of which one is enough."""
    wanted: Mapping[str, int] = field(default_factory=dict)
    """Skills that are nice to have, with their weights."""
    priority: int | None = None
    due_after_s: int | None = None
    """When it is due after its submission."""
    preferred_agent: str | None = None
    """Instead of the customer's last or own agent."""
    last_agent_within_s: int | None = None
    """Before their own agent comes the one who accepted something of theirs last, if that is no longer ago."""
    patience_s: int = 0
    """How long it waits for the preferred agent alone."""
    territory: str | None = None
    """Agents must cover this territory, or that of the work item if it is `OWN`; without it any agent will do."""
    language: str | None = None
    """Agents must speak this language, or that of the work item if it is `OWN`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a rule set."""

    name: str
    when: When
    then: Then


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of a workspace, in order; the last one always holds."""

    version: int
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Hours:
    """When a queue is open, and what comes of an item that arrives when it is not: it goes to another queue, or a
    call ends with an outcome, or it waits."""

    calendar: str
    queue: str | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What the rules say about one work item."""

    queue: str
    requirement: Mapping[str, int]
    any_of: tuple[Mapping[str, int], ...]
    wanted: Mapping[str, int]
    priority: int
    due_after_s: int | None
    preferred_agent: str | None
    last_agent_within_s: int | None
    patience_s: int
    territory: str | None
    rule: str | None
    rule_version: int | None
    outcome: str | None = None
    """With what a call ends at once, since the queue is closed."""


def choose(
    rule_set: RuleSet | None,
    facts: Facts,
    *,
    priority: int = 0,
    skills: Mapping[str, int] | None = None,
    hours: Callable[[str], Hours | None] = lambda _queue: None,
) -> Choice:
    """Where a work item goes. ``priority`` and ``skills`` are those that it brings along itself, ``hours`` those of
    a queue."""
    choice = _choice(rule_set, facts, priority, skills)
    queue, outcome = choice.queue, None
    while (closed := hours(queue)) is not None and facts.clock is not None and not facts.clock.is_open(closed.calendar):
        if closed.queue is None:
            outcome = closed.outcome if facts.kind == WorkKind.CALL else None
            break
        queue = closed.queue
    return replace(choice, queue=queue, outcome=outcome)


def after_hours_circle(queue_id: str, hours: Callable[[str], Hours | None]) -> list[str] | None:
    """The queues that closed ones send items through, if that leads back to one of them."""
    passed: list[str] = []
    queue: str | None = queue_id
    while queue is not None:
        passed.append(queue)
        if queue in passed[:-1]:
            return passed
        closed = hours(queue)
        queue = None if closed is None else closed.queue
    return None


def _choice(rule_set: RuleSet | None, facts: Facts, priority: int, skills: Mapping[str, int] | None) -> Choice:
    own = dict(skills or {})
    rule = next((rule for rule in rule_set.rules if rule.when.holds(facts)), None) if rule_set else None
    if rule_set is None or rule is None:
        return Choice(DEFAULT_QUEUE, own, (), {}, priority, None, None, None, 0, None, None, None)
    then = rule.then
    requirement = {
        skill: max(own.get(skill, 0), then.requirement.get(skill, 0)) for skill in {**own, **then.requirement}
    }
    for skill, level in language_needed(facts.language if then.language == OWN else then.language).items():
        requirement.setdefault(skill, level)
    return Choice(
        queue=then.queue,
        requirement=requirement,
        any_of=then.any_of,
        wanted=then.wanted,
        priority=priority if then.priority is None else then.priority,
        due_after_s=then.due_after_s,
        preferred_agent=then.preferred_agent,
        last_agent_within_s=then.last_agent_within_s,
        patience_s=then.patience_s,
        territory=facts.territory if then.territory == OWN else then.territory,
        rule=rule.name,
        rule_version=rule_set.version,
    )


def language_needed(language: str | None) -> dict[str, int]:
    """The skill that a language is; none for none, and for `OWN`, which only a work item knows."""
    return {} if language in (None, OWN) else {language_skill(str(language)): 1}


def first_fault(
    rules: Sequence[Rule], queues: Collection[str], calendar_ids: Collection[str] = ()
) -> tuple[str, str] | None:
    """The first thing that is wrong with a rule set: (field, reason)."""
    return next(_faults(rules, queues, calendar_ids), None)


def _faults(rules: Sequence[Rule], queues: Collection[str], calendar_ids: Collection[str]) -> Iterator[tuple[str, str]]:
    names: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.name in names:
            yield f"rules.{index}.name", f"{rule.name} is the name of an earlier rule"
        names.add(rule.name)
        if rule.then.queue not in queues:
            yield f"rules.{index}.then.queue", f"there is no queue {rule.then.queue}"
        for condition, named in (("open", rule.when.open), ("closed", rule.when.closed)):
            for unknown in sorted(named.difference(calendar_ids)):
                yield f"rules.{index}.when.{condition}", f"there is no calendar {unknown}"
        if len(rule.when.open) == 1 and rule.when.open == rule.when.closed:
            yield f"rules.{index}.when.closed", "never holds: the same calendar must be open"
        if rule.when.always and index < len(rules) - 1:
            yield f"rules.{index}.when", "without a condition no rule after this one is ever reached"
        before = next((earlier.name for earlier in rules[:index] if earlier.when.includes(rule.when)), None)
        if before is not None:
            yield f"rules.{index}.when", f"is never reached: {before} holds whenever this does"
    if not rules or not rules[-1].when.always:
        yield "rules", "the last rule must have no condition, so that no work item is without a queue"


def read(version: int, document: Mapping[str, Any]) -> RuleSet:
    """A rule set from its JSON form: ``{"rules": [{"name", "when": {...}, "then": {...}}]}``."""
    return RuleSet(version, tuple(_read_rule(rule) for rule in document["rules"]))


def _read_rule(document: Mapping[str, Any]) -> Rule:
    when: Mapping[str, Any] = document.get("when") or {}
    then: Mapping[str, Any] = document["then"]
    return Rule(
        name=document["name"],
        when=When(
            kind=frozenset(when.get("kind") or ()),
            dialled=tuple(when.get("dialled") or ()),
            known=when.get("known"),
            tier=frozenset(when.get("tier") or ()),
            language=tuple(when.get("language") or ()),
            territory=tuple(when.get("territory") or ()),
            attributes=tuple((name, frozenset(values)) for name, values in (when.get("attributes") or {}).items()),
            open=frozenset(when.get("open") or ()),
            closed=frozenset(when.get("closed") or ()),
            local=_read_local(when),
        ),
        then=Then(
            queue=then["queue"],
            requirement=dict(then.get("requirement") or {}),
            any_of=tuple(then.get("any_of") or ()),
            wanted=dict(then.get("wanted") or {}),
            priority=then.get("priority"),
            due_after_s=then.get("due_after_s"),
            preferred_agent=then.get("preferred_agent"),
            last_agent_within_s=then.get("last_agent_within_s"),
            patience_s=then.get("patience_s") or 0,
            territory=then.get("territory"),
            language=then.get("language"),
        ),
    )


def _read_local(when: Mapping[str, Any]) -> Local | None:
    if not when.get("time_zone"):
        return None
    return Local(
        ZoneInfo(when["time_zone"]),
        frozenset(calendars.WEEKDAYS.index(weekday) for weekday in when.get("weekday") or ()),
        tuple(part for text in when.get("time") or () for part in calendars.over_midnight(text)),
    )


def _is_dialled(number: str | None, patterns: Sequence[str]) -> bool:
    if number is None:
        return False
    return any(number.startswith(pattern[:-1]) if pattern.endswith("*") else number == pattern for pattern in patterns)


def _all(values: Sequence[str], fits: Callable[[str], bool]) -> bool:
    """Whether there are any and each of them fits."""
    return bool(values) and all(fits(value) for value in values)


def _is_part(code: str | None, wholes: Sequence[str]) -> bool:
    """Whether a code of parts joined by hyphens is one of ``wholes`` or lies below one; case does not matter."""
    if code is None:
        return False
    low = code.lower()
    return any(low == whole.lower() or low.startswith(whole.lower() + "-") for whole in wholes)
