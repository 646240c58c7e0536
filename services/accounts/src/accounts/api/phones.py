"""Phone numbers of a customer and its contacts."""

from typing import Annotated
from uuid import UUID

from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import etag, set_etag
from cordboard_chassis.http.idempotency import Answer, Once
from cordboard_chassis.phones import PhoneText, normalise
from cordboard_chassis.unit_of_work import UnitOfWork
from fastapi import APIRouter, Path, Response
from pydantic import Field

from accounts.api.access import Staff
from accounts.api.fields import CustomerId, PhoneView, RegionCode
from accounts.storage import queries
from accounts.usecases.add_phone import add_phone
from accounts.usecases.remove_phone import remove_phone

router = APIRouter(prefix="/v1/customers/{customer_id}", tags=["phones"])


class PhoneIn(Body):
    """A number to be added."""

    number: PhoneText
    region: RegionCode | None = Field(default=None, description="Country of a number in national form.")
    contact_id: UUID | None = Field(default=None, description="Whose it is; the customer's own when missing.")


@router.post("/phones", status_code=201, summary="Add a phone", response_model=PhoneView)
async def create_phone(customer_id: CustomerId, body: PhoneIn, caller: Staff, once: Once) -> Response:
    """Adds a number. Earlier calls from it that were nobody's become the customer's (the latest 200 that you may see).

    The `ETag` is the customer's.
    """
    number = normalise(body.number, body.region, "number")

    async def act(uow: UnitOfWork) -> Answer:
        customer, phone = await add_phone(uow, customer_id, number, body.contact_id, caller.subject)
        shared = await queries.sharing(uow, customer_id, [number])
        return Answer(PhoneView.of(phone, shared), 201, {"ETag": etag(customer.version)})

    return await once(act)


@router.delete("/phones/{phone_id}", status_code=204, summary="Remove a phone", response_model=None)
async def delete_phone(
    customer_id: CustomerId,
    phone_id: Annotated[UUID, Path(description="A phone's id.")],
    caller: Staff,
    database: Db,
    response: Response,
) -> None:
    """Removes a number of the customer or of a contact. The calls from it stay in the customer's history."""
    async with database.transaction(caller.org_path) as uow:
        customer = await remove_phone(uow, customer_id, phone_id, caller.subject)
        set_etag(response, customer.version)
