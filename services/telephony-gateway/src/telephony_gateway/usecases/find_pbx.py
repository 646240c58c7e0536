"""One PBX, or none that the caller may know of."""

from typing import Any

from cordboard_chassis.refusals import NotFound
from cordboard_chassis.unit_of_work import UnitOfWork
from sqlalchemy import Row

from telephony_gateway.storage import queries


async def find_pbx(uow: UnitOfWork, pbx_id: str, *, lock: bool = False) -> Row[Any]:
    """The row of a PBX.

    Raises:
        NotFound: there is none in scope.
    """
    row = await queries.find_pbx(uow, pbx_id, lock=lock)
    if row is None:
        raise NotFound(f"there is no PBX {pbx_id}", "pbx_id")
    return row
