"""Remove what is older than we promised to keep."""

from cordboard_chassis.unit_of_work import UnitOfWork

from notifications.storage import queries

BATCH = 1000


async def raise_floor(uow: UnitOfWork, stream_retention_s: float) -> None:
    """Say up to which position the stream may have gaps from now on; before anything is removed."""
    await uow.execute(queries.RAISE_FLOOR, {"retention_s": stream_retention_s})


async def purge_events(uow: UnitOfWork, batch: int = BATCH) -> int:
    """Remove events with their deliveries and attempts; returns how many, ``batch`` at most."""
    return (await uow.execute(queries.PURGE_EVENTS, {"batch": batch})).rowcount


async def purge_deleted_endpoints(uow: UnitOfWork, batch: int = BATCH) -> int:
    """Remove deliveries of endpoints that were deleted, and those endpoints that have none left."""
    removed = (await uow.execute(queries.PURGE_DELETED_DELIVERIES, {"batch": batch})).rowcount
    if removed == 0:
        await uow.execute(queries.PURGE_DELETED_ENDPOINTS)
    return removed
