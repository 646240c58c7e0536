"""What an item gives up while it waits: the steps of its queue."""

from collections.abc import Iterable

from routing.engine.model import Item, QueueConfig, Requirement, Skill, Step


def requirement_of(item: Item, queue: QueueConfig) -> Requirement:
    """What the item asks for after the steps that it took."""
    requirement = item.requirement
    for step in queue.steps[: item.step]:
        requirement = _relaxed(requirement, step)
    return requirement


def next_step(item: Item, queue: QueueConfig) -> Step | None:
    """The step that comes next; None when all are taken."""
    return queue.steps[item.step] if item.step < len(queue.steps) else None


def next_step_at(item: Item, queue: QueueConfig) -> int | None:
    """When the next step is due (ms)."""
    step = next_step(item, queue)
    if step is None:
        return None
    return (item.submitted_at if item.queued_at is None else item.queued_at) + step.after_ms


def _relaxed(requirement: Requirement, step: Step) -> Requirement:
    skills = tuple(skill for skill in _lowered(requirement.skills, step) if skill[1] > 0)
    groups = [_lowered(group, step) for group in requirement.any_of]
    groups = [group for group in groups if all(level > 0 for _, level in group)]
    if step.also:
        # "All of these, or one of those" as "one of each of these groups".
        groups = [tuple(sorted({*group, *step.also})) for group in (*((skill,) for skill in skills), *groups)]
        skills = ()
    territory, area = requirement.territory, requirement.area
    if step.wider:
        territory, area = None, _outwards(area or territory, step.wider)
    return Requirement(skills, territory, tuple(sorted(set(groups))), area, requirement.wanted)


def _lowered(skills: Iterable[Skill], step: Step) -> tuple[Skill, ...]:
    return tuple(
        (skill, min([level, *(least for name, least in step.levels if _means(name, skill))])) for skill, level in skills
    )


def _means(name: str, skill: str) -> bool:
    return skill.startswith(name[:-1]) if name.endswith("*") else skill == name


def _outwards(code: str | None, parts: int) -> str | None:
    """The code without its last ``parts`` parts; None when nothing is left."""
    if code is None:
        return None
    return "-".join(code.split("-")[:-parts]) or None
