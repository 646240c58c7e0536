"""Make a customer, whoever else has the same numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import new_id

from accounts.domain.customers import Contact, Customer, Kind, Phone, begin
from accounts.usecases.decide import decide
from accounts.usecases.save_customer import save_new_customer


@dataclass(frozen=True)
class NewContact:
    """A contact to be made; ``numbers`` are E.164."""

    name: str
    role: str = ""
    email: str | None = None
    numbers: Sequence[str] = ()


@dataclass(frozen=True)
class NewCustomer:
    """A customer to be made; ``numbers`` are E.164."""

    org_path: str
    kind: Kind
    name: str
    numbers: Sequence[str] = ()
    contacts: Sequence[NewContact] = ()
    tier: str | None = None
    owner_agent_id: str | None = None
    language: str | None = None
    territory: str | None = None
    born_on: date | None = None
    source_ref: str | None = None


async def create_customer(uow: UnitOfWork, new: NewCustomer, by: str) -> Customer:
    """Make the customer, store and announce it.

    Numbers that others have, too, are no hindrance: households and switchboards share them.

    Raises:
        Refused: something about it is wrong; nothing was written.
    """
    contacts = [(Contact(new_id(), contact.name, contact.role, contact.email), contact) for contact in new.contacts]
    customer = Customer(
        customer_id=new_id(),
        org_path=new.org_path,
        kind=new.kind,
        name=new.name,
        created_at=uow.now,
        tier=new.tier,
        owner_agent_id=new.owner_agent_id,
        language=new.language,
        territory=new.territory,
        born_on=new.born_on,
        source_ref=new.source_ref,
        contacts=tuple(contact for contact, _ in contacts),
        phones=(
            *(Phone(new_id(), number) for number in new.numbers),
            *(Phone(new_id(), number, made.contact_id) for made, asked in contacts for number in asked.numbers),
        ),
    )
    decide(begin, customer, uow.now.date())
    await save_new_customer(uow, customer, by)
    return customer
