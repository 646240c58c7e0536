"""Say where a PBX is and what its lines mean."""

from collections.abc import Collection
from dataclasses import replace

from cordboard_chassis.auth.org_paths import is_within, require_within
from cordboard_chassis.http.etags import require_match
from cordboard_chassis.refusals import Conflict, Invalid
from cordboard_chassis.unit_of_work import UnitOfWork

from telephony_gateway.domain.lines import Pbx, digits_of
from telephony_gateway.domain.numbers import is_region
from telephony_gateway.storage import queries


async def configure_pbx(uow: UnitOfWork, pbx: Pbx, if_match: str | None, drivers: Collection[str]) -> bool:
    """Make a PBX or replace its configuration; returns whether it is new.

    Raises:
        Invalid: an unknown driver or region, a trunk or number twice, a place outside of the PBX's.
        Forbidden: not in the caller's part of the organisation.
        Conflict: the id is taken by somebody whom the caller does not see.
        Refused: without ``if_match``, or with that of another version.
    """
    _check(pbx, drivers)
    require_within(pbx.org_path, uow.scope)
    row = await queries.find_pbx(uow, pbx.pbx_id, lock=True)
    if row is None:
        if not await queries.insert_pbx(uow, replace(pbx, version=1)):
            raise Conflict(f"the id {pbx.pbx_id} is taken", "pbx_id", code="id-taken")
        return True
    known = queries.to_pbx(row)
    if replace(pbx, version=known.version) == known:
        return False
    require_match(if_match, known.version)
    await queries.update_pbx(uow, replace(pbx, version=known.version + 1))
    await queries.rehome_devices(uow, pbx)
    return False


def _check(pbx: Pbx, drivers: Collection[str]) -> None:
    if pbx.driver not in drivers:
        raise Invalid(f"must be one of {', '.join(sorted(drivers))}", "driver")
    if not 0 < pbx.port < 65536:
        raise Invalid("the port must be from 1 to 65535", "address")
    for index, limit in enumerate(pbx.outbound_limits):
        if not is_within(limit.org_path, pbx.org_path):
            raise Invalid(f"must be within the PBX's {pbx.org_path}", f"outbound_limits.{index}.org_path")
        if limit.calls is None and limit.simultaneous is None:
            raise Invalid("must limit calls, simultaneous, or both", f"outbound_limits.{index}.calls")
    trunks: set[str] = set()
    numbers: set[str] = set()
    for index, trunk in enumerate(pbx.trunks):
        where = f"trunks.{index}"
        if trunk.trunk_id in trunks:
            raise Invalid(f"{trunk.trunk_id} is there twice", f"{where}.trunk_id")
        trunks.add(trunk.trunk_id)
        if not is_region(trunk.region):
            raise Invalid(f"{trunk.region} is no country with telephone numbers", f"{where}.region")
        if trunk.org_path is not None and not is_within(trunk.org_path, pbx.org_path):
            raise Invalid(f"must be within the PBX's {pbx.org_path}", f"{where}.org_path")
        for position, did in enumerate(trunk.dids):
            digits = digits_of(did)
            if digits in numbers:
                raise Invalid(f"{did} is there twice", f"{where}.dids.{position}")
            numbers.add(digits)
