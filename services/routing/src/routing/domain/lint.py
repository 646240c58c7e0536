"""What is suspicious about rules, queues and roster together. It is not refused: the roster changes every day."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from routing.domain.calendars import Calendar
from routing.domain.rules import OWN, Hours, Rule, language_needed
from routing.engine import AgentProfile, Item, QueueConfig, Requirement, WorkKind, lacking, requirement_of


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that somebody should look at."""

    code: str
    """``nobody``, ``only-later``, ``unused-queue``, ``starved``, ``never-open``."""
    field: str
    """Where: ``rules.3.then``, ``queues.sales``."""
    detail: str


def findings(
    rules: Sequence[Rule],
    queues: Mapping[str, QueueConfig],
    roster: Collection[AgentProfile],
    hours: Mapping[str, Hours | None],
    calendars: Mapping[str, Calendar],
) -> Iterator[Finding]:
    """Rules that nobody can serve, queues to which nothing goes, and queues that others keep waiting.

    ``roster`` needs each different profile once. Territories and languages that rules take from the work item are not
    known here, so they exclude nobody.
    """
    for index, rule in enumerate(rules):
        yield from _served(index, rule, queues[rule.then.queue], roster)
    for queue_id, opening in hours.items():
        if opening is not None and not calendars[opening.calendar].opens_ever:
            detail = f"the calendar {opening.calendar} has no hours on any day"
            yield Finding("never-open", f"queues.{queue_id}.hours", detail)
    used = _used(rules, queues, hours)
    for queue_id in queues:
        if queue_id not in used:
            yield Finding("unused-queue", f"queues.{queue_id}", "no rule and no other queue sends work here")
    highest = max((queues[queue_id].priority_class for queue_id in used), default=0)
    for queue_id in sorted(used):
        if queues[queue_id].priority_class < highest:
            ahead = [other for other in sorted(used) if queues[other].priority_class > queues[queue_id].priority_class]
            detail = f"waits as long as there is anything for the same agents in {', '.join(ahead)}"
            yield Finding("starved", f"queues.{queue_id}", detail)


def _served(index: int, rule: Rule, queue: QueueConfig, roster: Collection[AgentProfile]) -> Iterator[Finding]:
    """Who could take what this rule chooses, at first or after which step."""
    then = rule.then
    skills = {**language_needed(then.language), **then.requirement}
    asked = Requirement.of(skills, None if then.territory == OWN else then.territory, then.any_of)
    kinds = [kind for kind in WorkKind if not rule.when.kind or kind in rule.when.kind]
    able = [profile for profile in roster if any(_works(profile, kind) for kind in kinds)]
    for step in range(len(queue.steps) + 1):
        item = Item("", kinds[0], queue.queue_id, asked, 0, 0, step=step)
        needed = requirement_of(item, queue)
        if any(not any(lacking(needed, profile.skills, profile.territories)) for profile in able):
            if step:
                after_s = queue.steps[step - 1].after_ms // 1000
                detail = f"nobody can take this before step {step} of queue {queue.queue_id}, after {after_s} s"
                yield Finding("only-later", f"rules.{index}.then", detail)
            return
    if queue.steps and queue.steps[-1].queue is not None:
        detail = f"nobody can take this before it overflows to queue {queue.steps[-1].queue}"
        yield Finding("only-later", f"rules.{index}.then", detail)
    else:
        yield Finding("nobody", f"rules.{index}.then", "no agent can take this, however long it waits")


def _works(profile: AgentProfile, kind: WorkKind) -> bool:
    return profile.capacity.items.get(kind, 0) > 0 and (kind is not WorkKind.CALL or profile.device_id is not None)


def _used(rules: Sequence[Rule], queues: Mapping[str, QueueConfig], hours: Mapping[str, Hours | None]) -> set[str]:
    """The queues that work comes to, directly, by overflow or after hours."""
    used: set[str] = set()
    coming = {rule.then.queue for rule in rules}
    while coming:
        used |= coming
        overflow = {step.queue for queue_id in coming for step in queues[queue_id].steps if step.queue is not None}
        closed = {opening.queue for queue_id in coming if (opening := hours[queue_id]) and opening.queue is not None}
        coming = (overflow | closed) - used
    return used
