"""Customers."""

from typing import Annotated
from uuid import UUID

from cordboard_chassis.auth.org_paths import OrgPath, require_within
from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import IfMatch, etag, require_match, set_etag
from cordboard_chassis.http.idempotency import Answer, Once
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.phones import PhoneText, normalise, normalise_all
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.vocabulary import Identifier
from fastapi import APIRouter, Query, Response
from pydantic import Field

from accounts.api.access import Leader, Staff
from accounts.api.fields import (
    BornOn,
    CustomerId,
    CustomerSummary,
    CustomerView,
    Email,
    LanguageTag,
    NameText,
    OrgPathText,
    OwnerAgentId,
    Reason,
    RegionCode,
    RegionQuery,
    RoleText,
    TerritoryCode,
    Tier,
)
from accounts.domain.customers import Customer, Kind, Status
from accounts.storage import queries
from accounts.usecases.change_customer import change_customer
from accounts.usecases.create_customer import NewContact, NewCustomer, create_customer
from accounts.usecases.find_customer import find_customer
from accounts.usecases.freeze_customer import freeze_customer
from accounts.usecases.unfreeze_customer import unfreeze_customer

router = APIRouter(prefix="/v1", tags=["customers"])

MAX_NEW_CONTACTS = 100


class ContactIn(Body):
    """A person at the customer."""

    name: NameText
    role: RoleText = ""
    email: Email | None = None
    phones: Annotated[list[PhoneText], Field(max_length=20)] = Field(default_factory=list)

    def numbered(self, region: str | None, field: str) -> NewContact:
        """For the use case; ``field`` is where the phones stand in the request."""
        return NewContact(self.name, self.role, self.email, normalise_all(self.phones, region, field))


class CustomerIn(Body):
    """A customer to be made."""

    kind: Kind
    name: NameText
    org_path: OrgPathText | None = Field(
        default=None, description="Where in the organisation it belongs; your own place when missing."
    )
    phones: Annotated[list[PhoneText], Field(max_length=20)] = Field(
        default_factory=list, description="The customer's own numbers. Others may have them, too."
    )
    region: RegionCode | None = Field(
        default=None, description="Country of the numbers in national form, here and in `contacts`."
    )
    contacts: Annotated[list[ContactIn], Field(max_length=MAX_NEW_CONTACTS)] = Field(default_factory=list)
    tier: Tier | None = None
    owner_agent_id: OwnerAgentId | None = None
    language: LanguageTag | None = None
    territory: TerritoryCode | None = None
    born_on: BornOn | None = None


class CustomerPatch(Body):
    """Fields to be changed; the others stay. `null` empties a field that may be empty."""

    name: NameText = Field(default_factory=str)
    tier: Tier | None = None
    owner_agent_id: OwnerAgentId | None = None
    language: LanguageTag | None = None
    territory: TerritoryCode | None = None
    born_on: BornOn | None = None


class StatusChange(Body):
    """Why the status is changed."""

    reason: Reason


@router.post("/customers", status_code=201, summary="Make a customer", response_model=CustomerView)
async def add_customer(body: CustomerIn, caller: Staff, once: Once) -> Response:
    """Makes an organisation or a person, with phones and contacts.

    A number that other customers have is taken, too: households and switchboards share theirs. `shared_by` of each
    phone says how many others have it. Earlier calls from these numbers that were nobody's become the customer's
    (the latest 200 of those that you may see).
    """
    org_path = body.org_path or caller.org_path
    require_within(org_path, caller.org_path)
    new = NewCustomer(
        org_path=org_path,
        kind=body.kind,
        name=body.name,
        numbers=normalise_all(body.phones, body.region, "phones"),
        contacts=[
            contact.numbered(body.region, f"contacts.{position}.phones")
            for position, contact in enumerate(body.contacts)
        ],
        tier=body.tier,
        owner_agent_id=body.owner_agent_id,
        language=body.language,
        territory=body.territory,
        born_on=body.born_on,
    )

    async def act(uow: UnitOfWork) -> Answer:
        customer = await create_customer(uow, new, caller.subject)
        headers = {"Location": f"/v1/customers/{customer.customer_id}", "ETag": etag(customer.version)}
        return Answer(await view(uow, customer), 201, headers)

    return await once(act)


