"""The card that an agent sees while the phone rings."""

from typing import Annotated

from cordboard_chassis.http.app import Db
from cordboard_chassis.phones import normalise
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from accounts.api.access import Staff
from accounts.api.fields import ContactProfile, CustomerProfile, RegionQuery
from accounts.api.interactions import InteractionView
from accounts.usecases.look_up_caller import look_up_caller

router = APIRouter(prefix="/v1", tags=["callers"])


class CallerMatch(BaseModel):
    """A customer who may be calling."""

    customer: CustomerProfile
    contact: ContactProfile | None = Field(description="Who of the customer has this number, if a contact has it.")
    last_interactions: list[InteractionView] = Field(description="The latest first.")


class CallerCard(BaseModel):
    """Everybody who has a number."""

    number: str = Field(description="E.164.", examples=["+8613800138000"])
    matches: list[CallerMatch] = Field(description="Best first; empty when the caller is unknown.")


@router.get("/callers/{number}", summary="Who calls from this number?")
async def get_caller(
    number: Annotated[
        str,
        Path(
            min_length=1, max_length=40, description="E.164, or national with a `region`.", examples=["+8613800138000"]
        ),
    ],
    caller: Staff,
    database: Db,
    region: RegionQuery = None,
    interactions: Annotated[
        int, Query(ge=0, le=20, description="How many of the latest interactions of each customer.")
    ] = 5,
) -> CallerCard:
    """Every customer who has the number itself or through a contact, 20 at most, best first: active ones before
    frozen ones, then those whose own number it is before those with a contact who has it, then the longest known.
    An unknown number is no error: `matches` is empty.
    """
    normal = normalise(number, region, "number")
    async with database.transaction(caller.org_path) as uow:
        matches = await look_up_caller(uow, normal, interactions)
    return CallerCard(
        number=normal,
        matches=[
            CallerMatch(
                customer=CustomerProfile.of_row(match.customer),
                contact=None if match.contact is None else ContactProfile.of_contact(match.contact),
                last_interactions=[InteractionView.of(interaction) for interaction in match.last_interactions],
            )
            for match in matches
        ],
    )
