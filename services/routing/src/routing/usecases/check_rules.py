"""Try rules before they are published: what sample items would get, and what is suspicious."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from cordboard_chassis.unit_of_work import UnitOfWork

from routing import engine as core
from routing.domain import lint, rules
from routing.domain.calendars import Calendar, Clock
from routing.storage import owner_rows, queries
from routing.usecases.put_calendar import MAX_CALENDARS
from routing.usecases.put_queue import MAX_QUEUES


async def check_rules(
    uow: UnitOfWork,
    workspace_id: str,
    document: dict[str, Any] | None,
    samples: Sequence[tuple[rules.Facts, datetime | None]],
) -> tuple[tuple[str, str] | None, list[lint.Finding], list[rules.Choice]]:
    """The first fault for which these rules (or the present ones) would be refused, else findings and choices.

    Samples come with the time at which they arrive, if not now.
    Changes nothing, and asks nothing of the owner: a large roster takes seconds to go through.
    """
    present = await queries.find_rules(uow, workspace_id)
    if document is None:
        document = present.rules if present is not None else {"rules": []}
    rule_set = rules.read(0 if present is None else present.version, document)
    stored = await queries.list_queues(uow, workspace_id, None, MAX_QUEUES)
    queues = {row.queue_id: owner_rows.queue_entry(row).config() for row in stored}
    calendars = {
        row.calendar_id: owner_rows.calendar_entry(row).calendar
        for row in await queries.list_calendars(uow, workspace_id, None, MAX_CALENDARS)
    }
    hours = {row.queue_id: owner_rows.queue_entry(row).opening() for row in stored}
    roster = [owner_rows.agent_profile(row) for row in await queries.profiles(uow, workspace_id)]
    fault = rules.first_fault(rule_set.rules, queues, calendars) if rule_set.rules else None
    if fault is not None:
        return fault, [], []
    found = await asyncio.to_thread(_findings, rule_set.rules, queues, roster, hours, calendars)
    choices = [
        rules.choose(rule_set, replace(facts, clock=Clock(at or uow.now, calendars)), hours=hours.get)
        for facts, at in samples
    ]
    return None, found, choices


def _findings(
    some: Sequence[rules.Rule],
    queues: dict[str, core.QueueConfig],
    roster: list[core.AgentProfile],
    hours: dict[str, rules.Hours | None],
    calendars: dict[str, Calendar],
) -> list[lint.Finding]:
    return list(lint.findings(some, queues, roster, hours, calendars))
