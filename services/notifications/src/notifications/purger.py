"""Removes what is older than we promised to keep and seals anew what an older key sealed, so many rows at a time."""

import asyncio

from cordboard_chassis.database import Database

from notifications.settings import NotificationsSettings
from notifications.usecases.purge_ledger import BATCH, purge_deleted_endpoints, purge_events, raise_floor
from notifications.usecases.reseal_secrets import reseal_secrets


async def keep_purging(database: Database, settings: NotificationsSettings) -> None:
    """Purge again and again. Run supervised; in several processes at once is fine."""
    while True:
        async with database.transaction() as uow:
            await raise_floor(uow, settings.stream_retention_s)
        for purge in (purge_events, purge_deleted_endpoints):
            removed = BATCH
            while removed >= BATCH:
                async with database.transaction() as uow:
                    removed = await purge(uow)
        async with database.transaction() as uow:
            await reseal_secrets(uow, settings.keyring)
        await asyncio.sleep(settings.purge_pause_s)
