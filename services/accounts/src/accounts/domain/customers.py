"""A customer with contacts and phones, and what may be changed about them. Every function returns a new value."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from accounts.domain.rules import NotThere, RuleBroken, Wrong

MAX_PHONES = 20
"""Of the customer itself, and of each contact."""
MAX_CONTACTS = 500
MAX_NAME_LENGTH = 200
MAX_EMAIL_LENGTH = 320
OLDEST_BIRTH = date(1900, 1, 1)


class Kind(StrEnum):
    """An organisation has contacts; a person usually needs none."""

    ORGANISATION = "organisation"
    PERSON = "person"


class Status(StrEnum):
    """Whether we serve them."""

    ACTIVE = "active"
    FROZEN = "frozen"


@dataclass(frozen=True)
class Phone:
    """A number, of the customer itself or of one of its contacts."""

    phone_id: UUID
    number: str
    """E.164."""
    contact_id: UUID | None = None


@dataclass(frozen=True)
class Contact:
    """A person at a customer."""

    contact_id: UUID
    name: str
    role: str = ""
    email: str | None = None


@dataclass(frozen=True)
class Customer:
    """A customer as it is at one version."""

    customer_id: UUID
    org_path: str
    kind: Kind
    name: str
    created_at: datetime
    status: Status = Status.ACTIVE
    tier: str | None = None
    owner_agent_id: str | None = None
    language: str | None = None
    territory: str | None = None
    born_on: date | None = None
    source_ref: str | None = None
    version: int = 1
    contacts: tuple[Contact, ...] = ()
    phones: tuple[Phone, ...] = ()

    def phones_of(self, contact_id: UUID | None) -> tuple[Phone, ...]:
        """Those of one contact; with None, the customer's own."""
        return tuple(phone for phone in self.phones if phone.contact_id == contact_id)

    @property
    def numbers(self) -> frozenset[str]:
        """Every number under which the customer or a contact may call."""
        return frozenset(phone.number for phone in self.phones)


CHANGEABLE = frozenset({"name", "tier", "owner_agent_id", "language", "territory", "born_on"})
CONTACT_CHANGEABLE = frozenset({"name", "role", "email"})


def begin(customer: Customer, today: date) -> Customer:
    """Check a customer that is to be made.

    Raises:
        RuleBroken: it may not be made like this.
    """
    _check_profile(customer, today)
    if len(customer.contacts) > MAX_CONTACTS:
        raise Wrong(f"a customer has {MAX_CONTACTS} contacts at most", "contacts")
    for position, contact in enumerate(customer.contacts):
        _check_contact(contact, f"contacts.{position}.")
        _check_phones(customer.phones_of(contact.contact_id), f"contacts.{position}.phones")
    _check_phones(customer.phones_of(None), "phones")
    return customer


def change(customer: Customer, changes: Mapping[str, Any], today: date) -> Customer:
    """Change fields of the profile.

    Raises:
        RuleBroken: the result may not be.
    """
    assert changes.keys() <= CHANGEABLE
    changed = replace(customer, **changes)
    _check_profile(changed, today)
    return changed


def freeze(customer: Customer) -> Customer:
    """Serve them no longer: no service request is opened for them. Freezing again changes nothing."""
    return replace(customer, status=Status.FROZEN)


def unfreeze(customer: Customer) -> Customer:
    """Serve them again."""
    return replace(customer, status=Status.ACTIVE)


def require_served(customer: Customer) -> None:
    """Nothing new is begun for a frozen customer.

    Raises:
        RuleBroken: the customer is frozen.
    """
    if customer.status is Status.FROZEN:
        raise RuleBroken("customer-frozen", "the customer is frozen", "customer_id")


def add_contact(customer: Customer, contact: Contact, numbers: Iterable[Phone]) -> Customer:
    """A contact more, with phones.

    Raises:
        RuleBroken: there are too many, or something about it is wrong.
    """
    phones = tuple(numbers)
    if len(customer.contacts) >= MAX_CONTACTS:
        raise RuleBroken("too-many-contacts", f"a customer has {MAX_CONTACTS} contacts at most")
    _check_contact(contact, "")
    _check_phones(phones, "phones")
    return replace(customer, contacts=(*customer.contacts, contact), phones=(*customer.phones, *phones))


