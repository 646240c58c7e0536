"""A waiting caller shall be called back, and keeps the place in the queue."""

from typing import Any

from cordboard_chassis.refusals import Conflict, Invalid

from routing import engine as core
from routing.live import LiveWorkspace
from routing.usecases.cancel_work_item import find_open_work


def request_call_back(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """The item stays where it is when the caller hangs up; whoever gets it then calls the number.

    Raises:
        Refused: it is over, not the caller's business, no call, or an agent talks with the caller; no number is known.
    """
    work = find_open_work(live, payload["work_item_id"], caller)
    if work.kind is not core.WorkKind.CALL:
        raise Conflict("only who waits in a call can be called back", code="not-a-call")
    if work.state == "accepted":
        raise Conflict("an agent has this call", code="wrong-state")
    number = payload["number"] or work.from_number
    if number is None:
        raise Invalid("the caller's number is not known", "number")
    work.call_back = number
    live.touch(work)
    return {}
