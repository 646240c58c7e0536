"""Looks at a FreeSWITCH over its event socket: may we log in and listen, are the modules and contexts there?

Nothing is changed and no call is touched.
"""

import asyncio

from telephony_gateway.drivers.connection import CONNECT_S, READ_BYTES
from telephony_gateway.drivers.credentials import credentials_of, variable_part
from telephony_gateway.drivers.findings import Finding, missing, note, ok
from telephony_gateway.drivers.freeswitch_esl import EVENTS, login_line
from telephony_gateway.drivers.freeswitch_esl_commands import Dialplan
from telephony_gateway.drivers.freeswitch_esl_messages import Message, MessageReader, json_of, line
from telephony_gateway.drivers.interface import Endpoint

ANSWER_S = 5.0
MODULES = (
    ("mod_commands", "tells what is up and takes commands"),
    ("mod_dptools", "parks and bridges"),
    ("mod_sofia", "speaks SIP"),
    ("mod_conference", "holds conferences"),
    ("mod_local_stream", "plays music to those who wait"),
)


class _Unreachable(Exception):
    """There is nothing to look at."""


class _Socket:
    """A connection that asks one thing after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._messages = MessageReader()
        self._found: list[Message] = []

    async def greeted(self) -> Message:
        """What the PBX says first."""
        return await self._next({"auth/request", "text/rude-rejection"})

    async def command(self, data: bytes) -> str:
        """The reply to a command."""
        self._writer.write(data)
        return (await self._next({"command/reply"})).reply

    async def api(self, text: str) -> Message:
        """The answer to an ``api`` command."""
        self._writer.write(line(f"api {text}"))
        return await self._next({"api/response"})

    async def _next(self, kinds: set[str]) -> Message:
        async with asyncio.timeout(ANSWER_S):
            while True:
                while self._found:
                    message = self._found.pop(0)
                    if message.kind in kinds:
                        return message
                data = await self._reader.read(READ_BYTES)
                if not data:
                    raise _Unreachable("the PBX closed the connection")
                self._found += self._messages.feed(data)
                if self._messages.refused is not None:
                    raise _Unreachable(self._messages.refused)


async def probe(endpoint: Endpoint) -> list[Finding]:
    """Everything that was looked at, in the order in which it matters."""
    credentials = credentials_of(endpoint.pbx_id)
    if not credentials.secret:
        variable = f"CORDBOARD_PBX_{variable_part(endpoint.pbx_id)}_SECRET"
        return [missing("no secret for this PBX", f"set {variable}")]
    place = f"{endpoint.host}:{endpoint.port}"
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=credentials.ssl_context())
    except (OSError, TimeoutError) as error:
        remedy = "event_socket.conf.xml: listen-ip, listen-port; mod_event_socket; firewall"
        return [missing(f"nobody listens at {place} ({error})", remedy)]
    try:
        socket = _Socket(reader, writer)
        if (await socket.greeted()).kind == "text/rude-rejection":
            return [missing("the PBX's access list does not let us in", "event_socket.conf.xml: apply-inbound-acl")]
        reply = await socket.command(login_line(credentials))
        if not reply.startswith("+OK"):
            return [missing(f"login refused: {reply[:100]}", "event_socket.conf.xml: password")]
        return [
            ok(f"logged in at {place}"),
            await _version(socket),
            await _listens(socket),
            *[await _module(socket, name, purpose) for name, purpose in MODULES],
            *await _dialplan(socket, Dialplan()),
            await _phones(socket),
        ]
    except (OSError, TimeoutError, _Unreachable) as error:
        remedy = "is this the port of event_socket.conf.xml?"
        return [missing(f"{place} does not answer as a FreeSWITCH does: {error}", remedy)]
    finally:
        writer.transport.abort()


async def _version(socket: _Socket) -> Finding:
    told = (await socket.api("version")).text.strip()
    return note(f"{told[:100]}: tested are 1.10 and 1.11") if "ersion 1.1" not in told else ok(told[:100])


async def _listens(socket: _Socket) -> Finding:
    reply = await socket.command(line(f"event plain {EVENTS}"))
    if reply.startswith("+OK"):
        return ok("we may listen")
    return missing(f"we may not listen: {reply[:100]}", "the user's esl-allowed-events in the directory")


async def _module(socket: _Socket, name: str, purpose: str) -> Finding:
    answer = (await socket.api(f"module_exists {name}")).text.strip()
    if answer == "true":
        return ok(f"{name} is loaded")
    if answer == "false":
        return missing(f"{name}, which {purpose}, is not loaded", "modules.conf.xml")
    return note(f"whether {name} is loaded is not told: {answer[:60]}", "the user's esl-allowed-api in the directory")


async def _dialplan(socket: _Socket, dialplan: Dialplan) -> list[Finding]:
    contexts = (
        (dialplan.waiting_context, "lets calls wait"),
        (dialplan.conference_context, "holds conferences"),
        (dialplan.outbound_context, "dials numbers outside"),
    )
    found = []
    for context, purpose in contexts:
        told = (await socket.api(f"xml_locate dialplan context name {context}")).text
        if f'name="{context}"' not in told:
            found.append(missing(f"there is no context {context}, which {purpose}", "dialplan: see the guide"))
            continue
        found.append(ok(f"context {context}"))
        if context == dialplan.waiting_context and "cc::waiting" not in told:
            remedy = "the application event with Event-Subclass=cc::waiting before the music: see the guide"
            found.append(missing(f"{context} does not say which call waits", remedy))
    return found


async def _phones(socket: _Socket) -> Finding:
    told = json_of((await socket.api("show registrations as json")).body)
    rows = told.get("rows", []) if isinstance(told, dict) else []
    users = sorted({str(row.get("reg_user")) for row in rows if isinstance(row, dict)})
    if not users:
        return note("no phone is registered", "phones at fixed addresses are known when they are called")
    return ok(f"registered: {', '.join(users[:20])}")
