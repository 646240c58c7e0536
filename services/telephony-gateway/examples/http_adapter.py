"""An adapter of the open interface (docs/guides/http.md): whatever a driver of ours hears goes to a gateway over HTTP.

Useful as it is where the gateway cannot reach the PBX but the PBX's site can reach the gateway; and an example of all
that an adapter has to do. For a switch of another kind replace ``VirtualDriver``: something that reports a snapshot and
events, and takes commands.

    export CORDBOARD_PBX_SITE_1_SECRET=whsec_...
    python http_adapter.py site-1 --pbx 127.0.0.1:5099 --gateway http://127.0.0.1:8105
"""

import argparse
import asyncio
import logging
import os
import time
from uuid import uuid4

import aiohttp
from cordboard_chassis.signatures import headers
from pydantic import TypeAdapter
from pydantic_core import to_json
from telephony_gateway.drivers.http_messages import AnyCommand, of_event, of_snapshot, to_command
from telephony_gateway.drivers.interface import ConnectionLost, ConnectionUp, Disconnected, Driver, Endpoint, PbxEvent
from telephony_gateway.drivers.virtual import VirtualDriver

log = logging.getLogger(__name__)

COMMANDS: TypeAdapter[list[AnyCommand]] = TypeAdapter(list[AnyCommand])
BATCH = 100
HEARTBEAT_S = 1.0
PAUSE_S = 0.2
WAITING = 1_000
"""Events that wait to be sent; beyond that the driver reads no further."""


class OutOfStep(Exception):
    """The gateway wants a snapshot."""


class Replaced(Exception):
    """Another adapter speaks for this PBX."""


class Gateway:
    """Signed requests."""

    def __init__(self, url: str, pbx_id: str, secret: str, http: aiohttp.ClientSession) -> None:
        self._url = f"{url}/adapter/v1/pbxs/{pbx_id}"
        self._secret = secret
        self._http = http

    async def ask(self, method: str, path: str, content: object = None) -> dict[str, object]:
        """Send a request until it is answered: each time under the same id, so that it is carried out once."""
        body = b"" if content is None else to_json(content)
        webhook_id = f"msg_{uuid4()}"
        while True:
            signed = {**headers(webhook_id, int(time.time()), body, [self._secret]), "content-type": "application/json"}
            try:
                async with self._http.request(method, self._url + path, data=body, headers=signed) as response:
                    answer: dict[str, object] = await response.json(content_type=None)
                    status = response.status
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                log.warning("%s %s: %s", method, path, type(error).__name__)
                status, answer = 503, {}
            if status < 300:
                return answer
            if status == 409 and answer.get("code") == "session-replaced":
                raise Replaced
            if status == 409 and answer.get("code") in ("snapshot-needed", "sequence-gap", "stale-snapshot"):
                raise OutOfStep(str(answer.get("detail")))
            log.warning("%s %s: %s %s", method, path, status, answer.get("detail"))
            await asyncio.sleep(PAUSE_S)


async def adapt(make_driver: type[VirtualDriver], endpoint: Endpoint, gateway: Gateway) -> None:
    """Session after session, until another adapter takes over."""
    while True:
        heard: asyncio.Queue[PbxEvent] = asyncio.Queue(WAITING)
        driver = make_driver(endpoint)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(driver.run(heard.put))
            taking = None
            try:
                while not isinstance(up := await heard.get(), ConnectionUp):
                    pass
                session = f"s-{uuid4()}"
                snapshot = {"session": session, "sequence": 0, "snapshot": of_snapshot(up)}
                await gateway.ask("PUT", "/snapshot", snapshot)
                taking = tasks.create_task(take_commands(driver, gateway))
                await report_events(session, heard, gateway)
            except OutOfStep as reason:
                log.warning("begins anew: %s", reason)
            finally:
                running.cancel()
                if taking is not None:
                    taking.cancel()
        await asyncio.sleep(PAUSE_S)


async def report_events(session: str, heard: asyncio.Queue[PbxEvent], gateway: Gateway) -> None:
    """Number them, send what waits in one request, and nothing before that is answered; until the PBX is lost."""
    first = 1
    while True:
        events: list[PbxEvent] = []
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                events.append(await heard.get())
        except TimeoutError:
            pass  # none for a while: the gateway shall know that we live
        while events and len(events) < BATCH and not heard.empty():
            events.append(heard.get_nowait())
        content = [of_event(event) for event in events if not isinstance(event, ConnectionUp)]
        await gateway.ask("POST", "/events", {"session": session, "first": first, "events": content})
        first += len(content)
        if any(isinstance(event, ConnectionLost | ConnectionUp) for event in events):
            return


async def take_commands(driver: Driver, gateway: Gateway) -> None:
    """Have the PBX do what the gateway wants; its answers are events."""
    position: object = 0
    while True:
        answer = await gateway.ask("GET", f"/commands?after={position}")
        commands = COMMANDS.validate_json(to_json(answer["commands"]))
        try:
            await driver.send([to_command(command) for command in commands])
        except Disconnected:
            return  # the gateway gives them again after the next snapshot
        position = answer["position"]


async def run(pbx_id: str, host: str, port: int, url: str, secret: str) -> None:
    """The adapter of one PBX."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        await adapt(VirtualDriver, Endpoint(pbx_id, host, port), Gateway(url, pbx_id, secret, http))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Speak for a PBX at a gateway.")
    parser.add_argument("pbx_id")
    parser.add_argument("--pbx", required=True, metavar="HOST:PORT")
    parser.add_argument("--gateway", required=True, metavar="URL")
    given = parser.parse_args()
    host, _, port = given.pbx.rpartition(":")
    secret = os.environ[f"CORDBOARD_PBX_{given.pbx_id.upper().replace('-', '_')}_SECRET"]
    asyncio.run(run(given.pbx_id, host, int(port), given.gateway, secret))


if __name__ == "__main__":
    main()
