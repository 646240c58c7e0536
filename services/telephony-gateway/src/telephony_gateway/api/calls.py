"""Calls, and what may be done with them."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from cordboard_chassis.auth.principal import Principal
from cordboard_chassis.database import Database
from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import set_etag
from cordboard_chassis.http.idempotency import IdempotencyKey
from cordboard_chassis.http.owner_inputs import ask_owner
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.refusals import Conflict, Forbidden, Invalid
from cordboard_contracts import OwnerId, telephony
from cordboard_contracts.vocabulary import E164, Attributes, Identifier
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from telephony_gateway.api.access import Staff, own_calls_of
from telephony_gateway.domain.call import Call, Order, OrderState
from telephony_gateway.storage import queries
from telephony_gateway.usecases.control_call import Action, Control
from telephony_gateway.usecases.dial_number import Dial
from telephony_gateway.usecases.find_call import find_call, sight_of
from telephony_gateway.usecases.publish_call import span, to_contract

router = APIRouter(prefix="/v1", tags=["calls"])

CallId = Annotated[UUID, Path(description="A call's id.")]
RingTime = Annotated[float, Field(gt=0, le=300, description="Seconds to ring at most.")]
OfAgent = Annotated[
    Identifier | None,
    Field(description="Whose part of the call it is about. An agent's own; without it the only agent's who talks."),
]
ToAgent = Annotated[Identifier | None, Field(description="To the device at which this agent is.", examples=["a1002"])]
ToDevice = Annotated[Identifier | None, Field(description="To this device of the same PBX.", examples=["1002"])]


class OrderView(BaseModel):
    """Something that was asked for, and what the PBX said. What comes of it are events of the call."""

    order_id: UUID
    action: str = Field(examples=["Hold"])
    state: OrderState
    ordered_at: datetime
    settled_at: datetime | None
    refusal: str | None = Field(description="Why the PBX would not.", examples=["no-such-leg"])
    detail: str

    @classmethod
    def of(cls, order: Order) -> Self:
        """From the domain."""
        return cls(
            order_id=order.order_id,
            action=type(order.command).__name__,
            state=order.state,
            ordered_at=order.ordered_at,
            settled_at=order.settled_at,
            refusal=order.refusal,
            detail=order.detail,
        )


class CallView(telephony.Call):
    """A call as its events tell it, and more."""

    talk: list[telephony.Span] = Field(description="When the customer was connected with an agent; holds included.")
    orders: list[OrderView] = Field(description="What was asked for by hand, the latest last.")
    version: int = Field(description="`sequence` of its latest event; also the `ETag`.")

    @classmethod
    def of(cls, call: Call) -> Self:
        """From the domain."""
        return cls(
            **dict(to_contract(call)),
            talk=[span(talk) for talk in call.talk],
            orders=[OrderView.of(order) for order in call.orders if order.requested],
            version=call.version,
        )


class Receipt(BaseModel):
    """It is stored and on its way to the PBX. `orders` of the call tell what the PBX said."""

    call_id: UUID
    order_id: UUID
    action: str


class Which(Body):
    """Whose part of the call."""

    agent_id: OfAgent = None


class Mute(Body):
    """Whose microphone."""

    agent_id: OfAgent = None
    on: Annotated[bool, Field(description="False: no longer muted.")] = True


class HangUp(Body):
    """An agent leaves: the call ends unless others talk. Without an agent the whole call ends."""

    agent_id: OfAgent = None


class Transfer(Body):
    """Where the customer shall go."""

    kind: Literal["blind", "attended"] = "blind"
    agent_id: OfAgent = None
    to_agent_id: ToAgent = None
    to_device_id: ToDevice = None
    timeout_s: RingTime = 20.0


class Consult(Body):
    """Whom to ask."""

    agent_id: OfAgent = None
    to_agent_id: ToAgent = None
    to_device_id: ToDevice = None
    timeout_s: RingTime = 20.0


class Conference(Body):
    """Whom to bring in; without anybody, whom the agent consults."""

    agent_id: OfAgent = None
    to_agent_id: ToAgent = None
    to_device_id: ToDevice = None
    timeout_s: RingTime = 20.0


class SetAttributes(Body):
    """What to add; those of the same names are replaced."""

    attributes: Annotated[Attributes, Field(min_length=1, examples=[{"contract": "C-1001"}])]


class NewCall(Body):
    """Click-to-dial: rings the agent's phone first."""

    pbx_id: OwnerId
    number: Annotated[
        str,
        StringConstraints(min_length=1, max_length=80),
        Field(description="International, or national as of the trunk's region.", examples=["+8613800138000"]),
    ]
    agent_id: Annotated[Identifier | None, Field(description="For whom. An agent calls for themselves.")] = None
    device_id: Annotated[Identifier | None, Field(description="Instead of the device at which the agent is.")] = None
    trunk: Annotated[Identifier | None, Field(description="Instead of the PBX's first.")] = None
    timeout_s: RingTime = 20.0
    attributes: Attributes = Field(default_factory=dict)


