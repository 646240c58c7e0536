"""Do with a call what an agent or supervisor asks for: hang up, hold, retrieve, transfer, confer ..."""

from typing import Annotated, Any, Literal
from uuid import UUID

from cordboard_chassis.refusals import Conflict, Invalid, NotFound
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.vocabulary import Attributes, Identifier
from pydantic import BaseModel, Field

from telephony_gateway.domain import control
from telephony_gateway.domain.call import Call, Connection
from telephony_gateway.domain.words import LegState
from telephony_gateway.storage import queries
from telephony_gateway.usecases.board import Board
from telephony_gateway.usecases.set_call_attributes import set_call_attributes

Action = Literal[
    "hang-up",
    "answer",
    "hold",
    "retrieve",
    "mute",
    "transfer",
    "consult",
    "complete-transfer",
    "conference",
    "attributes",
]
RING_S = 20.0


class Control(BaseModel):
    """What is asked. ``agent_id`` says whose leg it is about; without it the only agent who talks."""

    call_id: UUID
    agent_id: Identifier | None = None
    to_agent_id: Identifier | None = None
    to_device_id: Identifier | None = None
    timeout_s: Annotated[float, Field(gt=0, le=300)] = RING_S
    on: bool = True
    attributes: Attributes = Field(default_factory=dict)


async def control_call(uow: UnitOfWork, board: Board, action: Action, asked: Control, order_id: UUID) -> Call:
    """Order it from the PBX; what comes of it are events. The order's id makes a repetition harmless.

    Raises:
        NotFound: no such call at this PBX.
        Conflict: the call or the agent's part of it is in a state in which this cannot be done.
        Invalid: it is not clear whose leg is meant, or there is no such device.
    """
    call = await board.find(uow, asked.call_id)
    if call is None:
        raise NotFound(f"there is no call {asked.call_id} at {board.pbx.pbx_id}")
    if action == "attributes":
        return await set_call_attributes(uow, board, call, asked.attributes, order_id)
    try:
        changed = await _decide(uow, board, action, call, asked, order_id)
    except control.NotPossible as refusal:
        raise Conflict(refusal.detail, code=refusal.code) from None
    return await board.keep(uow, call, changed, uow.now)


async def _decide(uow: UnitOfWork, board: Board, action: Action, call: Call, asked: Control, order_id: UUID) -> Call:
    now = uow.now
    if action == "hang-up" and asked.agent_id is None:
        return control.hang_up(call, order_id, now)
    agent = _agent(call, asked.agent_id)
    simple: dict[str, Any] = {
        "hang-up": control.leave,
        "answer": control.answer,
        "hold": control.hold,
        "retrieve": control.retrieve,
        "complete-transfer": control.transfer_attended,
    }
    if action in simple:
        changed: Call = simple[action](call, agent, order_id, now)
        return changed
    if action == "mute":
        return control.mute(call, agent, asked.on, order_id, now)
    device_id = await _target(uow, board, call, asked)
    if action == "conference":
        return control.confer(call, agent, device_id, asked.timeout_s, order_id, now)
    if device_id is None:
        raise Invalid("say to whom: to_agent_id or to_device_id", "to_agent_id")
    if action == "transfer":
        return control.transfer_blind(call, agent, device_id, asked.timeout_s, order_id, now)
    return control.consult(call, agent, device_id, asked.timeout_s, order_id, now)


def _agent(call: Call, agent_id: str | None) -> Connection:
    if agent_id is not None:
        connection = control.agent_leg(call, agent_id)
        if connection is None:
            raise Conflict(f"{agent_id} is not part of the call", "agent_id", code="not-in-call")
        return connection
    candidates = call.joined() or tuple(c for c in call.live() if c.state is LegState.ALERTING)
    if not candidates:
        raise control.NotPossible("no-agent", "no agent is part of the call")
    if len(candidates) > 1:
        raise Invalid("several agents are part of the call: say whose leg is meant", "agent_id")
    return candidates[0]


async def _target(uow: UnitOfWork, board: Board, call: Call, asked: Control) -> str | None:
    if asked.to_device_id is not None and asked.to_agent_id is not None:
        raise Invalid("say either to_agent_id or to_device_id", "to_device_id")
    device_id = asked.to_device_id
    if asked.to_agent_id is not None:
        device_id = await queries.device_of(uow, call.workspace, asked.to_agent_id)
        if device_id is None:
            raise Invalid(f"{asked.to_agent_id} is at no device", "to_agent_id")
    if device_id is not None and device_id not in board.devices:
        field = "to_agent_id" if asked.to_agent_id is not None else "to_device_id"
        raise Invalid(f"{board.pbx.pbx_id} has no device {device_id}", field)
    return device_id
