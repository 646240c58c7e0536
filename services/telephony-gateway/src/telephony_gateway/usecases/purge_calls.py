"""Forget calls that ended long ago; their history is accounts' business."""

import asyncio
from datetime import timedelta

from cordboard_chassis.database import Database

from telephony_gateway.storage import queries

BATCH = 1000
PAUSE_S = 300.0


async def purge_calls(database: Database, retention: timedelta) -> None:
    """Delete again and again, a bounded number of rows per transaction."""
    while True:
        purged = BATCH
        while purged == BATCH:
            async with database.transaction() as uow:
                purged = await queries.purge_calls(uow, uow.now - retention, BATCH)
        await asyncio.sleep(PAUSE_S)
