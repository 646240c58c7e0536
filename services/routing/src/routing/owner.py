"""The owner of a workspace: the one process that decides who gets what there."""

import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

from cordboard_chassis.messaging import Delivery
from cordboard_chassis.messaging.consumer import database_is_away
from cordboard_chassis.ownership import OwnerInput, Ownership
from cordboard_chassis.refusals import Refused
from prometheus_client import Gauge, Histogram

from routing.live import HalfDone, LiveWorkspace
from routing.storage import owner_rows
from routing.usecases.commit_group import commit_group

log = logging.getLogger(__name__)

GROUP = Histogram(
    "cordboard_routing_group_size",
    "Messages and requests that the owner of a workspace carried out in one transaction.",
    ("workspace",),
    buckets=(1, 2, 5, 10, 20, 50, 100, 200),
)
WAITING = Gauge("cordboard_routing_waiting", "Work items that wait for an agent.", ("workspace",))
ERROR = Histogram(
    "cordboard_routing_wait_error_seconds",
    "How much longer (negative: shorter) an item waited for its first offer than was expected when it began to wait.",
    ("workspace",),
    buckets=(-300, -120, -60, -30, -10, -5, 0, 5, 10, 30, 60, 120, 300),
)

FIRST_LOOK_S = 1.0
"""How long a new owner waits for messages that lie there before it takes offers for expired."""


def owning(group_limit: int) -> Callable[[Ownership], Coroutine[Any, Any, None]]:
    """What to run for each workspace that this process owns."""

    async def own_workspace(own: Ownership) -> None:
        live = await _restore(own)
        await commit_group(own, live, [], timers=False, settle=True)
        log.info("workspace restored", extra={"workspace": own.owner_id, "open": len(live.works)})
        wait_s: float | None = FIRST_LOOK_S
        while True:
            items = await own.intake.drain(group_limit, timeout_s=wait_s)
            live = await _carry_out(own, live, items)
            GROUP.labels(own.owner_id).observe(len(items))
            for expected_ms, waited_ms in live.changes.waits:
                ERROR.labels(own.owner_id).observe((waited_ms - expected_ms) / 1000)
            WAITING.labels(own.owner_id).set(live.engine.waiting())
            wait_s = live.wait_s(datetime.now(UTC))

    return own_workspace


async def _restore(own: Ownership) -> LiveWorkspace:
    async with own.transaction() as uow:
        live = await owner_rows.restore(uow, own.owner_id)
    if live is None:
        raise LookupError(f"there is no workspace {own.owner_id}")
    return live


async def _carry_out(own: Ownership, live: LiveWorkspace, items: Sequence[Delivery | OwnerInput]) -> LiveWorkspace:
    """One group; if it fails, what was in it one by one, so that only what fails is set aside."""
    try:
        await commit_group(own, live, items)
    except Exception as error:
        if database_is_away(error) or not items:
            raise
        log.warning("a group failed, going on one by one", exc_info=error, extra={"workspace": own.owner_id})
        return await _one_by_one(own, items)
    return live


async def _one_by_one(own: Ownership, items: Sequence[Delivery | OwnerInput]) -> LiveWorkspace:
    live: LiveWorkspace | None = None
    for item in items:
        live = live or await _restore(own)
        try:
            await commit_group(own, live, [item])
        except Exception as error:
            if database_is_away(error):
                raise
            live = None
            await _set_aside(own, item, error)
    return live or await _restore(own)


async def _set_aside(own: Ownership, item: Delivery | OwnerInput, error: Exception) -> None:
    if isinstance(item, Delivery):
        log.warning("message failed", exc_info=error, extra={"type": item.envelope.type})
        await item.fail(error)
        return
    if isinstance(error, HalfDone):
        failed = error.refused
    else:
        log.error("request failed", exc_info=error, extra={"input": item.name})
        failed = Refused("failed", "this could not be carried out; it has been logged", status=500)
    async with own.transaction() as uow:
        await own.refuse(uow, item, failed)
