"""People at a customer."""

from typing import Annotated
from uuid import UUID

from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import IfMatch, etag, require_match, set_etag
from cordboard_chassis.http.idempotency import Answer, Once
from cordboard_chassis.unit_of_work import UnitOfWork
from fastapi import APIRouter, Path, Response
from pydantic import Field

from accounts.api.access import Staff
from accounts.api.customers import ContactIn
from accounts.api.fields import ContactView, CustomerId, Email, NameText, RegionCode, RoleText
from accounts.domain.customers import Contact, Customer, contact_of
from accounts.storage import queries
from accounts.usecases.add_contact import add_contact
from accounts.usecases.change_contact import change_contact
from accounts.usecases.decide import decide
from accounts.usecases.find_customer import find_customer
from accounts.usecases.remove_contact import remove_contact

router = APIRouter(prefix="/v1/customers/{customer_id}", tags=["contacts"])

ContactId = Annotated[UUID, Path(description="A contact's id.")]


class NewContactIn(ContactIn):
    """A person at the customer, with phones."""

    region: RegionCode | None = Field(default=None, description="Country of the numbers in national form.")


class ContactPatch(Body):
    """Fields to be changed; the others stay."""

    name: NameText = Field(default_factory=str)
    role: RoleText = Field(default_factory=str)
    email: Email | None = None


@router.post("/contacts", status_code=201, summary="Add a contact", response_model=ContactView)
async def create_contact(customer_id: CustomerId, body: NewContactIn, caller: Staff, once: Once) -> Response:
    """Adds a person at the customer. The `ETag` is the customer's."""
    new = body.numbered(body.region, "phones")

    async def act(uow: UnitOfWork) -> Answer:
        customer, contact = await add_contact(uow, customer_id, new, caller.subject)
        headers = {
            "Location": f"/v1/customers/{customer_id}/contacts/{contact.contact_id}",
            "ETag": etag(customer.version),
        }
        return Answer(await _view(uow, customer, contact), 201, headers)

    return await once(act)


@router.get("/contacts/{contact_id}", summary="Get a contact")
async def get_contact(
    customer_id: CustomerId, contact_id: ContactId, caller: Staff, database: Db, response: Response
) -> ContactView:
    """One person at the customer. The `ETag` is the customer's."""
    async with database.transaction(caller.org_path) as uow:
        customer = await find_customer(uow, customer_id)
        set_etag(response, customer.version)
        return await _view(uow, customer, decide(contact_of, customer, contact_id))


@router.patch("/contacts/{contact_id}", summary="Change a contact")
async def patch_contact(
    customer_id: CustomerId,
    contact_id: ContactId,
    body: ContactPatch,
    caller: Staff,
    database: Db,
    response: Response,
    if_match: IfMatch = None,
) -> ContactView:
    """Changes the fields that are sent. `If-Match` and `ETag` are those of the customer."""
    async with database.transaction(caller.org_path) as uow:
        before = await find_customer(uow, customer_id, lock=True)
        require_match(if_match, before.version)
        changes = body.model_dump(exclude_unset=True)
        customer = await change_contact(uow, before, contact_id, changes, caller.subject)
        set_etag(response, customer.version)
        return await _view(uow, customer, contact_of(customer, contact_id))


@router.delete("/contacts/{contact_id}", status_code=204, summary="Remove a contact", response_model=None)
async def delete_contact(
    customer_id: CustomerId, contact_id: ContactId, caller: Staff, database: Db, response: Response
) -> None:
    """Removes the person and their phones. What happened with them stays in the customer's history."""
    async with database.transaction(caller.org_path) as uow:
        customer = await remove_contact(uow, customer_id, contact_id, caller.subject)
        set_etag(response, customer.version)


async def _view(uow: UnitOfWork, customer: Customer, contact: Contact) -> ContactView:
    numbers = {phone.number for phone in customer.phones_of(contact.contact_id)}
    return ContactView.of(customer, contact, await queries.sharing(uow, customer.customer_id, numbers))
