"""Make a customer of a source, or find the one that it already is."""

from dataclasses import replace

from cordboard_chassis.unit_of_work import UnitOfWork

from accounts.domain.customers import Customer
from accounts.storage import queries
from accounts.usecases.create_customer import NewCustomer, create_customer
from accounts.usecases.find_customer import find_customer
from accounts.usecases.save_customer import announce_registered


async def register_customer(uow: UnitOfWork, new: NewCustomer, by: str) -> Customer:
    """The customer of ``new.source_ref``: the one of an earlier registration; else the best one on the same line of the
    organisation (above or below ``new.org_path``) who has one of the numbers, left as they are; else a new one.

    In each case it is announced as registered, with this ``source_ref``.

    Raises:
        Refused: nobody is there yet and what was given is wrong; nothing was written.
    """
    assert new.source_ref is not None
    await queries.lock_source(uow, new.source_ref)
    known = await queries.find_registration(uow, new.source_ref)
    if known is None:
        numbers = [*new.numbers, *(number for contact in new.contacts for number in contact.numbers)]
        await queries.lock_numbers(uow, numbers)
        known = await queries.find_known(uow, numbers, new.org_path)
        if known is None:
            customer = await create_customer(uow, new, by)
            await queries.insert_registration(uow, new.source_ref, customer)
            return customer
        customer = await find_customer(uow, known)
        await queries.insert_registration(uow, new.source_ref, customer)
    else:
        customer = await find_customer(uow, known)
    # Whoever asked knows their answer by the source.
    announce_registered(uow, replace(customer, source_ref=new.source_ref))
    return customer
