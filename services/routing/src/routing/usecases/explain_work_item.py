"""Say who could take a work item, and what excludes each other agent."""

from typing import Any

from cordboard_chassis.auth.org_paths import is_within

from routing.domain.times import moment
from routing.live import LiveWorkspace
from routing.usecases.cancel_work_item import find_open_work

MAX_CANDIDATES = 100


def explain_work_item(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """The eligible agents in the order in which they would be offered it, then the others, 100 at most.

    Only agents within the caller's part of the organisation are named; all are counted. Changes nothing.

    Raises:
        Refused: it is over, or not the caller's business.
    """
    work = find_open_work(live, payload["work_item_id"], caller)
    explanation = live.engine.explain(work.item_id, live.now)
    visible = [c for c in explanation.candidates if is_within(live.agents[c.agent_id].org_path, caller["org_path"])]
    return {
        "ahead": explanation.ahead,
        "eligible": sum(not candidate.obstacles for candidate in explanation.candidates),
        "agents": len(explanation.candidates),
        "asked": {
            "skills": dict(explanation.requirement.skills),
            "any_of": [dict(group) for group in explanation.requirement.any_of],
            "territory": explanation.requirement.territory,
            "area": explanation.requirement.area,
            "wanted": dict(explanation.requirement.wanted),
        },
        "next_step": None if explanation.next_step is None else live.queues[work.queue].steps[work.step],
        "next_step_at": None if explanation.next_step_at is None else moment(explanation.next_step_at).isoformat(),
        "candidates": [
            {
                "agent_id": candidate.agent_id,
                "key": list(candidate.key),
                "obstacles": list(candidate.obstacles),
            }
            for candidate in visible[:MAX_CANDIDATES]
        ],
    }
