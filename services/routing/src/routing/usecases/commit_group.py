"""Carry out what waits for a workspace, all of it in one transaction."""

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from cordboard_chassis.messaging import Delivery
from cordboard_chassis.ownership import OwnerInput, Ownership
from cordboard_chassis.refusals import Refused
from cordboard_chassis.telemetry import span
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import Envelope, accounts, leads, telephony

from routing import engine as core
from routing.domain.customers import Customer
from routing.live import Announcement, LiveWorkspace
from routing.storage import owner_rows, queries
from routing.usecases.accept_assignment import accept_assignment
from routing.usecases.apply_config import apply_config
from routing.usecases.assign_work_item import assign_work_item
from routing.usecases.cancel_work_item import cancel_work_item
from routing.usecases.change_priority import change_priority
from routing.usecases.change_workspace import change_workspace
from routing.usecases.complete_assignment import complete_assignment
from routing.usecases.decline_assignment import decline_assignment
from routing.usecases.end_wrap_up import end_wrap_up
from routing.usecases.expect_wait import expect_wait
from routing.usecases.explain_work_item import explain_work_item
from routing.usecases.extend_wrap_up import extend_wrap_up
from routing.usecases.note_device import note_device
from routing.usecases.publish_rules import publish_rules
from routing.usecases.put_agent import put_agent
from routing.usecases.put_calendar import put_calendar
from routing.usecases.put_queue import put_queue
from routing.usecases.remove_agent import remove_agent
from routing.usecases.remove_calendar import remove_calendar
from routing.usecases.remove_queue import remove_queue
from routing.usecases.request_call_back import request_call_back
from routing.usecases.requeue_work_item import requeue_work_item
from routing.usecases.route_call import route_call
from routing.usecases.route_lead import route_lead
from routing.usecases.route_service_request import route_service_request
from routing.usecases.route_work import work_item_id
from routing.usecases.see_desktop import see_desktop
from routing.usecases.set_agent_mode import set_agent_mode

MESSAGES = (
    telephony.CallOffered,
    telephony.CallOriginated,
    telephony.CallAnswered,
    telephony.ConnectionFailed,
    telephony.ConnectionCleared,
    telephony.CallTransferred,
    telephony.CallAttributesChanged,
    telephony.CallCleared,
    telephony.DeviceChanged,
    leads.LeadSubmitted,
    leads.LeadRejected,
    leads.LeadConverted,
    accounts.ServiceRequestOpened,
    accounts.ServiceRequestResolved,
    accounts.ServiceRequestCancelled,
)
"""What the owner of a workspace hears."""

InputHandler = Callable[[LiveWorkspace, dict[str, Any], dict[str, Any]], dict[str, Any]]

_INPUTS: dict[str, InputHandler] = {
    "accept_assignment": accept_assignment,
    "assign_work_item": assign_work_item,
    "cancel_work_item": cancel_work_item,
    "change_priority": change_priority,
    "change_workspace": lambda live, payload, _caller: change_workspace(live, payload),
    "complete_assignment": complete_assignment,
    "decline_assignment": decline_assignment,
    "end_wrap_up": end_wrap_up,
    "expect_wait": expect_wait,
    "explain_work_item": explain_work_item,
    "extend_wrap_up": extend_wrap_up,
    "publish_rules": publish_rules,
    "put_calendar": lambda live, payload, _caller: put_calendar(live, payload),
    "put_queue": lambda live, payload, _caller: put_queue(live, payload),
    "remove_agent": remove_agent,
    "remove_calendar": lambda live, payload, _caller: remove_calendar(live, payload),
    "remove_queue": lambda live, payload, _caller: remove_queue(live, payload),
    "request_call_back": request_call_back,
    "requeue_work_item": requeue_work_item,
    "see_desktop": see_desktop,
    "set_agent_mode": set_agent_mode,
}


_QUESTIONS = {"expect_wait", "explain_work_item"}
"""Inputs that change nothing."""


async def commit_group(
    own: Ownership,
    live: LiveWorkspace,
    items: Sequence[Delivery | OwnerInput],
    *,
    timers: bool = True,
    settle: bool = False,
) -> None:
    """Apply messages and requests to ``live``, then what is due, and store it all.

    After an exception ``live`` is ahead of the database and must be thrown away.
    """
    deliveries = [item for item in items if isinstance(item, Delivery)]
    async with own.transaction() as uow:
        fresh = {id(delivery) for delivery in await own.admit(uow, deliveries)}
        todo = [item for item in items if isinstance(item, OwnerInput) or id(item) in fresh]
        known = await _look_up(uow, live, todo)
        live.begin(uow.now)
        answers: list[tuple[OwnerInput, dict[str, Any] | Refused]] = []
        if settle:
            live.step(core.Settle())
        for item in todo:
            if isinstance(item, OwnerInput):
                answers.append((item, _carry_out(live, item, known)))
                continue
            live.cause = item.envelope
            try:
                _hear(live, item.envelope, known, uow.now)
            except Refused as refused:
                await own.record_refusal(uow, item, refused)
        live.cause = None
        # After the messages: an answer that waits in this very group counts, however late the owner comes to it.
        if timers:
            live.fire_timers()
        changes = live.finish()
        await owner_rows.write(uow, own.owner_id, changes)
        _announce(uow, own.owner_id, changes.announcements)
        for given, answer in answers:
            if isinstance(answer, Refused):
                await own.refuse(uow, given, answer)
            else:
                await own.answer(uow, given, answer)
    await own.acknowledgements.begin(deliveries)


