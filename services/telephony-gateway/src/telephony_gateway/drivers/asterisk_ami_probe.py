"""Looks at an Asterisk over its Manager Interface: may we do what we need to, and does the dialplan do what it has to?

Nothing is changed and no call is touched: what needs a right is tried on a channel that does not exist.
"""

import asyncio
import re
from collections.abc import Iterable

from telephony_gateway.drivers.asterisk_ami import dialplan_of
from telephony_gateway.drivers.asterisk_ami_commands import Dialplan
from telephony_gateway.drivers.asterisk_ami_messages import Message, MessageReader, action
from telephony_gateway.drivers.connection import CONNECT_S, READ_BYTES
from telephony_gateway.drivers.credentials import credentials_of, variable_part
from telephony_gateway.drivers.findings import Finding, missing, note, ok
from telephony_gateway.drivers.interface import Endpoint

ANSWER_S = 5.0
OLDEST, NEWEST = 16, 22
NOWHERE = "Cordboard/probe-no-such-channel"
_VERSION = re.compile(r"^(?:certified/)?(\d+)")
_RIGHTS = (
    ("CoreShowChannels", (), "ask what is up", "write = system or reporting"),
    ("BridgeList", (), "ask who is connected", "write = system or reporting"),
    ("DeviceStateList", (), "ask which phones are there", "write = call or reporting"),
    ("Setvar", (("Channel", NOWHERE), ("Variable", "X"), ("Value", "1")), "mark calls", "write = call"),
    (
        "Redirect",
        (("Channel", NOWHERE), ("Context", "x"), ("Exten", "x"), ("Priority", "1")),
        "send calls to agents",
        "write = call",
    ),
    ("Hangup", (("Channel", NOWHERE),), "hang up", "write = system or call"),
    ("Originate", (), "call agents and customers (click-to-dial, consultation)", "write = originate"),
)


class _Unreachable(Exception):
    """There is nothing to look at."""


class _Manager:
    """A connection that asks one thing after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._messages = MessageReader()
        self._asked = 0

    async def ask(self, name: str, headers: Iterable[tuple[str, str]] = (), until: str = "") -> list[Message]:
        """What comes under this action's id, the answer first; with ``until``, up to the event of this name."""
        self._asked += 1
        action_id = f"probe-{self._asked}"
        self._writer.write(action(name, action_id, headers))
        found: list[Message] = []
        async with asyncio.timeout(ANSWER_S):
            while True:
                data = await self._reader.read(READ_BYTES)
                if not data:
                    raise _Unreachable("the PBX closed the connection")
                found += [m for m in self._messages.feed(data) if m["ActionID"] == action_id]
                if self._messages.refused is not None:
                    raise _Unreachable(self._messages.refused)
                answer = next((m for m in found if m["Response"] and not m.event), None)
                if answer is not None and (not until or answer["Response"] == "Error" or found[-1].event == until):
                    return [answer, *(m for m in found if m is not answer)]


async def probe(endpoint: Endpoint) -> list[Finding]:
    """Everything that was looked at, in the order in which it matters."""
    credentials = credentials_of(endpoint.pbx_id)
    prefix = f"CORDBOARD_PBX_{variable_part(endpoint.pbx_id)}"
    if not credentials.user or not credentials.secret:
        return [missing("no user and secret for this PBX", f"set {prefix}_USER and {prefix}_SECRET")]
    place = f"{endpoint.host}:{endpoint.port}"
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=credentials.ssl_context())
    except (OSError, TimeoutError) as error:
        return [
            missing(f"nobody listens at {place} ({error})", "manager.conf: enabled = yes, bindaddr, port; firewall")
        ]
    try:
        manager = _Manager(reader, writer)
        login, *_ = await manager.ask("Login", [("Username", credentials.user), ("Secret", credentials.secret)])
        if login["Response"] != "Success":
            remedy = f"manager.conf: section [{credentials.user}], its secret, deny and permit"
            return [missing(f"login refused: {login['Message']}", remedy)]
        return [
            ok(f"logged in at {place} as {credentials.user}"),
            *await _version(manager),
            *await _rights(manager),
            *await _dialplan(manager, dialplan_of(endpoint.pbx_id)),
            *await _phones(manager),
        ]
    except (OSError, TimeoutError, _Unreachable) as error:
        return [missing(f"{place} does not answer as an Asterisk does: {error}", "is this the port of manager.conf?")]
    finally:
        writer.transport.abort()