@router.get("/calls", summary="List calls")
async def list_calls(
    caller: Staff,
    database: Db,
    paging: Paging,
    pbx_id: Annotated[OwnerId | None, Query()] = None,
    workspace: Annotated[OwnerId | None, Query()] = None,
    state: Annotated[telephony.CallState | None, Query()] = None,
    direction: Annotated[telephony.Direction | None, Query()] = None,
    from_number: Annotated[E164 | None, Query(description="The customer's number, E.164.")] = None,
    agent_id: Annotated[Identifier | None, Query(description="Who was tried or talked.")] = None,
    live: Annotated[bool | None, Query(description="Only calls that are (not) up.")] = None,
    offered_from: Annotated[AwareDatetime | None, Query()] = None,
    offered_before: Annotated[AwareDatetime | None, Query()] = None,
) -> Page[CallView]:
    """The newest first. Filters that are given must all hold. An agent sees their own calls."""
    given = {
        "pbx_id": pbx_id,
        "workspace": workspace,
        "state": state,
        "direction": direction,
        "from_number": from_number,
    }
    own = own_calls_of(caller)
    if own is not None and agent_id not in (None, own):
        raise Forbidden("an agent sees only their own calls", "agent_id")
    before = paging.after(datetime, UUID)
    sight = await sight_of(database, caller.org_path, own)
    async with database.transaction(sight.scope) as uow:
        found = await queries.list_calls(
            uow,
            {column: str(value) for column, value in given.items() if value is not None},
            agent_id=own or agent_id,
            workspaces=sight.workspaces,
            live=live,
            offered_from=offered_from,
            offered_before=offered_before,
            before=(before[0], before[1]) if before else None,
            limit=paging.fetch,
        )
    return paging.page(found, lambda call: (call.offered_at, call.call_id), CallView.of)


@router.post("/calls", status_code=202, summary="Dial a number")
async def dial(
    body: NewCall, caller: Staff, database: Db, request: Request, response: Response, key: IdempotencyKey = None
) -> Receipt:
    """Rings the agent, then the customer. Only numbers that the PBX's configuration allows."""
    own = own_calls_of(caller)
    if own is not None and (body.agent_id not in (None, own) or body.device_id is not None):
        raise Forbidden("an agent dials for themselves, from their own device", "agent_id")
    agent_id = own or body.agent_id
    if agent_id is None and body.device_id is None:
        raise Invalid("say for whom: agent_id or device_id", "agent_id")
    async with database.transaction(caller.org_path) as uow:
        if not await queries.has_device_in_scope(uow, body.pbx_id, agent_id, body.device_id):
            raise Invalid(
                f"is at no device of {body.pbx_id} that you may use", "device_id" if body.device_id else "agent_id"
            )
    asked = Dial(**{**body.model_dump(exclude={"pbx_id", "agent_id"}), "agent_id": agent_id})
    result = await ask_owner(
        request, caller, database, kind="pbx", owner_id=body.pbx_id, name="dial", payload=asked, key=key
    )
    response.headers["Location"] = f"/v1/calls/{result['call_id']}"
    return Receipt(**result)


@router.get("/calls/{call_id}", summary="Get a call")
async def get_call(call_id: CallId, caller: Staff, database: Db, response: Response) -> CallView:
    """One call, live or over."""
    sight = await sight_of(database, caller.org_path, own_calls_of(caller))
    async with database.transaction(sight.scope) as uow:
        call = await find_call(uow, call_id, sight)
    set_etag(response, call.version)
    return CallView.of(call)


