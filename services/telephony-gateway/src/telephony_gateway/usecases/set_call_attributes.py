"""Say more about a call: to everybody, and to the PBX."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from cordboard_chassis.refusals import Conflict, Invalid
from cordboard_chassis.unit_of_work import UnitOfWork

from telephony_gateway.domain.call import DIGITS, MAX_ATTRIBUTES, Call
from telephony_gateway.domain.control import tell_attributes
from telephony_gateway.domain.pbx_events import AttributesSet
from telephony_gateway.domain.transitions import Outcome, apply
from telephony_gateway.usecases.board import Board

TICK = timedelta(microseconds=1)


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
    if DIGITS in attributes:
        raise Invalid("holds the keys that were pressed and cannot be set", f"attributes.{DIGITS}")
    if len(call.facts.keys() | attributes.keys()) > MAX_ATTRIBUTES:
        raise Invalid(f"a call has {MAX_ATTRIBUTES} attributes at most", "attributes")
    # Whoever speaks last is right, even if the PBX's clock is ahead of ours.
    known = [fact.at + TICK for name, fact in call.facts.items() if name in attributes]
    event = AttributesSet(at=max([uow.now, *known]), call=call.pbx_call, attributes=attributes)
    changed, outcome = apply(call, event)
    if outcome is Outcome.DUPLICATE:
        return call
    return await board.keep(uow, call, tell_attributes(changed, attributes.items(), order_id, uow.now), uow.now)
