"""Say more about a call: to everybody, and to the PBX."""

from collections.abc import Mapping
from uuid import UUID

from cordboard_chassis.refusals import Conflict, Invalid
from cordboard_chassis.unit_of_work import UnitOfWork

from telephony_gateway.domain.call import Call
from telephony_gateway.domain.control import tell_attributes
from telephony_gateway.domain.pbx_events import AttributesSet
from telephony_gateway.domain.transitions import Outcome, apply
from telephony_gateway.usecases.board import Board


async def set_call_attributes(
    uow: UnitOfWork, board: Board, call: Call, attributes: Mapping[str, str], order_id: UUID
) -> Call:
    """Add attributes, replacing those of the same names.

    Raises:
        Conflict: the call is over.
        Invalid: there would be too many, or one has a name that is not allowed.
    """
    if call.is_cleared:
        raise Conflict("the call is over", code="call-cleared")
    event = AttributesSet(at=uow.now, call=call.pbx_call, attributes=attributes)
    changed, outcome = apply(call, event)
    if outcome is Outcome.OVER_LIMIT:
        raise Invalid("a call has 49 attributes at most", "attributes")
    if outcome is Outcome.MALFORMED:
        raise Invalid("digits holds the keys that were pressed and cannot be set", "attributes")
    if outcome is Outcome.DUPLICATE:
        return call
    return await board.keep(uow, call, tell_attributes(changed, attributes.items(), order_id, uow.now), uow.now)
