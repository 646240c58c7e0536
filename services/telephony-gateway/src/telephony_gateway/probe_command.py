"""``python -m telephony_gateway probe``."""

import asyncio
import dataclasses
import json
import sys
from collections.abc import Awaitable, Callable, Mapping

import click

from telephony_gateway.drivers import asterisk_ami_probe, freeswitch_esl_probe
from telephony_gateway.drivers.findings import Finding, Verdict
from telephony_gateway.drivers.interface import Endpoint

PROBES: Mapping[str, Callable[[Endpoint], Awaitable[list[Finding]]]] = {
    "asterisk-ami": asterisk_ami_probe.probe,
    "freeswitch-esl": freeswitch_esl_probe.probe,
}


@click.command("probe")
@click.option("--driver", type=click.Choice(sorted(PROBES)), required=True, help="How to speak with the PBX.")
@click.option("--host", required=True, help="Where the PBX listens.")
@click.option("--port", type=click.IntRange(1, 65535), required=True)
@click.option("--id", "pbx_id", default="pbx", show_default=True, help="Whose credentials: CORDBOARD_PBX_<ID>_SECRET.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding.")
def command(driver: str, host: str, port: int, pbx_id: str, as_json: bool) -> None:
    """Look whether a PBX is configured as the gateway needs it, and say what is missing.

    Changes nothing. The exit status is 1 if something is missing.
    """
    findings = asyncio.run(_run(PROBES[driver], Endpoint(pbx_id, host, port)))
    for finding in findings:
        click.echo(json.dumps(dataclasses.asdict(finding), ensure_ascii=False) if as_json else _in_words(finding))
    sys.exit(any(finding.verdict is Verdict.MISSING for finding in findings))


async def _run(probe: Callable[[Endpoint], Awaitable[list[Finding]]], endpoint: Endpoint) -> list[Finding]:
    return await probe(endpoint)


def _in_words(finding: Finding) -> str:
    remedy = f" -> {finding.remedy}" if finding.remedy else ""
    return f"{finding.verdict.upper():8}{finding.what}{remedy}"
