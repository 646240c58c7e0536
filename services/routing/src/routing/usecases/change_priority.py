"""A supervisor makes a work item more or less urgent."""

from typing import Any

from routing import engine as core
from routing.live import LiveWorkspace
from routing.usecases.cancel_work_item import find_open_work


def change_priority(live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any]) -> dict[str, Any]:
    """Its place among those that wait changes at once.

    Raises:
        Refused: it is over, or not the caller's business.
    """
    work = find_open_work(live, payload["work_item_id"], caller)
    live.step(core.ChangePriority(work.item_id, payload["priority"]))
    return {}
