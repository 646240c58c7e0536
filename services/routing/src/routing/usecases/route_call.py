"""Bring a work item into agreement with the newest picture of its call."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from cordboard_contracts.telephony import (
    AgentConnection,
    Call,
    CallState,
    ConnectionState,
    Direction,
    FailureReason,
    Party,
)
from cordboard_contracts.vocabulary import E164
from pydantic import TypeAdapter

from routing import engine as core
from routing.domain import talks
from routing.domain.customers import Customer
from routing.domain.talks import Leg
from routing.domain.times import milliseconds
from routing.live import LiveWorkspace, Work
from routing.usecases.route_work import Arrival, choose, chosen_language, due_at, valid, work_item_id, work_of

_number = TypeAdapter[str](E164)
_item_id = TypeAdapter(UUID)

_MISSES = {
    FailureReason.NO_ANSWER: core.Miss.NO_ANSWER,
    FailureReason.BUSY: core.Miss.BUSY,
    FailureReason.DECLINED: core.Miss.DECLINED,
    FailureReason.UNREACHABLE: core.Miss.UNREACHABLE,
}
ABANDONED = "abandoned"
CALL_BACK = "call_back"
"""Attribute by which the PBX says that the caller wants to be called back: a number, or anything for the own one."""
CALL_BACK_OF = "call_back_of"
"""Attribute of the outbound call: whose work item it is for."""
NUMBER_NOT_ALLOWED = "number-not-allowed"
RETURNED = "returned"
"""The agent is gone and the caller still there."""
REROUTED = "rerouted"
WITHDRAWN = "withdrawn"
"""The gateway took the offer back itself."""


def route_call(
    live: LiveWorkspace, call: Call, sequence: int, customer: Customer | None, *, known: bool, now: datetime
) -> None:
    """Submit, accept, pass on, requeue or close, whatever the picture of the call asks for.

    Every event carries the whole call, so only its version counts, never which event it was: a call that is heard
    of first when it is answered is submitted and accepted at once, one that is heard of first when it is over is
    recorded as over, and what comes after the end or out of order changes nothing. Who had the call from when to when
    is written as the PBX saw it, however late it is heard: else two talks of one agent that were heard of together
    would overlap. ``known`` says that the item was stored at some time.
    """
    if call.direction is not Direction.INBOUND:
        _follow_call_back(live, call)
        return
    item_id = work_item_id(core.WorkKind.CALL, call.call_id)
    work = live.works.get(item_id)
    legs = [_leg(live, connection) for connection in call.connections]
    if work is None:
        if known or live.is_closed(item_id):
            return
        work, choice = work_of(live, _arrival(call, sequence, customer, now))
        answered = talks.first_talk(legs) is not None
        if not answered:
            work.call_back = _call_back_number(work, call)
        if call.state is CallState.CLEARED and work.call_back is None:
            live.submit_closed(work, completed=answered, outcome=_outcome(call, answered))
            return
        if choice.outcome is not None and talks.talking(legs) is None:
            live.submit_closed(work, completed=False, outcome=choice.outcome)
            live.end_call(work, choice.outcome)
            return
        live.submit(work)
    elif sequence <= work.subject_sequence:
        return
    work.subject_sequence = sequence
    _take_attributes(live, work, call)
    if item_id not in live.works:
        return
    _settle_offer(live, work, call, legs)
    _pass_on(live, work, call, legs)
    if call.state is CallState.CLEARED and item_id in live.works and _is_over(live, work, legs):
        live.step(core.CancelItem(work.item_id, _outcome(call, work.state == "accepted")), _left_at(live, work, legs))


def _arrival(call: Call, sequence: int, customer: Customer | None, now: datetime) -> Arrival:
    return Arrival(
        kind=core.WorkKind.CALL,
        subject_id=call.call_id,
        sequence=sequence,
        org_path=call.org_path,
        # The PBX's clock may be ahead of ours; nobody has waited since the future.
        arrived_at=min(call.offered_at, now),
        customer=customer,
        customer_name=call.from_name,
        territory=call.territory,
        attributes=call.attributes,
        pbx_id=call.pbx_id,
        from_number=call.from_number,
        dialled=call.dialled,
    )


def _leg(live: LiveWorkspace, connection: AgentConnection) -> Leg:
    """An agent of another workspace, or none of ours at all, is nobody that we could give the item to."""
    known = connection.agent_id is not None and connection.agent_id in live.agents
    over = connection.state in (ConnectionState.FAILED, ConnectionState.CLEARED)
    return Leg(
        agent_id=connection.agent_id if known else None,
        assignment_id=None if connection.assignment_id is None else str(connection.assignment_id),
        joined_at=None if connection.consultation else connection.joined_at or connection.answered_at,
        ended_at=(connection.ended_at or connection.initiated_at) if over else None,
        consultation=connection.consultation,
        failure=connection.failure,
    )


def _take_attributes(live: LiveWorkspace, work: Work, call: Call) -> None:
    """What the IVR learned may choose another queue, as long as nobody is offered the call."""
    if work.attributes == call.attributes:
        return
    if work.state != "accepted":
        work.call_back = work.call_back or _call_back_number(work, call)
    before = choose(live, work)
    work.attributes = dict(call.attributes)
    work.language = chosen_language(work.attributes) or work.language
    live.touch(work)
    if work.state != "waiting":
        return
    choice = choose(live, work)
    if choice == before:
        return  # so it stays where it overflowed to, or where a supervisor put it
    if choice.outcome is not None:
        live.step(core.CancelItem(work.item_id, choice.outcome))
        live.end_call(work, choice.outcome)
        return
    requirement = core.Requirement.of(choice.requirement, choice.territory, choice.any_of, choice.wanted)
    work.rule, work.rule_version = choice.rule, choice.rule_version
    due = due_at(work, choice)
    due_ms = None if due is None else milliseconds(due)
    live.step(core.RequeueItem(work.item_id, REROUTED, choice.queue, requirement, choice.priority, due_ms))


def _settle_offer(live: LiveWorkspace, work: Work, call: Call, legs: Sequence[Leg]) -> None:
    """The leg that our offer asked for was picked up, or failed."""
    offer = live.open_assignment(work)
    leg = talks.leg_of(legs, offer.assignment_id) if offer else None
    if offer is not None and leg is not None and offer.state is core.AssignmentState.OFFERED:
        if leg.joined_at is not None:
            live.step(core.AcceptAssignment(offer.assignment_id), leg.joined_at)
        elif leg.failure in _MISSES:
            live.step(core.MissAssignment(offer.assignment_id, _MISSES[FailureReason(leg.failure)]))
        elif not leg.is_live and (call.state is not CallState.CLEARED or work.call_back is not None):
            live.step(core.RequeueItem(work.item_id, WITHDRAWN))
    if work.state == "accepted":
        return
    # Somebody talks with the customer who is not whom we offered the call to last: the offer had just expired, or
    # the phone was picked up without us. What happened counts, not what we chose.
    there = talks.talking(legs)
    if there is None and call.state is CallState.CLEARED and work.accepted_at is None:
        there = talks.first_talk(legs)
    if there is not None and there.agent_id is not None:
        live.step(core.TakeItem(work.item_id, there.agent_id, "picked_up"), there.joined_at)


def _pass_on(live: LiveWorkspace, work: Work, call: Call, legs: Sequence[Leg]) -> None:
    """The agent who had the call has left it: to another agent, to somebody we do not know, or to nobody."""
    for _ in legs:
        held = live.open_assignment(work)
        if held is None or held.state is not core.AssignmentState.ACCEPTED:
            return
        holder = talks.held_by(legs, held.agent_id)
        if holder is None or holder.is_live:
            return
        after = talks.successor(legs, holder)
        if after is None:
            waits = call.state in (CallState.OFFERED, CallState.ALERTING)
            if waits and not talks.somebody_comes(legs):
                live.step(core.RequeueItem(work.item_id, RETURNED), holder.ended_at)
            return
        if after.agent_id is None:
            live.step(core.CompleteAssignment(held.assignment_id, "transferred"), holder.ended_at)
            return
        live.step(core.TakeItem(work.item_id, after.agent_id), holder.ended_at)


def _left_at(live: LiveWorkspace, work: Work, legs: Sequence[Leg]) -> datetime | None:
    """When the agent who has the call left it; None: nobody has it."""
    held = live.open_assignment(work)
    leg = talks.held_by(legs, held.agent_id) if held else None
    return None if leg is None else leg.ended_at


def _is_over(live: LiveWorkspace, work: Work, legs: Sequence[Leg]) -> bool:
    """Whether a call that is over was all: a caller who wants to be called back waits until somebody has talked."""
    if work.call_back is None:
        return True
    held = live.open_assignment(work)
    return held is not None and talks.held_by(legs, held.agent_id) is not None


def _call_back_number(work: Work, call: Call) -> str | None:
    """The number that the caller wants to be called at, if they asked the PBX for it."""
    asked = call.attributes.get(CALL_BACK)
    if not asked:
        return None
    return valid(_number, asked) or work.from_number


def _follow_call_back(live: LiveWorkspace, call: Call) -> None:
    """Bring the work item of a caller into agreement with the call that calls them back.

    Only the gateway gives a leg an assignment, so nobody else's outbound call is taken for one.
    """
    legs = [_leg(live, connection) for connection in call.connections]
    asked = valid(_item_id, call.attributes.get(CALL_BACK_OF))
    work = None if asked is None else live.works.get(asked)
    if work is None or work.call_back is None or all(leg.assignment_id is None for leg in legs):
        return
    if call.cause == NUMBER_NOT_ALLOWED:
        live.step(core.CancelItem(work.item_id, "number_not_allowed"))
        return
    _settle_offer(live, work, call, legs)
    _pass_on(live, work, call, legs)
    if call.state is CallState.CLEARED and work.state == "accepted" and _is_over(live, work, legs):
        reached = call.answered_at is not None
        live.step(core.CancelItem(work.item_id, _outcome(call, answered=True) if reached else "not_reached"))


def _outcome(call: Call, answered: bool) -> str:
    if answered:
        return f"cleared_by_{call.cleared_by}" if call.cleared_by else "cleared"
    return ABANDONED if call.cleared_by in (None, Party.CUSTOMER) else f"cleared_by_{call.cleared_by}"
