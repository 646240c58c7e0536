"""The event stream for desktops: server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Annotated

from cordboard_chassis.auth.principal import Principal, Role, Unauthenticated, authenticate
from cordboard_chassis.auth.tokens import MAX_TOKEN_LENGTH
from cordboard_chassis.refusals import Forbidden, Invalid
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import StringConstraints
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from notifications.domain.patterns import MAX_LENGTH, BadPattern, check
from notifications.settings import NotificationsSettings
from notifications.usecases.follow_stream import Event, EventStreams, Heartbeat, Reset, Wanted

router = APIRouter(prefix="/v1", tags=["stream"])

ROLES = frozenset({Role.AGENT, Role.SUPERVISOR, Role.BRANCH_MANAGER, Role.ADMINISTRATOR, Role.SERVICE})
RECONNECT_MS = 1000
MAX_POSITION = 2**63 - 1
MAX_PATTERNS = 50

_bearer = HTTPBearer(scheme_name="bearer", auto_error=False)


async def _caller(
    request: Request,
    header: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    access_token: Annotated[
        str | None,
        Query(
            max_length=MAX_TOKEN_LENGTH,
            description="The same token, for browsers: their EventSource cannot send headers.",
        ),
    ] = None,
) -> Principal:
    credential = header.credentials if header else access_token
    if credential is None:
        raise Unauthenticated("send a token as Authorization: Bearer, or as access_token", presented=False)
    found = await authenticate(request, credential)
    if found.roles.isdisjoint(ROLES):
        raise Forbidden(f"needs one of the roles {', '.join(sorted(ROLES))}", code="role-missing")
    return found


@router.get(
    "/stream",
    response_class=Response,
    responses={
        200: {
            "description": "Events as they happen. `id` is the position to resume after, `data` the event as JSON "
            "(CloudEvents). A message of event `reset` says that what happened before its position cannot be had any "
            "more: load the present state, then go on.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def stream_events(
    request: Request,
    caller: Annotated[Principal, Depends(_caller)],
    after: Annotated[
        int | None, Query(ge=0, le=MAX_POSITION, description="Begin after this position; without it, now.")
    ] = None,
    types: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=MAX_LENGTH)]] | None,
        Query(max_length=MAX_PATTERNS, description="Event types, `*` as for endpoints; may be repeated."),
    ] = None,
    mine: Annotated[bool, Query(description="Only what concerns the agent of the token.")] = False,
    last_event_id: Annotated[
        int | None,
        Header(ge=0, le=MAX_POSITION, description="Sent by a browser that comes back; counts more than `after`."),
    ] = None,
) -> Response:
    """Follow events within the caller's part of the organisation, as they happen, without gaps."""
    for index, pattern in enumerate(types or ()):
        try:
            check(pattern)
        except BadPattern as error:
            raise Invalid(str(error), f"types.{index}") from error
    if mine and caller.agent_id is None:
        raise Invalid("the token names no agent", "mine")
    streams: EventStreams = request.app.state.streams
    settings: NotificationsSettings = request.app.state.settings
    streams.require_room()
    wanted = Wanted(caller.org_path, tuple(types or ("*",)), caller.agent_id if mine else None)
    begin = last_event_id if last_event_id is not None else after
    await streams.bounds()  # no stream without a database: better a problem than a stream that ends at once
    return EventStream(streams.follow(wanted, begin), settings.stream_max_s)


class EventStream(Response):
    """Sends items as they come, in the task of the request; ends when the client goes, or after ``max_s``."""

    media_type = "text/event-stream"

    def __init__(self, items: AsyncIterator[Event | Reset | Heartbeat], max_s: float) -> None:
        super().__init__(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            }
        )
        del self.headers["Content-Length"]
        self._items = items
        self._max_s = max_s

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        watching: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(self._max_s) as time_left:
                watching = asyncio.create_task(_watch(receive, time_left))
                await send(_chunk(f"retry: {RECONNECT_MS}\n\n"))
                async with aclosing(self._items) as items:  # type: ignore[type-var]
                    async for item in items:
                        await send(_chunk(written(item)))
        except TimeoutError:
            pass  # its time is over, or the client has gone
        finally:
            if watching is not None:
                watching.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _watch(receive: Receive, time_left: asyncio.Timeout) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    with suppress(RuntimeError):  # it has run out in this very moment
        time_left.reschedule(asyncio.get_running_loop().time())


def _chunk(text: str) -> dict[str, object]:
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}


def written(item: Event | Reset | Heartbeat) -> str:
    """An item in the format of the stream.

    A heartbeat carries its position as an id without data: the browser remembers it and tells nobody.
    """
    match item:
        case Event():
            return f"id: {item.position}\ndata: {item.body}\n\n"
        case Reset():
            data = json.dumps({"position": item.position, "reason": item.reason.value})
            return f"id: {item.position}\nevent: reset\ndata: {data}\n\n"
        case Heartbeat():
            return f": heartbeat\nid: {item.position}\n\n"