@router.get("/customers", summary="List and search customers")
async def list_customers(
    caller: Staff,
    database: Db,
    paging: Paging,
    name: Annotated[
        str | None,
        Query(min_length=1, max_length=200, description="How the name begins; case and width do not matter."),
    ] = None,
    phone: Annotated[
        str | None,
        Query(min_length=1, max_length=40, description="A number of the customer or of one of its contacts."),
    ] = None,
    region: RegionQuery = None,
    tier: Annotated[Identifier | None, Query()] = None,
    kind: Annotated[Kind | None, Query()] = None,
    status: Annotated[Status | None, Query()] = None,
    owner_agent_id: Annotated[Identifier | None, Query()] = None,
    org_path: Annotated[OrgPath | None, Query(description="Only this part of the organisation.")] = None,
) -> Page[CustomerSummary]:
    """In the order of their names. Filters that are given must all hold."""
    if org_path is not None:
        require_within(org_path, caller.org_path)
    wanted = queries.CustomerFilter(
        name_prefix=name,
        number=None if phone is None else normalise(phone, region, "phone"),
        tier=tier,
        kind=kind,
        status=status,
        owner_agent_id=owner_agent_id,
        org_path=org_path,
    )
    after = paging.after(str, UUID)
    async with database.transaction(caller.org_path) as uow:
        rows = await queries.list_customers(uow, wanted, after, paging.fetch)
        numbers: dict[UUID, list[str]] = {row.customer_id: [] for row in rows}
        for found in await queries.phones_of(uow, numbers):
            if found.number not in numbers[found.customer_id]:
                numbers[found.customer_id].append(found.number)
    return paging.page(
        rows,
        lambda row: (row.name_key, row.customer_id),
        lambda row: CustomerSummary.of_row(row, phones=numbers[row.customer_id]),
    )


@router.get("/customers/{customer_id}", summary="Get a customer")
async def get_customer(customer_id: CustomerId, caller: Staff, database: Db, response: Response) -> CustomerView:
    """With contacts and phones. The `ETag` is what an update wants as `If-Match`."""
    async with database.transaction(caller.org_path) as uow:
        customer = await find_customer(uow, customer_id)
        set_etag(response, customer.version)
        return await view(uow, customer)


@router.patch("/customers/{customer_id}", summary="Change a customer")
async def patch_customer(
    customer_id: CustomerId,
    body: CustomerPatch,
    caller: Staff,
    database: Db,
    response: Response,
    if_match: IfMatch = None,
) -> CustomerView:
    """Changes the fields that are sent. Contacts and phones are changed by their own requests."""
    async with database.transaction(caller.org_path) as uow:
        before = await find_customer(uow, customer_id, lock=True)
        require_match(if_match, before.version)
        changes = body.model_dump(exclude_unset=True)
        customer = await change_customer(uow, before, changes, caller.subject)
        set_etag(response, customer.version)
        return await view(uow, customer)


@router.post("/customers/{customer_id}/freeze", summary="Freeze a customer")
async def freeze(
    customer_id: CustomerId, body: StatusChange, caller: Leader, database: Db, response: Response
) -> CustomerView:
    """No service request is opened for a frozen customer. For supervisors and above. Freezing again changes nothing."""
    async with database.transaction(caller.org_path) as uow:
        customer = await freeze_customer(uow, customer_id, caller.subject, body.reason)
        set_etag(response, customer.version)
        return await view(uow, customer)


@router.post("/customers/{customer_id}/unfreeze", summary="Unfreeze a customer")
async def unfreeze(
    customer_id: CustomerId, body: StatusChange, caller: Leader, database: Db, response: Response
) -> CustomerView:
    """Serve them again. For supervisors and above. Unfreezing an active customer changes nothing."""
    async with database.transaction(caller.org_path) as uow:
        customer = await unfreeze_customer(uow, customer_id, caller.subject, body.reason)
        set_etag(response, customer.version)
        return await view(uow, customer)


async def view(uow: UnitOfWork, customer: Customer) -> CustomerView:
    """The customer, and how many others have its numbers."""
    return CustomerView.of(customer, await queries.sharing(uow, customer.customer_id, customer.numbers))
