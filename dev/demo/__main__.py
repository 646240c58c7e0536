"""``python -m dev.demo``; see ``--help``."""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from telephony_gateway.virtual_pbx.control import ControlClient
from telephony_gateway.virtual_pbx.core.scripts import CallerScript, Fixed, NameEncoding

from dev.demo.api import Api, Failed
from dev.demo.centre import DID, customer_name, customer_number, seed
from dev.demo.desks import Desks
from dev.demo.partner import Partner
from dev.demo.report import Report, lines, make_report
from dev.demo.running import Composed, Running
from dev.demo.stories import Stories
from dev.demo.traffic import BadRecording, Caller, Day, generated, replayed
from dev.ledger import AlreadyRunning
from dev.places import STATE, shown
from dev.processes import StartFailed
from dev.serve import show
from dev.servers import CannotProvide
from dev.stopping import exit_on_signals
from dev.system import System

DEFAULT_SPEED = 30.0
LOOK_S = 0.5
SAY_EVERY_S = 5.0
DRAIN_S = 60.0
STRANGERS = ("138", "189", "+49 30 5550")


def main() -> int:
    """Run the demo; 0 when nothing was lost, doubled or forgotten."""
    options = _options()
    exit_on_signals()
    console = Console(highlight=False, soft_wrap=True)
    try:
        day = replayed(options.replay, options.day) if options.replay else generated(options.calls, options.speed)
        if options.replay and options.calls is not None:
            day = Day(day.name, day.callers[: options.calls], day.seats, day.source, {})
    except (BadRecording, OSError) as error:
        print(f"script/demo: {error}", file=sys.stderr)
        return 2
    try:
        report = _composed(day, options, console) if options.composed else _own(day, options, console)
    except (CannotProvide, StartFailed, AlreadyRunning, Failed, TimeoutError) as error:
        print(f"script/demo: {error or type(error).__name__}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 1 if report.problems else 0


def _own(day: Day, options: argparse.Namespace, console: Console) -> Report:
    """On a system that is started for it."""
    began = time.monotonic()
    with System(
        "demo", replicas=options.replicas, fresh=True, announced=True, pbx_speed=options.speed, say=console.print
    ) as system:
        console.print(f"the system runs after {time.monotonic() - began:.0f} s")
        report = asyncio.run(_run(system, day, options.speed, console, "127.0.0.1"))
        _tell(report, console, options.report)
        console.print(f"logs: {shown(STATE / 'demo' / 'logs')}/")
        if not options.headless:
            show(system, time.monotonic() - began)
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    system.processes.watch()
                    time.sleep(LOOK_S)
    return report


def _composed(day: Day, options: argparse.Namespace, console: Console) -> Report:
    """On the system of ``docker-compose.yml``, from a container beside it."""
    own_address = socket.gethostbyname(socket.gethostname())
    report = asyncio.run(_run(Composed(), day, options.speed, console, own_address))
    _tell(report, console, options.report)
    return report


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/demo",
        description="Start the whole system, seed a contact centre, drive calls through the built-in PBX, show a few of"
        " them step by step, and report. Exits with 0 when no call was lost or given to two agents, every call has its"
        " interaction, and the partner heard of each.",
    )
    parser.add_argument("--calls", type=int, metavar="N", help="how many calls (200); with --replay the first N")
    parser.add_argument(
        "--speed",
        type=float,
        default=float(os.environ.get("CORDBOARD_PBX_SPEED", DEFAULT_SPEED)),
        metavar="X",
        help="how fast people talk and wait (30)",
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="a month of a bank's calls, tab separated")
    parser.add_argument("--day", metavar="YYMMDD", help="which day of it; the busiest when not given")
    parser.add_argument("--replicas", type=int, default=1, metavar="N", help="processes of each service (1)")
    parser.add_argument("--headless", action="store_true", help="exit when done")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report as JSON")
    parser.add_argument("--composed", action="store_true", help=argparse.SUPPRESS)  # the demo's container says so
    options = parser.parse_args()
    if options.calls is not None and not 1 <= options.calls <= 100_000:
        parser.error("--calls: 1 to 100000")
    if not 0.1 <= options.speed <= 1000:
        parser.error("--speed: 0.1 to 1000")
    if not 1 <= options.replicas <= 8:
        parser.error("--replicas: 1 to 8")
    if options.day and not options.replay:
        parser.error("--day needs --replay")
    if options.report and not os.access(options.report.absolute().parent, os.W_OK):
        parser.error(f"--report: {options.report} cannot be written")  # now, not after the last call
    if options.calls is None and not options.replay:
        options.calls = 200
    return options


