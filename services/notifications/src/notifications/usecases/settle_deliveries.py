"""Write down what came of attempts, and decide what comes next."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.notifications import Message, MessageFailed
from sqlalchemy import Row

from notifications.domain.deliveries import Decision, DeliveryState, Outcome, Verdict, decide
from notifications.domain.health import Health, after
from notifications.storage import queries
from notifications.usecases.claim_deliveries import Claimed
from notifications.usecases.disable_endpoint import FAILED_FOR_TOO_LONG, GONE, disable_endpoint


@dataclass(frozen=True)
class Result:
    """An attempt that is over."""

    claimed: Claimed
    outcome: Outcome
    decision: Decision


def judge(claimed: Claimed, outcome: Outcome, scale: float) -> Result:
    """Decide what comes after an attempt."""
    chance = random.random()  # noqa: S311 (spreads retries, guards nothing)
    return Result(claimed, outcome, decide(outcome, claimed.round_number, chance=chance, scale=scale))


async def settle_deliveries(uow: UnitOfWork, results: Sequence[Result], scale: float) -> None:
    """Record all results in a handful of statements, however many they are."""
    settled = await uow.all(
        queries.SETTLE,
        queries.arrays(
            [
                (
                    result.claimed.id,
                    result.claimed.number,
                    result.outcome.status,
                    result.outcome.error,
                    result.outcome.excerpt,
                    result.outcome.duration_ms,
                    result.decision.state.value,
                    result.decision.delay_s,
                )
                for result in results
            ],
            *("ids", "numbers", "statuses", "errors", "excerpts", "durations_ms", "states", "delays_s"),
        ),
    )
    await _note_health(uow, results, scale)
    for endpoint_id in sorted({r.claimed.endpoint_id for r in results if r.decision.verdict is Verdict.GONE}):
        await disable_endpoint(uow, endpoint_id, GONE)
    for row in settled:
        if row.state == DeliveryState.FAILED:
            _tell_failed(uow, row)


def _tell_failed(uow: UnitOfWork, row: Row[Any]) -> None:
    if row.event_type == MessageFailed.type:
        return  # no failure about a failure: two broken endpoints would keep each other busy for ever
    message = Message(
        message_id=row.id,
        endpoint_id=row.endpoint_id,
        org_path=row.org_path,
        event_id=row.event_id,
        event_type=row.event_type,
        attempts=row.attempts,
        last_status=row.last_status,
        ended_at=row.ended_at,
    )
    uow.emit(MessageFailed(message=message), subject=row.id, sequence=row.attempts, orgpath=row.org_path)


async def _note_health(uow: UnitOfWork, results: Sequence[Result], scale: float) -> None:
    """Only endpoints with trouble, before or now, cost a write."""
    outcomes: dict[UUID, list[Outcome]] = defaultdict(list)
    for result in results:
        outcomes[result.claimed.endpoint_id].append(result.outcome)
    failed = [key for key, ended in outcomes.items() if not all(o.succeeded or o.interrupted for o in ended)]
    troubled = await uow.all(queries.TROUBLED_HEALTH, {"ids": list(outcomes), "failed_ids": failed})
    for row in troubled:
        before = Health(row.consecutive_failures, row.pauses, row.failing_since, row.blocked_until)
        health = after(before, outcomes[row.endpoint_id], row.now, scale=scale)
        if health != before:
            await uow.execute(
                queries.SAVE_HEALTH,
                {
                    "endpoint_id": row.endpoint_id,
                    "consecutive_failures": health.consecutive_failures,
                    "pauses": health.pauses,
                    "failing_since": health.failing_since,
                    "blocked_until": health.blocked_until,
                },
            )
        if health.lost(row.now):
            await disable_endpoint(uow, row.endpoint_id, FAILED_FOR_TOO_LONG)