@router.post("/calls/{call_id}/hang-up", status_code=202, summary="Hang up")
async def hang_up(
    call_id: CallId, body: HangUp, caller: Staff, database: Db, request: Request, key: IdempotencyKey = None
) -> Receipt:
    """Ends the call, or an agent's part of it. An agent whose phone rings declines."""
    return await _control(request, caller, database, "hang-up", call_id, body, key)


@router.post("/calls/{call_id}/answer", status_code=202, summary="Answer")
async def answer(
    call_id: CallId, body: Which, caller: Staff, database: Db, request: Request, key: IdempotencyKey = None
) -> Receipt:
    """Has the agent's ringing phone pick up, if it can."""
    return await _control(request, caller, database, "answer", call_id, body, key)


@router.post("/calls/{call_id}/hold", status_code=202, summary="Hold")
async def hold(
    call_id: CallId, body: Which, caller: Staff, database: Db, request: Request, key: IdempotencyKey = None
) -> Receipt:
    """Puts the customer on hold."""
    return await _control(request, caller, database, "hold", call_id, body, key)


@router.post("/calls/{call_id}/retrieve", status_code=202, summary="Retrieve")
async def retrieve(
    call_id: CallId, body: Which, caller: Staff, database: Db, request: Request, key: IdempotencyKey = None
) -> Receipt:
    """Takes the customer off hold."""
    return await _control(request, caller, database, "retrieve", call_id, body, key)


@router.post("/calls/{call_id}/mute", status_code=202, summary="Mute")
async def mute(
    call_id: CallId, body: Mute, caller: Staff, database: Db, request: Request, key: IdempotencyKey = None
) -> Receipt:
    """Keeps what the agent says from the others; the agent hears on. A PBX that cannot, refuses it as `unsupported`."""
    return await _control(request, caller, database, "mute", call_id, body, key)


@router.post("/calls/{call_id}/transfer", status_code=202, summary="Transfer")
async def transfer(
    call_id: CallId, body: Transfer, caller: Staff, database: Db, request: Request, key: IdempotencyKey = None
) -> Receipt:
    """Blind: gives the customer to an agent or device. Attended: to whom the agent consults."""
    target = body.to_agent_id or body.to_device_id
    if body.kind == "attended" and target is not None:
        raise Invalid("an attended transfer goes to whom the agent consults", "kind")
    action: Action = "transfer" if body.kind == "blind" else "complete-transfer"
    return await _control(request, caller, database, action, call_id, body, key)


@router.post("/calls/{call_id}/consult", status_code=202, summary="Consult")
async def consult(
    call_id: CallId, body: Consult, caller: Staff, database: Db, request: Request, key: IdempotencyKey = None
) -> Receipt:
    """Puts the customer on hold and rings somebody whom the agent wants to ask first."""
    return await _control(request, caller, database, "consult", call_id, body, key)


@router.post("/calls/{call_id}/conference", status_code=202, summary="Confer")
async def conference(
    call_id: CallId, body: Conference, caller: Staff, database: Db, request: Request, key: IdempotencyKey = None
) -> Receipt:
    """Brings somebody into the conversation."""
    return await _control(request, caller, database, "conference", call_id, body, key)


@router.post("/calls/{call_id}/attributes", status_code=202, summary="Set attributes")
async def set_attributes(
    call_id: CallId, body: SetAttributes, caller: Staff, database: Db, request: Request, key: IdempotencyKey = None
) -> Receipt:
    """Tells everybody, and the PBX, more about the call."""
    return await _control(request, caller, database, "attributes", call_id, body, key)


async def _control(
    request: Request,
    caller: Principal,
    database: Database,
    action: Action,
    call_id: UUID,
    body: Body,
    key: str | None,
) -> Receipt:
    own = own_calls_of(caller)
    fields = body.model_dump(exclude={"kind"})
    if own is not None:
        if fields.get("agent_id") not in (None, own):
            raise Forbidden("an agent acts for themselves", "agent_id")
        fields["agent_id"] = own
    sight = await sight_of(database, caller.org_path, own)
    async with database.transaction(sight.scope) as uow:
        call = await find_call(uow, call_id, sight)
    # With a key it may be a repetition of what was carried out before the call ended.
    if call.is_cleared and key is None:
        raise Conflict("the call is over", code="call-cleared")
    asked = Control(call_id=call_id, **fields)
    result = await ask_owner(
        request, caller, database, kind="pbx", owner_id=call.pbx_id, name=action, payload=asked, key=key
    )
    return Receipt(**result)