async def _run(system: Running, day: Day, speed: float, console: Console, own_address: str) -> Report:
    """``own_address``: where the services reach the partner."""
    partner = Partner()
    url = await partner.start(own_address)
    async with Api(system) as api, await ControlClient.connect(system.pbx_host, system.pbx_control_port) as pbx:
        if (await pbx.stats())["counts"]["offered"]:
            raise Failed("this system has had calls before; the report counts everything, so begin with a new one")
        console.print(f"seeding {len(day.seats)} agents and {len(_customers(day))} customers")
        partner.secret = await seed(system, api, day, speed, url)
        desks, stories = Desks(api, day, speed), Stories(api)
        await desks.log_in_early()
        async with asyncio.TaskGroup() as group:
            background: list[Coroutine[Any, Any, None]] = [desks.serve(), stories.follow(), desks.keep_ready()]
            tasks = [group.create_task(work) for work in background]
            await _drive(pbx, day, desks, speed, console, partner)
            await _settle(pbx, api, desks, partner)
            for task in tasks:
                task.cancel()
        for story in stories.told(partner):
            console.print(f"\n[bold]{story[0]}[/bold]")
            for line in story[1:]:
                console.print(line, markup=False)
        report = await make_report(system, api, pbx, partner, day, speed, desks.done)
        for failure in desks.failures[:10]:
            console.print(f"a desktop was told: {failure}", markup=False)
    await partner.stop()
    return report


def _customers(day: Day) -> list[str]:
    return sorted({caller.customer for caller in day.callers if caller.customer})


async def _drive(pbx: ControlClient, day: Day, desks: Desks, speed: float, console: Console, partner: Partner) -> None:
    index = {customer: number for number, customer in enumerate(_customers(day))}
    await pbx.place_calls([(caller.at_s, _script(caller, number, index)) for number, caller in enumerate(day.callers)])
    began = time.monotonic()
    over_s = day.callers[-1].at_s / speed
    total = len(day.callers)
    console.print(f"{day.source}: {total} calls within {over_s:.0f} s, people talk {speed:g} times as fast\n")
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}"), TimeElapsedColumn())
    async with asyncio.TaskGroup() as group:
        shifts = group.create_task(desks.keep_shifts(began))
        others = group.create_task(desks.submit_others(max(4, total // 50), max(4, total // 50), over_s))
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
            task = bar.add_task("calls", total=total, figures="")
            said = began
            while True:
                stats = await pbx.stats()
                counts, live = stats["counts"], stats["live"]
                over = counts["completed"] + counts["abandoned"] + counts["rejected"] + counts["dropped"]
                figures = (
                    f"{over}/{total} over, {live['waiting']} wait, {live['talking']} talk,"
                    f" {live['devices_free']} devices free, {len(partner.verified)} webhooks"
                )
                bar.update(task, completed=over, figures=figures)
                if not console.is_terminal and time.monotonic() - said >= SAY_EVERY_S:
                    said = time.monotonic()
                    console.print(f"{said - began:5.0f} s  {figures}", markup=False)
                if over >= total and not live["inbound"]:
                    break
                await asyncio.sleep(LOOK_S)
        shifts.cancel()
        await others


def _script(caller: Caller, number: int, index: dict[str, int]) -> CallerScript:
    known = index.get(caller.customer or "")
    name = customer_name(known)[1] if known is not None else ""
    if known is not None:
        phone: str | None = customer_number(known)
    elif number % 50 == 0:
        phone = None  # withheld
    else:
        phone = f"{STRANGERS[number % len(STRANGERS)]}{9_0000_000 + number}"
    return CallerScript(
        did=DID,
        number=phone,
        name=name,
        name_encoding=NameEncoding.GBK
        if number % 7 == 0 and name.isprintable() and not name.isascii()
        else NameEncoding.UTF8,
        attributes={"type": caller.type},
        patience=Fixed(caller.patience_s),
        talk=Fixed(caller.talk_s),
        tag=caller.type,
    )


async def _settle(pbx: ControlClient, api: Api, desks: Desks, partner: Partner) -> None:
    """Wait until everything that follows from the calls has happened: histories, webhooks, what desks have in hand."""
    deadline = time.monotonic() + DRAIN_S
    await desks.settle(DRAIN_S)
    offered = (await pbx.stats())["counts"]["offered"]
    while time.monotonic() < deadline:
        heard = min(partner.count("telephony.call.cleared.v1"), partner.count("accounts.interaction.recorded.v1"))
        if heard >= offered:
            pending = await api.ask("GET", "notifications", "/v1/deliveries?state=pending&limit=1")
            if not pending["items"]:
                return
        await asyncio.sleep(LOOK_S)


def _tell(report: Report, console: Console, file: Path | None) -> None:
    console.print("\n[bold]Report[/bold]")
    for line in lines(report.values):
        console.print(line, markup=False)
    for problem in report.problems:
        console.print(f"[red]not as it must be:[/red] {problem}")
    if file is not None:
        file.write_text(json.dumps({**report.values, "problems": report.problems}, indent=2, ensure_ascii=False) + "\n")
        console.print(f"\nwritten to {file}")


if __name__ == "__main__":
    sys.exit(main())
