"""The open interface, seen from the adapter of a PBX."""

import time
from typing import Annotated

from cordboard_chassis.auth.principal import Principal, Unauthenticated
from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.owner_inputs import ask_owner
from cordboard_chassis.refusals import Conflict
from cordboard_chassis.signatures import BadSecret, BadSignature, require_signed
from fastapi import APIRouter, Depends, Query, Request, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, Field

from telephony_gateway.api.fields import PbxId
from telephony_gateway.domain.adapter_session import HEARTBEAT_S, SILENCE_S
from telephony_gateway.drivers.credentials import own_secrets_of
from telephony_gateway.drivers.http_messages import AnyCommand
from telephony_gateway.usecases.adapter_commands import CommandBox, wait_for_commands
from telephony_gateway.usecases.find_pbx import find_pbx
from telephony_gateway.usecases.hear_adapter import EventsGiven, SnapshotGiven

router = APIRouter(prefix="/v1", tags=["adapter"])
webhooks = APIRouter(tags=["webhooks"])

_signature = APIKeyHeader(
    name="webhook-signature",
    scheme_name="signature",
    description="`v1,` and the base64 of HMAC-SHA-256 over `{webhook-id}.{webhook-timestamp}.{body}`, with the secret"
    " `CORDBOARD_PBX_<ID>_SECRET`. `webhook-id` is new for each request and the same when that is repeated;"
    " `webhook-timestamp` is in seconds, within five minutes of our clock.",
    auto_error=False,
)


class _Signed(BaseModel):
    """Who sent a request, and its id."""

    caller: Principal
    webhook_id: str


async def _signed(request: Request, pbx_id: PbxId, _given: Annotated[str | None, Security(_signature)]) -> _Signed:
    try:
        webhook_id = require_signed(request.headers, await request.body(), own_secrets_of(pbx_id), time.time())
    except BadSignature as error:
        raise Unauthenticated(error.reason, header=error.header) from None
    except BadSecret:
        # Whoever asks need not know how far somebody got with the configuration.
        raise Unauthenticated("is not made with a secret that we know", header="webhook-signature") from None
    caller = Principal(subject=f"pbx/{pbx_id}", roles=frozenset(), org_path="/")
    await request.app.state.rate_limit.count(caller.subject)
    return _Signed(caller=caller, webhook_id=webhook_id)


Signed = Annotated[_Signed, Depends(_signed)]


class SnapshotBody(SnapshotGiven, Body):
    """All that is up at the PBX, at the number `sequence` of the adapter's events."""


class EventsBody(EventsGiven, Body):
    """Events in their order; numbers that were taken before do nothing."""


class Standing(BaseModel):
    """What of it is committed."""

    session: str
    sequence: int = Field(description="Number of the last event that was taken.")
    heartbeat_s: float = Field(default=HEARTBEAT_S, description="Send events at least so often, if only none.")
    silence_s: float = Field(default=SILENCE_S, description="After so long without any the session is over.")


class Commands(BaseModel):
    """What the PBX shall do, in this order. Each is answered by `command-done` or `command-refused`."""

    commands: list[AnyCommand]
    position: int = Field(description="Ask for those after this one the next time.")


class CommandsPushed(BaseModel):
    """What the PBX shall do, in this order."""

    pbx_id: str
    commands: list[AnyCommand]


@router.put("/pbxs/{pbx_id}/snapshot", summary="Begin a session")
async def put_snapshot(pbx_id: PbxId, signed: Signed, body: SnapshotBody, database: Db, request: Request) -> Standing:
    """Says what is up: what we believed up and is not there has ended, what is new is adopted. Commands that may have
    got lost are given again. To be sent when the adapter starts, comes back to its PBX, or is answered 409.
    """
    await _require_ours(database, pbx_id)
    return await _hand_over(request, signed, database, pbx_id, "snapshot", body)


@router.post("/pbxs/{pbx_id}/events", summary="Report events")
async def post_events(pbx_id: PbxId, signed: Signed, body: EventsBody, database: Db, request: Request) -> Standing:
    """All of them are committed when this is answered with 200; with any other status none is. Repeat a request that
    was not answered, or with 503, under its `webhook-id`. Code `snapshot-needed`: send a snapshot; `sequence-gap`: send
    what is missing, or a snapshot; `session-replaced`: another adapter speaks for this PBX, so stop.
    """
    await _require_ours(database, pbx_id)
    return await _hand_over(request, signed, database, pbx_id, "events", body)


@router.get("/pbxs/{pbx_id}/commands", summary="Wait for commands", dependencies=[Depends(_signed)])
async def get_commands(
    pbx_id: PbxId,
    database: Db,
    request: Request,
    after: Annotated[int, Query(ge=0, le=2**53, description="`position` of the answer before.")] = 0,
    wait_s: Annotated[float, Query(ge=0, le=20, description="Seconds to wait for the first.")] = 20.0,
) -> Commands:
    """Long poll: answers as soon as there are commands. They stay until they are answered by an event or a new session
    begins, so one who forgot `position` gets them again: a command that is known by its `command_id` is not done twice.
    """
    await _require_ours(database, pbx_id)
    box = CommandBox(database, pbx_id)
    state = request.app.state
    found = await wait_for_commands(box, state.wakeups, pbx_id, after, wait_s, lambda: bool(state.draining))
    return Commands.model_validate(
        {"commands": [one.body for one in found], "position": found[-1].position if found else after}
    )


@webhooks.post("commands", summary="Take commands")
async def take_commands(body: CommandsPushed) -> None:
    """Sent to `/commands` at the PBX's address by whoever owns it, if the snapshot asks for webhooks; signed like the
    adapter's own requests. Any 2xx takes all of them; else they are sent again under the same `webhook-id`, for ten
    seconds, after which the session is over.
    """


async def _require_ours(database: Db, pbx_id: str) -> None:
    async with database.transaction() as uow:
        row = await find_pbx(uow, pbx_id)
    if row.driver != "http":
        raise Conflict(f"{pbx_id} is reached by the driver {row.driver}", code="other-driver")
    if not row.enabled:
        raise Conflict(f"{pbx_id} is disabled", code="pbx-disabled")


async def _hand_over(request: Request, signed: _Signed, database: Db, pbx_id: str, name: str, body: Body) -> Standing:
    result = await ask_owner(
        request, signed.caller, database, kind="pbx", owner_id=pbx_id, name=name, payload=body, key=signed.webhook_id
    )
    return Standing(**result)
