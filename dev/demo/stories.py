"""A few calls told step by step, from the event stream: who called, who got it and why, what was written and sent."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any

from dev.demo.api import Api
from dev.demo.partner import Partner

FOLLOWED = 200
"""Calls whose events are kept."""
TOLD = 4


class Stories:
    """Keeps the events of the first calls."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._events: dict[str, list[dict[str, Any]]] = defaultdict(list)

    async def follow(self) -> None:
        """Listen until cancelled."""
        patterns = ["telephony.call.*", "routing.assignment.*", "accounts.interaction.*", "leads.lead.captured.v1"]
        async for event in self._api.events(patterns):
            call_id = _call_of(event)
            if call_id and (call_id in self._events or len(self._events) < FOLLOWED):
                self._events[call_id].append(event)

    def told(self, partner: Partner) -> list[list[str]]:
        """The most telling calls, a list of lines each."""
        complete = [
            events for events in self._events.values() if any(e["type"] == "telephony.call.cleared.v1" for e in events)
        ]
        stories: list[list[str]] = []
        seen: set[str] = set()
        for kind, holds in _KINDS:
            for events in complete:
                call_id = str(_call_of(events[0]))
                types = {event["type"] for event in events}
                if call_id not in seen and holds(types, events):
                    seen.add(call_id)
                    stories.append([kind, *_lines(events, partner)])
                    break
        return stories[:TOLD]


def _call_of(event: dict[str, Any]) -> str | None:
    data = event["data"]
    if "call" in data:
        return str(data["call"]["call_id"])
    if "work_item" in data:
        return str(data["work_item"]["subject_id"]) if data["work_item"]["kind"] == "call" else None
    if "interaction" in data:
        return str(data["interaction"]["call_id"])
    return str(data["lead"].get("call_id") or "") or None


def _item(events: list[dict[str, Any]]) -> dict[str, Any]:
    return next((event["data"]["work_item"] for event in events if "work_item" in event["data"]), {})


_KINDS: tuple[tuple[str, Callable[[set[str], list[dict[str, Any]]], bool]], ...] = (
    ("A customer calls", lambda types, events: bool(_item(events).get("customer_id")) and _answered(types)),
    ("A stranger calls and becomes a lead", lambda types, _: "leads.lead.captured.v1" in types),
    ("A call changes hands", lambda types, _: "telephony.call.transferred.v1" in types),
    ("Somebody does not take it", lambda types, _: "routing.assignment.failed.v1" in types and _answered(types)),
    ("A caller gives up", lambda types, _: not _answered(types)),
)


def _answered(types: set[str]) -> bool:
    return "telephony.call.answered.v1" in types


def _lines(events: list[dict[str, Any]], partner: Partner) -> list[str]:
    events = sorted(events, key=lambda event: (event["time"], event["sequence"]))
    began = events[0]["time"]
    lines = [f"{_since(began, event['time']):>8}  {_say(event)}" for event in events]
    heard = {event["id"] for event in partner.verified.values()}
    sent = [event for event in events if event["id"] in heard]
    lines.append(f"{'':>8}  partner received and verified: {', '.join(event['type'] for event in sent) or 'nothing'}")
    return lines


def _since(began: str, at: str) -> str:
    passed = datetime.fromisoformat(at) - datetime.fromisoformat(began)
    return f"{passed.total_seconds():.3f} s"


def _say(event: dict[str, Any]) -> str:  # noqa: PLR0911 (one line per kind)
    data, kind = event["data"], event["type"].split(".")[2]
    if "work_item" in data:
        assignment, item = data["assignment"], data["work_item"]
        if kind == "offered":
            return _why(assignment, item)
        return f"routing: assignment to {assignment['agent_id']} {kind}" + (
            f" ({assignment['outcome']})" if assignment.get("outcome") else ""
        )
    if "interaction" in data:
        interaction = data["interaction"]
        agents = ", ".join(interaction["agent_ids"]) or "-"
        return f"accounts: interaction written, {interaction['outcome']}, agents {agents}"
    if "lead" in data:
        return f"leads: lead captured with {data['lead']['phone']}, owner {data['lead']['owner_agent_id']}"
    call = data["call"]
    if kind == "offered":
        caller = call["from_number"] or "a withheld number"
        return f"telephony: call from {caller} to {call['dialled']}, {call['attributes']}"
    if kind == "cleared":
        return f"telephony: call cleared by {call['cleared_by']}"
    if connection := next(
        (leg for leg in call["connections"] if leg["connection_id"] == data.get("connection_id")), None
    ):
        more = f" ({connection['failure']})" if connection.get("failure") else ""
        return f"telephony: {kind} at device {connection['device_id']} of {connection['agent_id'] or 'nobody'}{more}"
    return f"telephony: {kind}"


def _why(assignment: dict[str, Any], item: dict[str, Any]) -> str:
    reason = assignment.get("reason") or {}
    who = item["customer_name"] or "a stranger"
    second = f", before {reason['runner_up']}" if reason.get("runner_up") else ""
    return (
        f"routing: {who} -> queue {item['queue']} by rule {item['rule']}, needs {item['requirement']};"
        f" offered to {assignment['agent_id']}, first of {reason.get('eligible', '?')} eligible{second}"
    )
