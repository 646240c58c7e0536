"""What the engine decides, in the words of the contracts."""

from typing import TYPE_CHECKING
from uuid import UUID

from cordboard_contracts import EventData, routing

from routing import engine as core
from routing.domain.times import moment

if TYPE_CHECKING:
    from routing.live import AgentEntry, Placed, Work

_OF_ITEMS: dict[type, type[routing.WorkItemEvent]] = {
    core.ItemQueued: routing.WorkItemQueued,
    core.ItemCompleted: routing.WorkItemCompleted,
    core.ItemCancelled: routing.WorkItemCancelled,
}
_OF_ASSIGNMENTS: dict[type, type[routing.AssignmentEvent]] = {
    core.AssignmentOffered: routing.AssignmentOffered,
    core.AssignmentAccepted: routing.AssignmentAccepted,
    core.AssignmentDeclined: routing.AssignmentDeclined,
    core.AssignmentExpired: routing.AssignmentExpired,
    core.AssignmentFailed: routing.AssignmentFailed,
    core.AssignmentCancelled: routing.AssignmentCancelled,
    core.AssignmentCompleted: routing.AssignmentCompleted,
}


def announcement_of(effect: core.Effect, workspace_id: str, work: "Work", placed: "Placed | None" = None) -> EventData:
    """The event for a change of a work item, or of an assignment with its work item."""
    if placed is None:
        return _OF_ITEMS[type(effect)](work_item=_work_item(workspace_id, work))
    return _OF_ASSIGNMENTS[type(effect)](
        assignment=_assignment(workspace_id, work, placed), work_item=_work_item(workspace_id, work)
    )


def agent_changed(workspace_id: str, entry: "AgentEntry") -> routing.AgentChanged:
    """The event for a change of an agent."""
    return routing.AgentChanged(
        agent=routing.Agent(
            agent_id=entry.agent_id,
            workspace=workspace_id,
            org_path=entry.org_path,
            name=entry.name,
            device_id=entry.profile.device_id,
            state=routing.AgentState(entry.status.state),
            reason=entry.status.reason,
            since=moment(entry.status.since),
            skills=dict(entry.profile.skills),
            territories=entry.profile.territories,
        )
    )


def _work_item(workspace_id: str, work: "Work") -> routing.WorkItem:
    call = None
    if work.pbx_id is not None:
        call = routing.CallAddress(
            call_id=work.subject_id, pbx_id=work.pbx_id, from_number=work.from_number, call_back=work.call_back
        )
    return routing.WorkItem(
        work_item_id=work.work_item_id,
        workspace=workspace_id,
        org_path=work.org_path,
        kind=routing.WorkKind(work.kind),
        subject_id=work.subject_id,
        state=routing.WorkItemState(work.state),
        queue=work.queue,
        priority=work.priority,
        requirement=dict(work.requirement),
        any_of=tuple(dict(group) for group in work.any_of),
        territory=work.territory,
        language=work.language,
        customer_id=work.customer_id,
        customer_name=work.customer_name,
        call=call,
        attributes=dict(work.attributes),
        rule=work.rule,
        rule_version=work.rule_version,
        submitted_at=work.submitted_at,
        ended_at=work.ended_at,
    )


def _assignment(workspace_id: str, work: "Work", placed: "Placed") -> routing.Assignment:
    made, why = placed.assignment, placed.reason
    reason = None
    if why is not None:
        reason = routing.Reason(
            eligible=why.eligible,
            winner_key=why.winner_key,
            runner_up=why.runner_up,
            runner_up_key=why.runner_up_key,
            rule=work.rule,
            rule_version=work.rule_version,
            step=why.step,
        )
    return routing.Assignment(
        assignment_id=UUID(made.assignment_id),
        work_item_id=work.work_item_id,
        workspace=workspace_id,
        org_path=placed.org_path,
        agent_id=made.agent_id,
        device_id=made.device_id,
        token=made.token,
        state=routing.AssignmentState(made.state),
        offered_at=moment(made.offered_at),
        expires_at=moment(made.expires_at),
        accepted_at=None if made.accepted_at is None else moment(made.accepted_at),
        ended_at=None if made.ended_at is None else moment(made.ended_at),
        reason=reason,
        outcome=made.outcome,
    )
