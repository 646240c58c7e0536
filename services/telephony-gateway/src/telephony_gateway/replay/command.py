"""``python -m telephony_gateway replay``."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from telephony_gateway.replay.comparison import differences
from telephony_gateway.replay.drivers import REPLAYABLE
from telephony_gateway.replay.player import conclusions, play
from telephony_gateway.replay.trace import NoTrace


@click.command("replay")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--driver", type=click.Choice(sorted(REPLAYABLE)), required=True, help="Whose trace it is.")
@click.option("--region", default="CN", show_default=True, help="Country (ISO 3166) whose numbers callers send.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a trace.")
@click.option("--check", is_flag=True, help="Exit status 1 if anything differs from expected.json.")
def command(path: Path, driver: str, region: str, as_json: bool, check: bool) -> None:
    """Say what the gateway concludes from recorded traces.

    PATH is a trace, or a directory: of a scenario, or of scenarios. Where the recording says what really happened
    (expected.json), the differences are told.
    """
    traces = list(_traces(path, REPLAYABLE[driver].trace))
    if not traces:
        raise click.ClickException(f"there is no {REPLAYABLE[driver].trace} below {path}")
    wrong = False
    for file in traces:
        told = _replay(file, driver, region)
        wrong = wrong or bool(told.get("differences"))
        click.echo(json.dumps(told, ensure_ascii=False) if as_json else _in_words(told))
    sys.exit(1 if wrong and check else 0)


def _traces(path: Path, name: str) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from sorted(path.rglob(name))


def _replay(file: Path, driver: str, region: str) -> dict[str, Any]:
    try:
        trace = REPLAYABLE[driver].load(file)
    except (NoTrace, OSError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from error
    switchboard = play(trace, REPLAYABLE[driver].interpreter(), region)
    calls = conclusions(trace, switchboard)
    told: dict[str, Any] = {"scenario": file.parent.name, "trace": file.name, "driver": driver, "calls": calls}
    told["devices"] = {device: state.value for device, state in sorted(switchboard.devices.items())}
    expected = file.parent / "expected.json"
    wanted = json.loads(expected.read_text(encoding="utf-8")).get("calls") if expected.is_file() else None
    if wanted is not None:
        told["differences"] = differences(calls, REPLAYABLE[driver].expected(wanted))
    return told


def _in_words(told: dict[str, Any]) -> str:
    lines = [f"{told['scenario']} ({told['trace']}, {told['driver']})"]
    for call in told["calls"]:
        lines.append(
            f"  {call['direction']} call, customer {call['customer'] or 'unknown'}, offered at {call['offered_at']} s:"
            f" {call['outcome'] or 'not over'}, ended at {call['ended_at']} s by {call['ended_by']}"
        )
        lines += [f"    agent {_plain(agent)}" for agent in call["agents"]]
        lines += [f"    talk {_plain(talk)}" for talk in call["talk"]]
        lines += [f"    hold {_plain(hold)}" for hold in call["holds"]]
        lines += [f"    transfer {_plain(transfer)}" for transfer in call["transfers"]]
    lines += [f"  DIFFERENCE {text}" for text in told.get("differences", ())]
    return "\n".join(lines)


def _plain(row: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items() if value is not None)
