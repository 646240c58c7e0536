"""Say where a device belongs."""

from cordboard_chassis.auth.org_paths import is_within, require_within
from cordboard_chassis.http.etags import require_match
from cordboard_chassis.refusals import Invalid
from cordboard_chassis.unit_of_work import UnitOfWork

from telephony_gateway.storage import queries
from telephony_gateway.usecases.find_pbx import find_pbx


async def configure_device(
    uow: UnitOfWork, pbx_id: str, device_id: str, workspace: str, org_path: str, if_match: str | None
) -> bool:
    """Write it, and have the PBX's owner look; returns whether the device is new.

    Raises:
        NotFound: no such PBX in scope.
        Invalid: not within the PBX's part of the organisation.
        Forbidden: not within the caller's.
        Refused: it is known, and ``if_match`` is missing or that of another version.
    """
    pbx = await find_pbx(uow, pbx_id, lock=True)
    require_within(org_path, uow.scope)
    if not is_within(org_path, pbx.org_path):
        raise Invalid(f"must be within the PBX's {pbx.org_path}", "org_path")
    row = await queries.find_device(uow, pbx_id, device_id)
    if row is not None:
        if (row.workspace, row.org_path, row.configured) == (workspace, org_path, True):
            return False
        if row.configured:
            require_match(if_match, row.config_version)
    await queries.configure_device(uow, pbx_id, device_id, workspace, org_path)
    await queries.bump_devices(uow, pbx_id)
    return row is None
