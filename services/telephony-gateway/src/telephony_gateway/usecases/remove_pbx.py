"""Forget a PBX."""

from cordboard_chassis.http.etags import require_match
from cordboard_chassis.refusals import Conflict
from cordboard_chassis.unit_of_work import UnitOfWork

from telephony_gateway.domain.announcements import announce
from telephony_gateway.domain.transitions import cleared
from telephony_gateway.domain.words import Party
from telephony_gateway.storage import queries
from telephony_gateway.usecases.find_pbx import find_pbx
from telephony_gateway.usecases.publish_call import publish_call


async def remove_pbx(uow: UnitOfWork, pbx_id: str, if_match: str | None) -> None:
    """Delete it; calls that were believed to be up are over for us, so that no agent stays busy with a ghost.

    Raises:
        NotFound: there is none in scope.
        Conflict: it is enabled, or still has an owner.
        Refused: without ``if_match``, or with that of another version.
    """
    row = await find_pbx(uow, pbx_id, lock=True)
    require_match(if_match, row.version)
    if row.enabled:
        raise Conflict("disable it first", "enabled", code="pbx-enabled")
    if not await queries.lock_out_owners(uow, pbx_id):
        raise Conflict("it is being disconnected; try again in a second", code="pbx-owned")
    ended = []
    for call in await queries.live_calls(uow, pbx_id):
        over = cleared(call, uow.now, Party.GATEWAY, "pbx-removed")
        ended.append(publish_call(uow, over, announce(call, over), uow.now))
    await queries.write_calls(uow, ended)
    await queries.delete_pbx(uow, pbx_id)
