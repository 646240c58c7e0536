"""Devices: the phones that agents use, and what they could do just now."""

from datetime import datetime
from typing import Annotated, Any, Self

from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import IfMatch, set_etag
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.refusals import NotFound
from cordboard_contracts import OrgPath, OwnerId
from cordboard_contracts.telephony import DeviceState
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import Row

from telephony_gateway.api.access import Administrator, Staff
from telephony_gateway.api.fields import DeviceId, PbxId, Workspace
from telephony_gateway.storage import queries
from telephony_gateway.usecases.configure_device import configure_device

router = APIRouter(prefix="/v1", tags=["devices"])


class DeviceBody(Body):
    """Where a device belongs."""

    workspace: Workspace
    org_path: Annotated[OrgPath, Field(description="Within the PBX's.")]


class DeviceView(BaseModel):
    """A device."""

    pbx_id: str
    device_id: str
    workspace: str
    org_path: str
    configured: bool = Field(description="False when the PBX named it and nobody said where it belongs.")
    state: DeviceState
    changed_at: datetime
    version: int = Field(description="Grows with each configuration; also the `ETag`.")

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """From its row."""
        return cls(
            pbx_id=row.pbx_id,
            device_id=row.device_id,
            workspace=row.workspace,
            org_path=row.org_path,
            configured=row.configured,
            state=DeviceState(row.state),
            changed_at=row.changed_at,
            version=row.config_version,
        )


@router.put(
    "/pbxs/{pbx_id}/devices/{device_id}",
    summary="Say where a device belongs",
    responses={201: {"description": "It was not known.", "model": DeviceView}},
)
async def put_device(
    pbx_id: PbxId,
    device_id: DeviceId,
    body: DeviceBody,
    caller: Administrator,
    database: Db,
    response: Response,
    if_match: IfMatch = None,
) -> DeviceView:
    """Devices that a PBX names belong where the PBX does, until this says otherwise (with `If-Match`, when the device
    is known and something changes). One that the PBX does not know is unreachable.
    """
    async with database.transaction(caller.org_path) as uow:
        created = await configure_device(uow, pbx_id, device_id, body.workspace, body.org_path, if_match)
        row = await queries.find_device(uow, pbx_id, device_id)
    assert row is not None
    response.status_code = 201 if created else 200
    if created:
        response.headers["Location"] = f"/v1/pbxs/{pbx_id}/devices/{device_id}"
    set_etag(response, row.config_version)
    return DeviceView.of(row)


@router.get("/pbxs/{pbx_id}/devices/{device_id}", summary="Get a device")
async def get_device(pbx_id: PbxId, device_id: DeviceId, caller: Staff, database: Db, response: Response) -> DeviceView:
    """One device."""
    async with database.transaction(caller.org_path) as uow:
        row = await queries.find_device(uow, pbx_id, device_id)
    if row is None:
        raise NotFound(f"there is no device {device_id} at {pbx_id}", "device_id")
    set_etag(response, row.config_version)
    return DeviceView.of(row)


@router.get("/devices", summary="List devices")
async def list_devices(
    caller: Staff,
    database: Db,
    paging: Paging,
    pbx_id: Annotated[OwnerId | None, Query()] = None,
    workspace: Annotated[OwnerId | None, Query()] = None,
    state: Annotated[DeviceState | None, Query()] = None,
) -> Page[DeviceView]:
    """By PBX and id. Filters that are given must all hold."""
    given = {"pbx_id": pbx_id, "workspace": workspace, "state": state}
    filters = {column: str(value) for column, value in given.items() if value is not None}
    after = paging.after(str, str)
    async with database.transaction(caller.org_path) as uow:
        rows = await queries.list_devices(uow, filters, (after[0], after[1]) if after else None, paging.fetch)
    return paging.page(rows, lambda row: (row.pbx_id, row.device_id), DeviceView.of)
