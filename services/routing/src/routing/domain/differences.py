"""What is different between two configurations of a workspace, as the documents that people write."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Document = Mapping[str, Any]
"""``settings``: fields; ``calendars``, ``queues``, ``agents``: fields by id; ``rules``: a list, each with its name.
None or missing: it is not spoken of."""

Section = Literal["settings", "calendars", "queues", "rules", "agents"]
Kind = Literal["added", "changed", "removed"]


@dataclass(frozen=True, slots=True)
class Change:
    """Something that one has and the other has not, or has in another way."""

    section: Section
    id: str
    """Of a calendar, queue or agent, the name of a rule; empty for the settings, and for the order of the rules."""
    kind: Kind
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """Of what is changed: before and after."""


def differences(present: Document, wanted: Document, kept: frozenset[str]) -> list[Change]:
    """What would have to change. A section of ``wanted`` is complete: what it does not name is removed.

    ``kept`` are queues that stay even so.
    """
    changes: list[Change] = []
    if wanted.get("settings") is not None:
        changes += _between("settings", {"": present["settings"]}, {"": wanted["settings"]})
    if wanted.get("calendars") is not None:
        changes += _between("calendars", present["calendars"], wanted["calendars"])
    if wanted.get("queues") is not None:
        queues = _between("queues", present["queues"], wanted["queues"])
        changes += [change for change in queues if change.kind != "removed" or change.id not in kept]
    if wanted.get("rules") is not None:
        before, after = _by_name(present), _by_name(wanted)
        changes += _between("rules", before, after)
        was, now = [name for name in before if name in after], [name for name in after if name in before]
        if was != now:
            changes.append(Change("rules", "", "changed", {"order": (was, now)}))
    if wanted.get("agents") is not None:
        changes += _between("agents", present["agents"], wanted["agents"])
    return changes


def loosened(queue: Mapping[str, Any]) -> dict[str, Any]:
    """A queue from which nothing goes to another: neither by its last step nor after hours."""
    steps = queue["steps"]
    if steps and steps[-1]["queue"] is not None:
        steps = steps[:-1]
    after = queue["after_hours"]
    return {**queue, "steps": steps, "after_hours": None if after is not None and after["queue"] is not None else after}


def _by_name(document: Document) -> dict[str, Any]:
    return {rule["name"]: rule for rule in document["rules"] or []}


def _between(section: Section, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for id, fields in after.items():
        if id not in before:
            yield Change(section, id, "added")
        elif fields != before[id]:
            names = [name for name in {**before[id], **fields} if before[id].get(name) != fields.get(name)]
            yield Change(section, id, "changed", {name: (before[id].get(name), fields.get(name)) for name in names})
    for id in before:
        if id not in after:
            yield Change(section, id, "removed")
