"""Store a version of a customer, audit what differs, and tell everybody."""

from dataclasses import replace

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import accounts as contract

from accounts.domain.changes import between
from accounts.domain.customers import Customer
from accounts.storage import queries


async def save_new_customer(uow: UnitOfWork, customer: Customer, by: str) -> None:
    """Store a customer that is new. Earlier interactions of its numbers that were nobody's become its own."""
    await queries.lock_numbers(uow, customer.numbers)
    await queries.insert_customer(uow, customer)
    await queries.link_interactions(uow, customer, customer.numbers)
    await queries.insert_audit(uow, customer.customer_id, customer.org_path, between(None, customer), by, "")
    announce_registered(uow, customer)


async def save_customer(uow: UnitOfWork, before: Customer, after: Customer, by: str, reason: str = "") -> Customer:
    """Store what was changed, as the next version; nothing happens when nothing differs.

    ``before`` must have been read with a lock. Earlier interactions of added numbers that were nobody's become
    this customer's. Returns the customer as it is now.
    """
    changes = between(before, after)
    if not changes:
        return before
    saved = replace(after, version=before.version + 1)
    added = saved.numbers - before.numbers
    await queries.lock_numbers(uow, added)
    await queries.update_customer(uow, before, saved)
    await queries.link_interactions(uow, saved, added)
    await queries.insert_audit(uow, saved.customer_id, saved.org_path, changes, by, reason)
    uow.emit(
        contract.CustomerUpdated(customer=as_contract(saved)),
        subject=saved.customer_id,
        sequence=saved.version,
        orgpath=saved.org_path,
    )
    return saved


def announce_registered(uow: UnitOfWork, customer: Customer) -> None:
    """Tell that there is this customer."""
    uow.emit(
        contract.CustomerRegistered(customer=as_contract(customer)),
        subject=customer.customer_id,
        sequence=customer.version,
        orgpath=customer.org_path,
    )


def as_contract(customer: Customer) -> contract.Customer:
    """A customer as others may know it."""
    return contract.Customer(
        customer_id=customer.customer_id,
        org_path=customer.org_path,
        kind=contract.CustomerKind(customer.kind),
        status=contract.CustomerStatus(customer.status),
        name=customer.name,
        phones=tuple(phone.number for phone in customer.phones_of(None)),
        contacts=tuple(
            contract.Contact(
                contact_id=contact.contact_id,
                name=contact.name,
                role=contact.role,
                email=contact.email,
                phones=tuple(phone.number for phone in customer.phones_of(contact.contact_id)),
            )
            for contact in customer.contacts
        ),
        tier=customer.tier,
        owner_agent_id=customer.owner_agent_id,
        language=customer.language,
        territory=customer.territory,
        born_on=customer.born_on,
        source_ref=customer.source_ref,
        created_at=customer.created_at,
    )