async def _version(manager: _Manager) -> list[Finding]:
    told, *_ = await manager.ask("CoreSettings")
    version = told["AsteriskVersion"]
    found = _VERSION.match(version)
    if found is None:
        return [note("the version is not told", "write = system or reporting would tell it")]
    if OLDEST <= int(found[1]) <= NEWEST:
        return [ok(f"Asterisk {version}")]
    return [note(f"Asterisk {version}: tested are {OLDEST} to {NEWEST}")]


async def _rights(manager: _Manager) -> list[Finding]:
    found = []
    for name, headers, purpose, right in _RIGHTS:
        until = f"{name}Complete" if not headers and name != "Originate" else ""
        told = (await manager.ask(name, headers, until))[0]
        denied = told["Response"] == "Error" and "permission" in told["Message"].lower()
        if denied:
            found.append(missing(f"we may not {purpose} ({name})", f"manager.conf: {right}"))
        else:
            found.append(ok(f"we may {purpose}"))
    answer, *heard = await manager.ask("UserEvent", [("UserEvent", "CordboardProbe")])
    if answer["Response"] != "Error":
        found.append(ok("we hear UserEvents") if heard else note("we heard nothing of our own UserEvent"))
    else:
        found.append(note("whether we hear UserEvents cannot be tried", "manager.conf: read = call,agent,user,dtmf"))
    return found


async def _dialplan(manager: _Manager, dialplan: Dialplan) -> list[Finding]:
    contexts = (
        (dialplan.agent_context, "rings an agent's extension"),
        (dialplan.waiting_context, "lets calls wait"),
        (dialplan.conference_context, "holds conferences"),
        (dialplan.outbound_context, "dials numbers outside"),
    )
    found = []
    for context, purpose in contexts:
        told = await manager.ask("ShowDialPlan", [("Context", context)], "ShowDialPlanComplete")
        if told[0]["Response"] == "Error" and "permission" in told[0]["Message"].lower():
            return [
                note("the dialplan cannot be looked at", "manager.conf: write = config or reporting for this probe")
            ]
        rows = [row for row in told if row.event == "ListDialplan"]
        if not rows:
            found.append(missing(f"there is no context {context}, which {purpose}", "extensions.conf: see the guide"))
            continue
        found.append(ok(f"context {context}"))
        if context == dialplan.waiting_context:
            found += _says_who_waits(context, rows)
    return found


def _says_who_waits(context: str, rows: Iterable[Message]) -> list[Finding]:
    if any(row["Application"] == "UserEvent" and row["AppData"].startswith("CCWaiting") for row in rows):
        return [ok(f"{context} says which call waits")]
    return [
        missing(
            f"{context} does not say which call waits",
            "extensions.conf: UserEvent(CCWaiting,Did: ${CALLERID(dnid)},Reason: ...) before the music",
        )
    ]


async def _phones(manager: _Manager) -> list[Finding]:
    told = await manager.ask("DeviceStateList", (), "DeviceStateListComplete")
    phones = [row for row in told if row["Device"].partition("/")[0] in ("PJSIP", "SIP", "IAX2", "SCCP")]
    away = [row["Device"] for row in phones if row["State"] in ("UNAVAILABLE", "INVALID")]
    if not phones:
        return [note("no phones are told of", "pjsip.conf; or the user may not ask")]
    found = [ok(f"{len(phones)} phones and trunks")]
    if away:
        found.append(note(f"not registered: {', '.join(sorted(away)[:20])}"))
    return found
