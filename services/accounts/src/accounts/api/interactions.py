"""The history: every call with us, whoever's it was."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from cordboard_chassis.auth.org_paths import OrgPath, require_within
from cordboard_chassis.http.app import Db
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.phones import normalise
from cordboard_chassis.refusals import NotFound
from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, Field

from accounts.api.access import Staff
from accounts.api.fields import CustomerId, RegionQuery
from accounts.domain.interactions import Interaction, Outcome
from accounts.storage import queries
from accounts.usecases.find_customer import find_customer

router = APIRouter(prefix="/v1", tags=["interactions"])


class InteractionView(BaseModel):
    """A caller's contact with us."""

    interaction_id: UUID = Field(description="For a call, the call's id.")
    org_path: str
    workspace: str
    channel: str = Field(examples=["call"])
    direction: str = Field(examples=["inbound"])
    customer_id: UUID | None = Field(description="Missing while the number is nobody's.")
    contact_id: UUID | None = Field(description="Who of the customer has the number, if somebody has.")
    from_number: str | None = Field(description="The customer's number, E.164; missing when withheld.")
    dialled: str
    agent_ids: list[str] = Field(description="Who spoke with the customer, in the order in which they came.")
    outcome: Outcome
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    wait_s: float | None = Field(description="Seconds until an agent was there, or the caller left.")
    talk_s: float | None = Field(description="Seconds from the first agent to the end.")

    @classmethod
    def of(cls, interaction: Interaction) -> Self:
        """From the domain."""
        return cls(
            interaction_id=interaction.interaction_id,
            org_path=interaction.org_path,
            workspace=interaction.workspace,
            channel="call",
            direction=interaction.direction,
            customer_id=interaction.customer_id,
            contact_id=interaction.contact_id,
            from_number=interaction.from_number,
            dialled=interaction.dialled,
            agent_ids=list(interaction.agent_ids),
            outcome=interaction.outcome,
            started_at=interaction.started_at,
            answered_at=interaction.answered_at,
            ended_at=interaction.ended_at,
            wait_s=interaction.wait_s,
            talk_s=interaction.talk_s,
        )


OutcomeQuery = Annotated[Outcome | None, Query(description="What came of it.")]
From = Annotated[AwareDatetime | None, Query(description="Only those that began at this time or later.")]
Before = Annotated[AwareDatetime | None, Query(description="Only those that began before this time.")]


@router.get("/interactions", summary="List interactions")
async def list_interactions(
    caller: Staff,
    database: Db,
    paging: Paging,
    number: Annotated[
        str | None, Query(min_length=1, max_length=40, description="Only those from this number.")
    ] = None,
    region: RegionQuery = None,
    outcome: OutcomeQuery = None,
    org_path: Annotated[OrgPath | None, Query(description="Only this part of the organisation.")] = None,
    started_from: From = None,
    started_before: Before = None,
) -> Page[InteractionView]:
    """The latest first. Filters that are given must all hold."""
    if org_path is not None:
        require_within(org_path, caller.org_path)
    wanted = queries.InteractionFilter(
        number=None if number is None else normalise(number, region, "number"),
        outcome=outcome,
        org_path=org_path,
        started_from=started_from,
        started_before=started_before,
    )
    after = paging.after(datetime, UUID)
    async with database.transaction(caller.org_path) as uow:
        found = await queries.list_interactions(uow, wanted, after, paging.fetch)
    return paging.page(found, _sort_key, InteractionView.of)


@router.get("/interactions/{interaction_id}", summary="Get an interaction")
async def get_interaction(
    interaction_id: Annotated[UUID, Path(description="An interaction's id; for a call, the call's.")],
    caller: Staff,
    database: Db,
) -> InteractionView:
    """One interaction; a call that goes on stands here as it is now."""
    async with database.transaction(caller.org_path) as uow:
        interaction = await queries.find_interaction(uow, interaction_id)
    if interaction is None:
        raise NotFound(f"there is no interaction {interaction_id}", "interaction_id")
    return InteractionView.of(interaction)


@router.get("/customers/{customer_id}/interactions", summary="List a customer's interactions")
async def list_customer_interactions(
    customer_id: CustomerId,
    caller: Staff,
    database: Db,
    paging: Paging,
    outcome: OutcomeQuery = None,
    started_from: From = None,
    started_before: Before = None,
) -> Page[InteractionView]:
    """The customer's history, the latest first."""
    wanted = queries.InteractionFilter(
        customer_id=customer_id, outcome=outcome, started_from=started_from, started_before=started_before
    )
    after = paging.after(datetime, UUID)
    async with database.transaction(caller.org_path) as uow:
        await find_customer(uow, customer_id)
        found = await queries.list_interactions(uow, wanted, after, paging.fetch)
    return paging.page(found, _sort_key, InteractionView.of)


def _sort_key(interaction: Interaction) -> tuple[datetime, UUID]:
    return interaction.started_at, interaction.interaction_id
