"""Removes what the chassis no longer needs, a bounded number of rows at a time."""

import asyncio

from sqlalchemy import text

from cordboard_chassis.database import Database

PAUSE_S = 60.0
BATCH = 5000
_KEEP = {
    "inbox": ("received_at", "7 days"),  # nothing of ours travels so long
    "idempotency_keys": ("written_at", "2 days"),
    "owner_inputs": ("done_at", "2 days"),
    "refused_messages": ("refused_at", "90 days"),
}


async def clean(database: Database) -> None:
    """Clean again and again."""
    while True:
        for table, (column, age) in _KEEP.items():
            statement = text(
                f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table}"
                f" WHERE {column} < now() - interval '{age}' LIMIT {BATCH}))"
            )
            removed = BATCH
            while removed == BATCH:
                async with database.transaction() as uow:
                    removed = (await uow.execute(statement)).rowcount
        await asyncio.sleep(PAUSE_S)