def change_contact(customer: Customer, contact_id: UUID, changes: Mapping[str, Any]) -> Customer:
    """Change fields of a contact.

    Raises:
        RuleBroken: there is no such contact, or the result may not be.
    """
    assert changes.keys() <= CONTACT_CHANGEABLE
    changed = replace(contact_of(customer, contact_id), **changes)
    _check_contact(changed, "")
    return replace(
        customer,
        contacts=tuple(changed if contact.contact_id == contact_id else contact for contact in customer.contacts),
    )


def remove_contact(customer: Customer, contact_id: UUID) -> Customer:
    """A contact less, and their phones.

    Raises:
        NotThere: there is no such contact.
    """
    gone = contact_of(customer, contact_id)
    return replace(
        customer,
        contacts=tuple(contact for contact in customer.contacts if contact is not gone),
        phones=tuple(phone for phone in customer.phones if phone.contact_id != contact_id),
    )


def add_phone(customer: Customer, phone: Phone) -> Customer:
    """A number more.

    Raises:
        RuleBroken: there are too many, it is there already, or its contact is not.
    """
    if phone.contact_id is not None:
        contact_of(customer, phone.contact_id, "contact_id")
    present = customer.phones_of(phone.contact_id)
    if any(other.number == phone.number for other in present):
        raise RuleBroken("phone-known", f"{phone.number} is there already", "number")
    if len(present) >= MAX_PHONES:
        raise RuleBroken("too-many-phones", f"{MAX_PHONES} numbers at most", "number")
    return replace(customer, phones=(*customer.phones, phone))


def remove_phone(customer: Customer, phone_id: UUID) -> Customer:
    """A number less.

    Raises:
        NotThere: there is no such phone.
    """
    left = tuple(phone for phone in customer.phones if phone.phone_id != phone_id)
    if len(left) == len(customer.phones):
        raise NotThere(f"the customer has no phone {phone_id}", "phone_id")
    return replace(customer, phones=left)


def contact_of(customer: Customer, contact_id: UUID, field: str = "contact_id") -> Contact:
    """The contact with this id.

    Raises:
        NotThere: the customer has none.
    """
    for contact in customer.contacts:
        if contact.contact_id == contact_id:
            return contact
    raise NotThere(f"the customer has no contact {contact_id}", field)


def _check_profile(customer: Customer, today: date) -> None:
    _check_name(customer.name, "name")
    if customer.born_on is None:
        return
    if customer.kind is not Kind.PERSON:
        raise Wrong("only a person is born", "born_on")
    if not OLDEST_BIRTH <= customer.born_on <= today:
        raise Wrong(f"must lie between {OLDEST_BIRTH} and today", "born_on")


def _check_contact(contact: Contact, prefix: str) -> None:
    _check_name(contact.name, f"{prefix}name")
    if contact.email is not None and not is_email(contact.email):
        raise Wrong("is not an e-mail address", f"{prefix}email")


def _check_name(name: str, field: str) -> None:
    if not name.strip():
        raise Wrong("must not be blank", field)
    if len(name) > MAX_NAME_LENGTH:
        raise Wrong(f"has more than {MAX_NAME_LENGTH} characters", field)


def _check_phones(phones: tuple[Phone, ...], field: str) -> None:
    if len(phones) > MAX_PHONES:
        raise Wrong(f"{MAX_PHONES} numbers at most", field)
    seen: set[str] = set()
    for position, phone in enumerate(phones):
        if phone.number in seen:
            raise Wrong(f"{phone.number} is there twice", f"{field}.{position}")
        seen.add(phone.number)


def is_email(text: str) -> bool:
    """Whether this could be an address: one ``@`` between a name and a domain, nothing unprintable.

    Whether somebody reads it is known only after writing to it.
    """
    name, at, domain = text.rpartition("@")
    return (
        bool(at and name and domain)
        and "@" not in name
        and len(text) <= MAX_EMAIL_LENGTH
        and text.isprintable()
        and " " not in text
        and all(domain.split("."))
    )
