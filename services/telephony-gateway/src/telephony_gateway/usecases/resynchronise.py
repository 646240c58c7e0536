"""After a connection came up: keep what lives, end what died, adopt what came meanwhile, repeat what may be lost."""

import logging

from cordboard_chassis.unit_of_work import UnitOfWork
from prometheus_client import Counter

from telephony_gateway.domain import text
from telephony_gateway.domain.control import commands_to_repeat
from telephony_gateway.domain.lines import line_of
from telephony_gateway.domain.pbx_commands import HangUp
from telephony_gateway.domain.pbx_events import ConnectionUp, LiveCall
from telephony_gateway.domain.resync import end_unseen, lay_over
from telephony_gateway.domain.transitions import apply, command_id_of, new_call
from telephony_gateway.domain.words import DeviceState
from telephony_gateway.storage import queries
from telephony_gateway.usecases.board import Board

log = logging.getLogger(__name__)

RESYNCHRONISED = Counter(
    "telephony_resync_calls_total", "Calls at a resynchronisation, by what became of them.", ("fate",)
)


async def resynchronise(uow: UnitOfWork, board: Board, up: ConnectionUp, instance: str) -> None:
    """Lay the PBX's snapshot over what is known."""
    for event in up.ended:
        call = board.calls.get(event.call)
        if call is not None:
            await board.keep(uow, call, apply(call, event)[0], event.at)
    fates = await _lay_over(uow, board, up)
    for call in list(board.calls.values()):
        repeated, commands = commands_to_repeat(call, uow.now)
        await board.keep(uow, call, repeated, uow.now)
        board.commands.extend(commands)
    _see_devices(uow, board, up)
    board.see_connection(connected=True)
    await queries.write_connection(uow, board.pbx.pbx_id, connected=True, detail="", owned_by=instance)
    for fate, number in fates.items():
        RESYNCHRONISED.labels(fate).inc(number)
    log.info("resynchronised", extra={"pbx": board.pbx.pbx_id, "devices": len(up.devices), **fates})


async def _lay_over(uow: UnitOfWork, board: Board, up: ConnectionUp) -> dict[str, int]:
    fates = dict.fromkeys(("kept", "adopted", "ended", "over"), 0)
    live = {call.call: call for call in up.calls if text.is_name(call.call)}
    over = await board.ended_calls(uow, live.keys() - board.calls.keys())
    for name, seen in live.items():
        known = board.calls.get(name)
        if known is not None:
            await board.keep(uow, known, lay_over(known, seen, up, board.lost_at), up.at)
            fates["kept"] += 1
        elif name in over:
            # We told everybody that it is over; nobody looks after it any more.
            command_id = command_id_of(over[name], f"ghost/{up.at.isoformat()}")
            board.commands.append(HangUp(command_id=command_id, call=name))
            fates["over"] += 1
        else:
            await _adopt(uow, board, seen, up)
            fates["adopted"] += 1
    for call in list(board.calls.values()):
        if call.pbx_call not in live:
            ended = end_unseen(call, up, board.lost_at)
            await board.keep(uow, call, ended, ended.cleared_at or up.at)
            fates["ended"] += ended.is_cleared
    return fates


async def _adopt(uow: UnitOfWork, board: Board, seen: LiveCall, up: ConnectionUp) -> None:
    line = line_of(board.pbx, seen.trunk, seen.dialled)
    call = new_call(board.pbx.pbx_id, line, seen)
    for event in up.ended:
        if event.call == seen.call:
            call = apply(call, event)[0]
    await board.keep(uow, None, lay_over(call, seen, up, None), seen.offered_at)


def _see_devices(uow: UnitOfWork, board: Board, up: ConnectionUp) -> None:
    states = {text.identifier(device.device): device.state for device in up.devices}
    for device_id, state in states.items():
        board.keep_device(uow, device_id, state, up.at, certain=True)
    for device_id in board.devices.keys() - states.keys():
        board.keep_device(uow, device_id, DeviceState.UNREACHABLE, up.at, certain=True)
