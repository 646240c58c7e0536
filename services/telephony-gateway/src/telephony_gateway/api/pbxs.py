"""PBXs: where they are, what their lines mean."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import IfMatch, set_etag
from cordboard_chassis.http.paging import Page, Paging
from cordboard_contracts import OrgPath, OwnerId
from cordboard_contracts.vocabulary import Identifier, Territory
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import Row

from telephony_gateway.api.access import Administrator, Leader
from telephony_gateway.api.fields import PbxId, Workspace
from telephony_gateway.domain.dialling import DialLimit
from telephony_gateway.domain.lines import Pbx, Trunk
from telephony_gateway.storage import queries
from telephony_gateway.usecases.configure_pbx import configure_pbx
from telephony_gateway.usecases.find_pbx import find_pbx
from telephony_gateway.usecases.remove_pbx import remove_pbx

router = APIRouter(prefix="/v1", tags=["PBXs"])

Did = Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9 ()./-]{0,39}$")]
Prefix = Annotated[str, StringConstraints(pattern=r"^\+[0-9]{0,15}$")]
Address = Annotated[
    str,
    StringConstraints(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$", max_length=260),
    Field(description="Host and port.", examples=["127.0.0.1:5099", "[::1]:5099"]),
]


class TrunkBody(Body):
    """A line to the public network."""

    trunk_id: Annotated[Identifier, Field(description="What the PBX calls it.", examples=["carrier-east"])]
    region: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Z]{2}$"),
        Field(description="ISO 3166 country whose national numbers callers send.", examples=["CN"]),
    ]
    territory: Annotated[Territory | None, Field(description="Where its callers are.", examples=["CN-31"])] = None
    dids: Annotated[
        list[Did],
        Field(
            default_factory=list,
            max_length=10_000,
            description="Numbers that are reached over it; they decide before the trunk's name.",
        ),
    ]
    workspace: Annotated[OwnerId | None, Field(description="Instead of the PBX's.")] = None
    org_path: Annotated[OrgPath | None, Field(description="Instead of the PBX's; within it.")] = None


class DialLimitBody(Body):
    """The most that one agent, or one branch, may dial; counted over all PBXs. At least one of both is limited."""

    per: Literal["agent", "branch"]
    org_path: Annotated[OrgPath, Field(description="For calls of this part of the organisation.")]
    calls: Annotated[int | None, Field(ge=0, le=100_000, description="Begun within `interval_s`, answered or not.")] = (
        None
    )
    interval_s: Annotated[int, Field(ge=1, le=86_400, description="Seconds.")] = 3600
    simultaneous: Annotated[int | None, Field(ge=0, le=10_000, description="That are not over.")] = None


class PbxBody(Body):
    """How a PBX is reached and what belongs to it."""

    driver: Annotated[Identifier, Field(description="The kind of PBX.", examples=["virtual"])]
    address: Address
    workspace: Workspace
    org_path: OrgPath
    trunks: Annotated[list[TrunkBody], Field(min_length=1, max_length=200)]
    enabled: bool = True
    outbound_prefixes: Annotated[
        list[Prefix],
        Field(
            default_factory=list,
            max_length=200,
            description="Beginnings of the E.164 numbers that agents may dial; nobody dials out without any.",
            examples=[["+86"]],
        ),
    ]
    outbound_limits: Annotated[
        list[DialLimitBody],
        Field(default_factory=list, max_length=200, description="How much may be dialled; each must hold."),
    ]


class ConnectionView(BaseModel):
    """How the gateway and the PBX stand."""

    state: Literal["connected", "disconnected", "disabled"]
    since: datetime | None
    detail: str = Field(description="Why not, as far as known.")
    owned_by: str | None = Field(description="The replica that has, or had, the connection.")


class PbxView(BaseModel):
    """A PBX."""

    pbx_id: str
    driver: str
    address: str
    workspace: str
    org_path: str
    trunks: list[TrunkBody]
    enabled: bool
    outbound_prefixes: list[str]
    outbound_limits: list[DialLimitBody]
    connection: ConnectionView
    version: int = Field(description="Grows with each change of the configuration; also the `ETag`.")

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """From its row."""
        state: Literal["connected", "disconnected", "disabled"] = "connected" if row.connected else "disconnected"
        return cls(
            pbx_id=row.pbx_id,
            driver=row.driver,
            address=f"[{row.host}]:{row.port}" if ":" in row.host else f"{row.host}:{row.port}",
            workspace=row.workspace,
            org_path=row.org_path,
            trunks=[TrunkBody.model_validate(trunk) for trunk in row.trunks],
            enabled=row.enabled,
            outbound_prefixes=row.outbound_prefixes,
            outbound_limits=[DialLimitBody.model_validate(limit) for limit in row.outbound_limits],
            connection=ConnectionView(
                state=state if row.enabled else "disabled",
                since=row.connection_since,
                detail=row.connection_detail,
                owned_by=row.owned_by,
            ),
            version=row.version,
        )


@router.put(
    "/pbxs/{pbx_id}",
    summary="Configure a PBX",
    responses={201: {"description": "It is new.", "model": PbxView}},
)
async def put_pbx(
    pbx_id: PbxId,
    body: PbxBody,
    caller: Administrator,
    database: Db,
    request: Request,
    response: Response,
    if_match: IfMatch = None,
) -> PbxView:
    """Makes it, or replaces its configuration (then `If-Match` is needed, unless nothing changes). Its owner takes
    the new one within a second; calls go on. A disabled PBX is not connected; its calls are left as they are.
    """
    host, _, port = body.address.rpartition(":")
    pbx = Pbx(
        pbx_id=pbx_id,
        driver=body.driver,
        host=host.strip("[]"),
        port=int(port),
        workspace=body.workspace,
        org_path=body.org_path,
        trunks=tuple(Trunk(**{**trunk.model_dump(), "dids": tuple(trunk.dids)}) for trunk in body.trunks),
        enabled=body.enabled,
        outbound_prefixes=tuple(body.outbound_prefixes),
        outbound_limits=tuple(DialLimit(**limit.model_dump()) for limit in body.outbound_limits),
    )
    async with database.transaction(caller.org_path) as uow:
        created = await configure_pbx(uow, pbx, if_match, request.app.state.drivers)
        row = await find_pbx(uow, pbx_id)
    response.status_code = 201 if created else 200
    if created:
        response.headers["Location"] = f"/v1/pbxs/{pbx_id}"
    set_etag(response, row.version)
    return PbxView.of(row)


@router.get("/pbxs/{pbx_id}", summary="Get a PBX")
async def get_pbx(pbx_id: PbxId, caller: Leader, database: Db, response: Response) -> PbxView:
    """Its configuration, and whether it is connected."""
    async with database.transaction(caller.org_path) as uow:
        row = await find_pbx(uow, pbx_id)
    set_etag(response, row.version)
    return PbxView.of(row)


@router.get("/pbxs", summary="List PBXs")
async def list_pbxs(caller: Leader, database: Db, paging: Paging) -> Page[PbxView]:
    """By id."""
    (after,) = paging.after(str) or (None,)
    async with database.transaction(caller.org_path) as uow:
        rows = await queries.list_pbxs(uow, after, paging.fetch)
    return paging.page(rows, lambda row: (row.pbx_id,), PbxView.of)


@router.delete("/pbxs/{pbx_id}", status_code=204, summary="Remove a PBX")
async def delete_pbx(pbx_id: PbxId, caller: Administrator, database: Db, if_match: IfMatch = None) -> Response:
    """Forgets it and its devices. It must be disabled. Calls that we still believed to be up end with it."""
    async with database.transaction(caller.org_path) as uow:
        await remove_pbx(uow, pbx_id, if_match)
    return Response(status_code=204)
