"""Another configuration of a whole workspace: all of it at once, or nothing."""

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from cordboard_chassis.refusals import Refused

from routing.live import HalfDone, LiveWorkspace
from routing.usecases.change_workspace import change_workspace
from routing.usecases.publish_rules import publish_rules
from routing.usecases.put_agent import put_agent
from routing.usecases.put_calendar import put_calendar
from routing.usecases.put_queue import put_queue
from routing.usecases.remove_agent import remove_agent
from routing.usecases.remove_calendar import remove_calendar
from routing.usecases.remove_queue import remove_queue


def apply_config(
    live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any], *, taken: Collection[str]
) -> dict[str, Any]:
    """Carry out changes as `plan_config` makes them, in an order in which none is in the way of a later one.

    Each is made by the use case that would make it alone, with the version that it is based on. ``taken`` are ids of
    agents of other workspaces.

    Raises:
        Refused: the first one cannot be made; nothing has changed.
        HalfDone: a later one cannot be made.
    """
    for count, (where, act) in enumerate(_acts(live, payload, caller, taken)):
        try:
            act()
        except Refused as refused:
            said = Refused(refused.code, refused.detail, _within(where, refused.field), refused.status)
            if count:
                raise HalfDone(said) from refused
            raise said from refused
    return {}


def _acts(
    live: LiveWorkspace, payload: dict[str, Any], caller: dict[str, Any], taken: Collection[str]
) -> Iterator[tuple[str, Callable[[], object]]]:
    """(the part of the document, what is to be done)"""
    if payload["settings"] is not None:
        yield "settings", partial(change_workspace, live, payload["settings"])
    for calendar in payload["calendars"]:
        yield f"calendars.{calendar['calendar_id']}", partial(put_calendar, live, calendar)
    for queue in [*payload["loosened_queues"], *payload["queues"]]:
        yield f"queues.{queue['queue_id']}", partial(put_queue, live, queue)
    if payload["rules"] is not None:
        yield "", partial(publish_rules, live, payload["rules"], caller)
    for queue in payload["removed_queues"]:
        yield "queues", partial(remove_queue, live, queue)
    for calendar in payload["removed_calendars"]:
        yield "calendars", partial(remove_calendar, live, calendar)
    for agent in payload["removed_agents"]:
        yield "agents", partial(remove_agent, live, agent, caller)
    # Devices change hands between agents, perhaps in a ring: first all are put down, then they are taken up.
    yield "agents", partial(_put_down_devices, live, payload["agents"])
    for agent in payload["agents"]:
        agent_id = agent["agent_id"]
        yield f"agents.{agent_id}", partial(put_agent, live, agent, caller, taken=agent_id in taken)


def _put_down_devices(live: LiveWorkspace, agents: list[dict[str, Any]]) -> None:
    for given in agents:
        entry = live.agents.get(given["agent_id"])
        if entry is not None and entry.profile.device_id not in (None, given["device_id"]):
            live.agent_at.pop(str(entry.profile.device_id), None)


def _within(where: str, field: str | None) -> str:
    if field in (None, "If-Match", "agent_id", "queue_id"):
        return where or "rules"
    return f"{where}.{field}" if where else str(field)