class _Known:
    """What had to be looked up for a group."""

    def __init__(self) -> None:
        self.items: set[UUID] = set()
        self.callers: dict[tuple[str, str], Customer] = {}
        self.customers: dict[UUID, Customer] = {}
        self.taken_agents: set[str] = set()


async def _look_up(uow: UnitOfWork, live: LiveWorkspace, todo: Sequence[Delivery | OwnerInput]) -> _Known:
    """At most one statement for each kind of thing, none for what is in memory."""
    items: set[UUID] = set()
    numbers: set[tuple[str, str]] = set()
    customers: set[UUID] = set()
    agents: set[str] = set()
    for item in todo:
        if isinstance(item, OwnerInput):
            put = {"put_agent": [item.payload], "apply_config": item.payload.get("agents", ())}.get(item.name, ())
            agents.update(agent["agent_id"] for agent in put if agent["agent_id"] not in live.agents)
            continue
        item_id, number, customer_id = _needs(item.envelope.data)
        if item_id is None or item_id in live.works or live.is_closed(item_id):
            continue
        items.add(item_id)
        if number is not None:
            numbers.add(number)
        if customer_id is not None:
            customers.add(customer_id)
    known = _Known()
    known.items = await owner_rows.known_items(uow, sorted(items))
    known.callers = await queries.find_callers(uow, live.config.workspace_id, sorted(numbers))
    known.customers = await queries.find_customers(uow, live.config.workspace_id, sorted(customers))
    known.taken_agents = await owner_rows.taken_agents(uow, live.config.workspace_id, sorted(agents))
    return known


def _needs(data: object) -> tuple[UUID | None, tuple[str, str] | None, UUID | None]:
    """The work item, the caller's number with the place called, and the customer that a message is about."""
    match data:
        case telephony.CallEvent(call=call):
            number = (call.from_number, call.org_path) if call.from_number else None
            return work_item_id(core.WorkKind.CALL, call.call_id), number, None
        case leads.LeadEvent(lead=lead):
            number = (lead.phone, lead.org_path) if lead.phone else None
            return work_item_id(core.WorkKind.LEAD, lead.lead_id), number, lead.customer_id
        case accounts.ServiceRequestEvent(service_request=request):
            item_id = work_item_id(core.WorkKind.SERVICE_REQUEST, request.service_request_id)
            return item_id, None, request.customer_id
        case _:
            return None, None, None


def _hear(live: LiveWorkspace, envelope: Envelope[Any], known: _Known, now: datetime) -> None:
    data = envelope.data
    item_id, number, customer_id = _needs(data)
    customer = known.customers.get(customer_id) if customer_id is not None else None
    if customer is None and number is not None:
        customer = known.callers.get(number)
    stored = item_id in known.items
    match data:
        case telephony.CallEvent(call=call):
            route_call(live, call, envelope.sequence, customer, known=stored, now=now)
        case leads.LeadEvent(lead=lead):
            route_lead(live, lead, envelope.sequence, customer, known=stored, now=now)
        case accounts.ServiceRequestEvent(service_request=request):
            route_service_request(live, request, envelope.sequence, customer, known=stored, now=now)
        case telephony.DeviceChanged(device=device):
            note_device(live, device, envelope.sequence)
        case _:
            raise LookupError(f"nothing is done about {envelope.type}")


def _carry_out(live: LiveWorkspace, given: OwnerInput, known: _Known) -> dict[str, Any] | Refused:
    try:
        if given.name == "put_agent":
            taken = given.payload["agent_id"] in known.taken_agents
            answer = put_agent(live, given.payload, given.caller, taken=taken)
        elif given.name == "apply_config":
            answer = apply_config(live, given.payload, given.caller, taken=known.taken_agents)
        else:
            answer = _INPUTS[given.name](live, given.payload, given.caller)
    except Refused as refused:
        return refused
    if given.caller["agent_id"] is None and given.name not in _QUESTIONS:
        live.changes.audit.append((given.name, given.caller["subject"], given.payload))
    return answer


def _announce(uow: UnitOfWork, workspace_id: str, announcements: Sequence[Announcement]) -> None:
    for _, caused in itertools.groupby(announcements, key=lambda a: a.cause and a.cause.id):
        first, *others = caused
        uow.cause = first.cause
        with span("route", first.cause.traceparent if first.cause else None):
            for said in (first, *others):
                uow.emit(
                    said.data,
                    subject=said.subject,
                    sequence=said.sequence,
                    orgpath=said.org_path,
                    workspace=workspace_id,
                    pbx=said.pbx,
                    partitionkey=said.partition_key,
                    correlation=said.case,
                )
    uow.cause = None
