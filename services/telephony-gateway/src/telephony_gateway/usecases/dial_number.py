"""Click-to-dial: ring the agent's phone, then call the customer."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from cordboard_chassis.auth.org_paths import is_within
from cordboard_chassis.refusals import Conflict, Forbidden, Invalid
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.vocabulary import Attributes, Identifier
from prometheus_client import Counter
from pydantic import BaseModel, Field, StringConstraints

from telephony_gateway.domain.call import Call
from telephony_gateway.domain.control import originate
from telephony_gateway.domain.dialling import exceeded
from telephony_gateway.domain.lines import line_of
from telephony_gateway.domain.numbers import to_e164
from telephony_gateway.domain.pbx_events import CallOffered
from telephony_gateway.domain.transitions import new_call
from telephony_gateway.domain.words import DeviceState, Direction
from telephony_gateway.storage import queries
from telephony_gateway.usecases.board import Board

LIMITED = Counter("telephony_dial_limited_total", "Calls that were not dialled because of a limit.", ("per",))


class Dial(BaseModel):
    """Who shall be connected with whom. One of ``agent_id`` and ``device_id`` is given."""

    number: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    agent_id: Identifier | None = None
    device_id: Identifier | None = None
    trunk: Identifier | None = None
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 20.0
    attributes: Attributes = Field(default_factory=dict)


async def dial_number(uow: UnitOfWork, board: Board, asked: Dial, order_id: UUID) -> Call:
    """Begin an outbound call.

    Raises:
        Invalid: not a phone number, no such trunk, agent or device.
        Forbidden: the PBX's configuration does not let anybody dial this number.
        Conflict: the device is busy or unreachable, or the PBX is; the agent or the branch has dialled too much.
    """
    pbx = board.pbx
    if asked.trunk is not None and all(trunk.trunk_id != asked.trunk for trunk in pbx.trunks):
        raise Invalid(f"{pbx.pbx_id} has no trunk {asked.trunk}", "trunk")
    line = line_of(pbx, asked.trunk, "")
    number = to_e164(asked.number, line.region)
    if number is None:
        raise Invalid(f"is not a phone number in {line.region} or an international one", "number")
    if not pbx.may_dial(number):
        raise Forbidden(f"{pbx.pbx_id} does not allow calls to {number}", "number", code="number-not-allowed")
    device_id, agent_id = asked.device_id, asked.agent_id
    if agent_id is not None and device_id is None:
        device_id = await queries.device_of(uow, line.workspace, agent_id)
    if device_id is None or device_id not in board.devices:
        field = "device_id" if agent_id is None else "agent_id"
        raise Invalid(f"is at no device of {pbx.pbx_id}" if agent_id else f"is no device of {pbx.pbx_id}", field)
    if agent_id is None:
        agent_id = (await queries.agents_at(uow, line.workspace, [device_id])).get(device_id)
    if not board.connected:
        raise Conflict(f"the connection to {pbx.pbx_id} is down", code="pbx-disconnected")
    if board.devices[device_id].state is not DeviceState.IDLE:
        raise Conflict(f"device {device_id} is {board.devices[device_id].state.value}", code="device-not-idle")
    org_path = board.devices[device_id].org_path
    await _require_within_limits(uow, board, org_path, agent_id)
    event = CallOffered(
        at=uow.now,
        call=f"dial-{order_id}",
        direction=Direction.OUTBOUND,
        dialled=number,
        trunk=line.trunk,
        attributes=asked.attributes,
    )
    line = replace(line, org_path=org_path)
    call = originate(new_call(pbx.pbx_id, line, event), agent_id, device_id, asked.timeout_s, order_id, uow.now)
    return await board.keep(uow, None, call, uow.now)


async def _require_within_limits(uow: UnitOfWork, board: Board, org_path: str, agent_id: str | None) -> None:
    limits = [limit for limit in board.pbx.outbound_limits if is_within(org_path, limit.org_path)]
    if not limits:
        return
    await board.write(uow)  # what was dialled a moment ago counts, too
    for limit in limits:
        if limit.per == "agent" and agent_id is None:
            raise Conflict("calls are limited per agent, and no agent is at this device", "device_id", code="no-agent")
        reason = exceeded(limit, await queries.dialled(uow, limit, agent_id or ""))
        if reason is not None:
            LIMITED.labels(limit.per).inc()
            field = "agent_id" if limit.per == "agent" else "number"
            raise Conflict(reason, field, code="outbound-limit")
