"""Which messages were handled: the first statement of the transaction that handles them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from cordboard_chassis.unit_of_work import UnitOfWork

# Ordered, so that two transactions with the same messages wait for each other instead of deadlocking.
_ADMIT = """
    INSERT INTO inbox (queue, event_id)
    SELECT %(queue)s, id FROM unnest(CAST(%(ids)s AS uuid[])) AS id ORDER BY id
    ON CONFLICT DO NOTHING
    RETURNING event_id
    """
PURGE = text("DELETE FROM inbox WHERE received_at < now() - interval '7 days'")
"""A message older than this that comes again is handled again; nothing of ours travels so long."""


async def admit(uow: UnitOfWork, queue: str, ids: Sequence[UUID]) -> set[UUID]:
    """Those of the message ids that this queue has not handled before; they now count as handled."""
    return {event_id for (event_id,) in await uow.execute_directly(_ADMIT, {"queue": queue, "ids": list(ids)})}
