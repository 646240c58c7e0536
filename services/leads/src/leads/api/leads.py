"""``/v1/leads``."""

from collections.abc import Awaitable
from dataclasses import replace
from datetime import datetime
from typing import Annotated
from uuid import UUID

from cordboard_chassis.auth.org_paths import require_within
from cordboard_chassis.auth.principal import Role
from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import IfMatch, etag, require_match, set_etag
from cordboard_chassis.http.idempotency import Answer, Once
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.refusals import Forbidden
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import OrgPath, OwnerId
from cordboard_contracts.vocabulary import E164, Identifier
from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, StringConstraints

from leads.api.callers import Anybody, Staff, Submitter, actor, partner_of
from leads.api.forms import LeadChanges, LeadForm
from leads.api.views import AuditView, LeadView, SubmissionView
from leads.domain.leads import CustomerKind, Lead, Source, Status
from leads.storage import queries
from leads.storage.queries import LeadFilter
from leads.usecases.convert_lead import convert_lead
from leads.usecases.edit_lead import edit_lead
from leads.usecases.find_lead import find_lead
from leads.usecases.reject_lead import reject_lead
from leads.usecases.submit_lead import NewLead, submit_lead
from leads.usecases.withdraw_lead import withdraw_lead

router = APIRouter(prefix="/v1/leads", tags=["leads"])


class Rejection(Body):
    """Why nothing will come of it."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Conversion(Body):
    """What it shall become."""

    kind: CustomerKind | None = Field(
        default=None, description="An organisation if the lead has a company, else a person, when not said."
    )


@router.post(
    "",
    status_code=201,
    response_model=SubmissionView,
    responses={200: {"model": SubmissionView, "description": "There is an open lead about this person already."}},
)
async def submit(form: LeadForm, request: Request, caller: Anybody, once: Once) -> Response:
    """Send in a lead. It is routed to an agent, unless there is an open lead about the same person."""
    partner_id = partner_of(caller)
    if partner_id is not None and form.priority:
        raise Forbidden("partners do not say how urgent a lead is", "priority")
    org_path = form.org_path or caller.org_path
    require_within(org_path, caller.org_path)
    new = NewLead(
        workspace=form.workspace or request.app.state.default_workspace,
        org_path=org_path,
        source=Source.WEB,
        profile=form.profile(),
        partner_id=caller.partner_id if caller.is_any(Role.PARTNER) else None,
    )

    async def act(uow: UnitOfWork) -> Answer:
        submission = await submit_lead(uow, new, caller.subject)
        lead = submission.lead
        visible = partner_id is None or lead.partner_id == partner_id
        view = SubmissionView(
            lead_id=lead.lead_id,
            duplicate_of=lead.lead_id if submission.duplicate else None,
            lead=LeadView.of(lead) if visible else None,
        )
        headers = {"Location": f"/v1/leads/{lead.lead_id}", "ETag": etag(lead.version)} if visible else {}
        return Answer(view, 200 if submission.duplicate else 201, headers)

    return await once(act)


@router.get("")
async def list_leads(
    caller: Anybody,
    database: Db,
    paging: Paging,
    status: Status | None = None,
    source: Source | None = None,
    workspace: OwnerId | None = None,
    owner_agent_id: Identifier | None = None,
    partner_id: Identifier | None = None,
    phone: Annotated[E164 | None, Query(description="A whole number, E.164.")] = None,
    org_path: Annotated[OrgPath | None, Query(description="This part of the organisation, and all below.")] = None,
) -> Page[LeadView]:
    """Leads that the caller may see, the newest first."""
    own = partner_of(caller)
    wanted = LeadFilter(
        status=status,
        source=source,
        workspace=workspace,
        owner_agent_id=owner_agent_id,
        partner_id=partner_id,
        phone=phone,
        org_path=org_path,
    )
    if own is not None:
        if partner_id not in {None, own}:
            raise Forbidden("partners see their own leads only", "partner_id")
        wanted = replace(wanted, partner_id=own)
    async with database.transaction(caller.org_path) as uow:
        found = await queries.list_leads(uow, wanted, paging.after(datetime, UUID), paging.fetch)
    return paging.page(found, lambda lead: (lead.created_at, lead.lead_id), LeadView.of)


@router.get("/{lead_id}")
async def read_lead(lead_id: UUID, caller: Anybody, database: Db, response: Response) -> LeadView:
    """One lead."""
    async with database.transaction(caller.org_path) as uow:
        lead = await find_lead(uow, lead_id, partner_id=partner_of(caller))
    set_etag(response, lead.version)
    return LeadView.of(lead)


@router.get("/{lead_id}/history")
async def read_lead_history(lead_id: UUID, caller: Staff, database: Db, paging: Paging) -> Page[AuditView]:
    """Who did what to it, the oldest first."""
    async with database.transaction(caller.org_path) as uow:
        await find_lead(uow, lead_id)
        (after,) = paging.after(int) or (None,)
        found = await queries.list_audit(uow, lead_id, after, paging.fetch)
    return paging.page(found, lambda row: (row.audit_id,), AuditView.of)


@router.patch("/{lead_id}")
async def change_lead(
    lead_id: UUID, changes: LeadChanges, caller: Staff, database: Db, response: Response, if_match: IfMatch = None
) -> LeadView:
    """Change what is known about the person. Agents change their own leads; supervisors all."""
    sent = changes.changes()
    async with database.transaction(caller.org_path) as uow:
        before = await find_lead(uow, lead_id, lock=True)
        require_match(if_match, before.version)
        lead = await edit_lead(uow, before, replace(before.profile, **sent), actor(caller))
    set_etag(response, lead.version)
    return LeadView.of(lead)


@router.post("/{lead_id}/reject", response_model=LeadView)
async def reject(lead_id: UUID, rejection: Rejection, caller: Staff, once: Once) -> Response:
    """Nothing will come of it. Again for the same reason changes nothing."""
    return await once(lambda uow: _answered(reject_lead(uow, lead_id, rejection.reason, actor(caller))))


@router.post("/{lead_id}/withdraw", response_model=LeadView)
async def withdraw(lead_id: UUID, caller: Submitter, once: Once) -> Response:
    """Take it back, as long as no agent has it. Partners withdraw what they submitted."""
    partner_id = partner_of(caller)
    return await once(lambda uow: _answered(withdraw_lead(uow, lead_id, caller.subject, partner_id=partner_id)))


@router.post(
    "/{lead_id}/convert",
    status_code=202,
    response_model=LeadView,
    responses={200: {"model": LeadView, "description": "It is a customer already."}},
)
async def convert(lead_id: UUID, caller: Staff, once: Once, conversion: Conversion | None = None) -> Response:
    """Make it a customer. The lead is `converting` until accounts has answered; asking again changes nothing."""
    kind = conversion.kind if conversion else None
    return await once(lambda uow: _answered(convert_lead(uow, lead_id, kind, actor(caller)), pending=202))


async def _answered(doing: Awaitable[Lead], pending: int = 200) -> Answer:
    lead = await doing
    status = pending if lead.status is Status.CONVERTING else 200
    return Answer(LeadView.of(lead), status, {"ETag": etag(lead.version)})
