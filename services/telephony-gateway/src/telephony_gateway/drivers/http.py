"""The open interface for every other switch: its adapter calls our API, this is what the PBX's owner has of it.

What the adapter says reaches the owner as inputs (`usecases.hear_adapter`), so that it is acknowledged only once it is
committed. Commands wait in a table, from which the adapter takes them by long poll, or this driver sends them.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import aiohttp
from cordboard_chassis.signatures import headers
from pydantic_core import to_json

from telephony_gateway.domain.pbx_commands import Command
from telephony_gateway.domain.pbx_events import ConnectionLost
from telephony_gateway.drivers.credentials import Credentials, credentials_of
from telephony_gateway.drivers.interface import Disconnected, Endpoint, Report

log = logging.getLogger(__name__)

ATTEMPT_S = 5.0
FIRST_PAUSE_S = 0.2
GIVE_UP_S = 10.0
"""An adapter that takes no webhook for so long has to begin anew."""


class _Waiting(Protocol):
    @property
    def position(self) -> int: ...
    @property
    def body(self) -> dict[str, Any]: ...


class Commands(Protocol):
    """Where commands wait."""

    async def put(self, commands: Sequence[Command]) -> None:
        """Have them wait; raises `Disconnected` when too many do."""

    async def after(self, position: int) -> Sequence[_Waiting]:
        """The next that wait."""


class HttpDriver:
    """See `interface.Driver`."""

    def __init__(self, endpoint: Endpoint, box: Commands, credentials: Credentials | None = None) -> None:
        self._endpoint = endpoint
        self._box = box
        self._credentials = credentials or credentials_of(endpoint.pbx_id)
        self._pushes = False
        self._given = asyncio.Event()
        self._lost: str | None = None

    def begin(self, *, pushes: bool) -> None:
        """A session begins; ``pushes``: commands are sent as webhooks."""
        self._pushes = pushes
        self._lost = None
        self._given.set()

    async def send(self, commands: Sequence[Command]) -> None:
        """See `interface.Driver.send`."""
        try:
            await self._box.put(commands)
        except Disconnected as error:
            self._lost = str(error)
            raise
        finally:
            self._given.set()

    async def run(self, report: Report) -> None:
        """See `interface.Driver.run`. That the adapter is there, the owner hears from it; that it is not, here."""
        # Positions grow for ever, so what a session of before was sent is not sent again.
        delivered = 0
        while True:
            await self._given.wait()
            self._given.clear()
            if self._pushes and self._lost is None:
                delivered = await self._push(delivered)
            if self._lost is not None:
                self._pushes = False
                reason, self._lost = self._lost, None
                await report(ConnectionLost(at=datetime.now(UTC), reason=reason))

    async def _push(self, delivered: int) -> int:
        connector = aiohttp.TCPConnector(ssl=self._credentials.ssl_context() or True)
        timeout = aiohttp.ClientTimeout(total=ATTEMPT_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while self._pushes and (waiting := await self._box.after(delivered)):
                body = to_json({"pbx_id": self._endpoint.pbx_id, "commands": [found.body for found in waiting]})
                problem = await self._deliver(session, f"cmd_{waiting[-1].position}", body)
                if problem is not None:
                    self._lost = problem
                    break
                delivered = waiting[-1].position
        return delivered

    async def _deliver(self, session: aiohttp.ClientSession, webhook_id: str, body: bytes) -> str | None:
        """Send until it is taken, under one id; why not, when that took too long."""
        began_s, pause_s = time.monotonic(), FIRST_PAUSE_S
        while True:
            signed = headers(webhook_id, int(time.time()), body, self._credentials.secret.split()[:1])
            try:
                async with session.post(
                    self._url,
                    data=body,
                    headers={"content-type": "application/json", **signed},
                    allow_redirects=False,
                ) as response:
                    if 200 <= response.status < 300:
                        return None
                    problem = f"the adapter answers a webhook with {response.status}"
            except (aiohttp.ClientError, OSError, ValueError) as error:
                problem = f"the adapter takes no webhook: {type(error).__name__}"
            log.warning("commands not delivered", extra={"pbx": self._endpoint.pbx_id, "reason": problem})
            if time.monotonic() - began_s > GIVE_UP_S:
                return problem
            await asyncio.sleep(pause_s)  # rule: sleep (a pause between attempts)
            pause_s = min(2 * pause_s, GIVE_UP_S / 4)

    @property
    def _url(self) -> str:
        host = f"[{self._endpoint.host}]" if ":" in self._endpoint.host else self._endpoint.host
        return f"{'https' if self._credentials.tls else 'http'}://{host}:{self._endpoint.port}/commands"
