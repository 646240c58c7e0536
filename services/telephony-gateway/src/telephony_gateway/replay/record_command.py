"""``python -m telephony_gateway record``."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from telephony_gateway.domain.pbx_events import PbxEvent
from telephony_gateway.drivers.asterisk_ami import AsteriskAmiDriver
from telephony_gateway.drivers.connection import Tap
from telephony_gateway.drivers.credentials import credentials_of
from telephony_gateway.drivers.freeswitch_esl import FreeswitchEslDriver
from telephony_gateway.drivers.freeswitch_esl_commands import Dialplan
from telephony_gateway.drivers.interface import Driver, Endpoint
from telephony_gateway.replay.drivers import REPLAYABLE
from telephony_gateway.replay.recorder import Recorder, write_expectation

RECORDABLE: Mapping[str, Callable[[Endpoint, Tap], Driver]] = {
    "asterisk-ami": lambda endpoint, tap: AsteriskAmiDriver(endpoint, tap=tap),
    # Whoever only listens plays no music to those who wait.
    "freeswitch-esl": lambda endpoint, tap: FreeswitchEslDriver(endpoint, dialplan=Dialplan(music=""), tap=tap),
}


@click.command("record")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--driver", type=click.Choice(sorted(RECORDABLE)), required=True, help="How to speak with the PBX.")
@click.option("--host", required=True, help="Where the PBX listens.")
@click.option("--port", type=click.IntRange(1, 65535), required=True)
@click.option("--id", "pbx_id", default="pbx", show_default=True, help="Whose credentials: CORDBOARD_PBX_<ID>_SECRET.")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="How long; else until interrupted.")
def command(directory: Path, driver: str, host: str, port: int, pbx_id: str, seconds: float | None) -> None:
    """Record what a PBX says, for a report or a test.

    Nothing is ordered from the PBX: the gateway logs in, asks what is up and listens. User names' secrets are removed;
    numbers and names of callers are not. `replay` reads what is written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / REPLAYABLE[driver].trace
    with file.open("w", encoding="utf-8") as lines:
        write_expectation(directory, driver)
        recorder = Recorder(lines, (credentials_of(pbx_id).secret,))
        asyncio.run(_record(RECORDABLE[driver](Endpoint(pbx_id, host, port), recorder), seconds))
    click.echo(f"{recorder.lines} lines in {file}")


async def _record(driver: Driver, seconds: float | None) -> None:
    async def drop(_event: PbxEvent) -> None:
        pass

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    running = asyncio.create_task(driver.run(drop))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopped.wait()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
