"""The process: both ports open, until it is told to stop."""

import asyncio
import json
import signal
from collections.abc import Callable
from dataclasses import dataclass

from telephony_gateway.virtual_pbx.control_server import Control
from telephony_gateway.virtual_pbx.exchange import Exchange
from telephony_gateway.virtual_pbx.link import Link, LinkSettings


@dataclass(frozen=True, slots=True)
class PbxSettings:
    """What a virtual PBX is told when it starts. Port 0 takes a free one."""

    pbx_id: str = "pbx-1"
    host: str = "127.0.0.1"
    port: int = 5099
    control_host: str = "127.0.0.1"
    control_port: int = 5098
    speed: float = 1.0
    seed: int = 1
    quirks: bool = True
    heartbeat_s: float = 5.0
    buffer_bytes: int = 8 * 1024 * 1024


class VirtualPbx:
    """A PBX with both its ports, in the running event loop."""

    def __init__(self, settings: PbxSettings) -> None:
        self._settings = settings
        self.exchange = Exchange(
            pbx_id=settings.pbx_id, speed=settings.speed, seed=settings.seed, quirks=settings.quirks
        )
        self.link = Link(
            self.exchange,
            LinkSettings(
                heartbeat_s=settings.heartbeat_s,
                buffer_bytes=settings.buffer_bytes,
            ),
        )
        self.control = Control(self.link)
        self.port = 0
        self.control_port = 0

    async def open(self) -> None:
        """Listen on both ports.

        Raises:
            OSError: a port is taken.
        """
        settings = self._settings
        self.port = await self.link.open(settings.host, settings.port)
        self.control_port = await self.control.open(settings.control_host, settings.control_port)

    def close(self) -> None:
        """Orderly stop: clients hear of it."""
        self.link.close()
        self.control.close()
        self.exchange.close()


async def serve(settings: PbxSettings, say: Callable[[str], None]) -> None:
    """Run a PBX until SIGTERM or SIGINT; ``say`` gets one line of JSON that names the ports."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pbx = VirtualPbx(settings)
    await pbx.open()
    try:
        say(json.dumps({"listening": settings.pbx_id, "port": pbx.port, "control_port": pbx.control_port}))
        await stop.wait()
    finally:
        pbx.close()
        await asyncio.sleep(0)  # lets the goodbyes out
