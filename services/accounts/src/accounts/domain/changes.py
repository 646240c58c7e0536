"""What differs between two versions of a customer: for the audit, and to store no more than that."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from accounts.domain.customers import Contact, Customer, Phone


class Entity(StrEnum):
    """What was changed."""

    CUSTOMER = "customer"
    CONTACT = "contact"
    PHONE = "phone"
    NOTE = "note"
    SERVICE_REQUEST = "service_request"


class Action(StrEnum):
    """What was done to it."""

    CREATED = "created"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True)
class Change:
    """One entity, before and after: only what differs, as JSON values; nothing before it was made or after it went."""

    entity: Entity
    entity_id: UUID
    action: Action
    before: dict[str, Any] | None
    after: dict[str, Any] | None


_NOT_PROFILE = frozenset({"customer_id", "version", "contacts", "phones"})


def between(before: Customer | None, after: Customer) -> list[Change]:
    """Every change that leads from one version to the other; none when nothing differs."""
    return [
        *_pairs(
            Entity.CUSTOMER,
            {} if before is None else {before.customer_id: _profile(before)},
            {after.customer_id: _profile(after)},
        ),
        *_pairs(
            Entity.CONTACT,
            {contact.contact_id: _plain(contact, "contact_id") for contact in (before.contacts if before else ())},
            {contact.contact_id: _plain(contact, "contact_id") for contact in after.contacts},
        ),
        *_pairs(
            Entity.PHONE,
            {phone.phone_id: _plain(phone, "phone_id") for phone in (before.phones if before else ())},
            {phone.phone_id: _plain(phone, "phone_id") for phone in after.phones},
        ),
    ]


def between_values(
    entity: Entity, entity_id: UUID, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> list[Change]:
    """The change of one entity whose fields are given; none when nothing differs."""
    return list(
        _pairs(
            entity,
            {} if before is None else {entity_id: _json(before)},
            {} if after is None else {entity_id: _json(after)},
        )
    )


def _pairs(entity: Entity, before: dict[UUID, dict[str, Any]], after: dict[UUID, dict[str, Any]]) -> Iterator[Change]:
    for entity_id in before.keys() - after.keys():
        yield Change(entity, entity_id, Action.REMOVED, before[entity_id], None)
    for entity_id, values in after.items():
        known = before.get(entity_id)
        if known is None:
            yield Change(entity, entity_id, Action.CREATED, None, values)
            continue
        differing = [name for name, value in values.items() if known.get(name) != value]
        if differing:
            yield Change(
                entity,
                entity_id,
                Action.CHANGED,
                {name: known.get(name) for name in differing},
                {name: values[name] for name in differing},
            )


def _profile(customer: Customer) -> dict[str, Any]:
    return _json(
        {field.name: getattr(customer, field.name) for field in fields(customer) if field.name not in _NOT_PROFILE}
    )


def _plain(part: Contact | Phone, own_id: str) -> dict[str, Any]:
    return _json({field.name: getattr(part, field.name) for field in fields(part) if field.name != own_id})


def _json(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _json_value(value) for name, value in values.items()}


def _json_value(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID | StrEnum) else value
