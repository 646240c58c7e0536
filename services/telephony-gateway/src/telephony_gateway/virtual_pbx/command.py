"""``python -m telephony_gateway virtual-pbx``."""

import asyncio
import logging

import click

from telephony_gateway.virtual_pbx.server import PbxSettings, serve

PORT = click.IntRange(0, 65535)


@click.command("virtual-pbx", context_settings={"show_default": True})
@click.option("--id", "pbx_id", default="pbx-1", help="What it calls itself.")
@click.option("--host", default="127.0.0.1", help="Address of the switch link.")
@click.option("--port", type=PORT, default=5099, help="Port of the switch link; 0 takes a free one.")
@click.option("--control-host", default="127.0.0.1", help="Address of the control link.")
@click.option("--control-port", type=PORT, default=5098, help="Port of the control link; 0 takes a free one.")
@click.option("--speed", type=click.FloatRange(0.01, 10_000), default=1.0, help="How fast its clock runs.")
@click.option("--seed", type=int, default=1, help="Of everything that it leaves to chance.")
@click.option("--quirks/--no-quirks", default=True, help="Tell things twice or in another order now and then.")
@click.option("--heartbeat-s", type=click.FloatRange(0.05, 60), default=5.0, help="Between heartbeats.")
@click.option(
    "--buffer-bytes",
    type=click.IntRange(64 * 1024, 1024 * 1024 * 1024),
    default=8 * 1024 * 1024,
    help="What a client may leave unread before it is disconnected.",
)
def command(
    pbx_id: str,
    host: str,
    port: int,
    control_host: str,
    control_port: int,
    speed: float,
    seed: int,
    quirks: bool,
    heartbeat_s: float,
    buffer_bytes: int,
) -> None:
    """Run the built-in PBX.

    Its first line on standard output is JSON and names the ports:
    {"listening": "pbx-1", "port": 5099, "control_port": 5098}
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = PbxSettings(
        pbx_id=pbx_id,
        host=host,
        port=port,
        control_host=control_host,
        control_port=control_port,
        speed=speed,
        seed=seed,
        quirks=quirks,
        heartbeat_s=heartbeat_s,
        buffer_bytes=buffer_bytes,
    )
    asyncio.run(serve(settings, click.echo))
