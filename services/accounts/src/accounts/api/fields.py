"""Types and views that several resources share."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from cordboard_chassis.phones import Region
from cordboard_contracts import OrgPath, OwnerId
from cordboard_contracts.vocabulary import Identifier, Language, Territory
from fastapi import Path, Query
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import Row

from accounts.domain.customers import Contact, Customer, Kind, Phone, Status

NameText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    Field(description="As its bearer writes it. Not blank.", examples=["上海远洋物流有限公司"]),
]
RoleText = Annotated[
    str,
    StringConstraints(max_length=100),
    Field(description="What this person does at the customer.", examples=["采购经理"]),
]
Email = Annotated[str, StringConstraints(min_length=3, max_length=320), Field(examples=["chen.jing@example.com"])]
Tier = Annotated[Identifier, Field(description="Service grade, as the house calls it.", examples=["gold"])]
AgentId = Annotated[Identifier, Field(examples=["a1001"])]
OwnerAgentId = Annotated[Identifier, Field(description="The agent who looks after them.", examples=["a1001"])]
LanguageTag = Annotated[Language, Field(description="BCP 47.", examples=["zh-CN"])]
TerritoryCode = Annotated[
    Territory,
    Field(description="ISO 3166 country, then smaller areas.", examples=["CN-31-0115"]),
]
OrgPathText = Annotated[
    OrgPath, Field(description="Where in the organisation it belongs.", examples=["/cn/east/shanghai"])
]
Workspace = Annotated[OwnerId, Field(description="The contact centre that routes it.", examples=["main"])]
RegionCode = Annotated[
    Region,
    Field(description="ISO 3166-1 alpha-2 country of numbers in national form.", examples=["CN"]),
]
RegionQuery = Annotated[
    Region | None,
    Query(description="ISO 3166-1 alpha-2 country of a number in national form.", examples=["CN"]),
]


BornOn = Annotated[date, Field(description="Persons only.", examples=["1984-02-29"])]
Reason = Annotated[
    str,
    StringConstraints(min_length=1, max_length=500),
    Field(description="Why; it stands in the audit.", examples=["Unpaid invoices since March."]),
]
CustomerId = Annotated[UUID, Path(description="A customer's id.")]


class PhoneView(BaseModel):
    """A phone number of a customer or contact."""

    phone_id: UUID
    number: str = Field(description="E.164.", examples=["+8613800138000"])
    shared_by: int = Field(default=0, description="How many other customers that you may see have this number, too.")

    @classmethod
    def of(cls, phone: Phone, shared: Mapping[str, int]) -> Self:
        """From the domain; ``shared`` says how many others have each number."""
        return cls(phone_id=phone.phone_id, number=phone.number, shared_by=shared.get(phone.number, 0))


class ContactProfile(BaseModel):
    """A person at a customer, without phones."""

    contact_id: UUID
    name: str = Field(examples=["陈静"])
    role: str
    email: str | None

    @classmethod
    def of_contact(cls, contact: Contact) -> Self:
        """From the domain."""
        return cls(contact_id=contact.contact_id, name=contact.name, role=contact.role, email=contact.email)


class ContactView(ContactProfile):
    """A person at a customer."""

    phones: list[PhoneView]

    @classmethod
    def of(cls, customer: Customer, contact: Contact, shared: Mapping[str, int]) -> Self:
        """From the domain."""
        return cls(
            contact_id=contact.contact_id,
            name=contact.name,
            role=contact.role,
            email=contact.email,
            phones=[PhoneView.of(phone, shared) for phone in customer.phones_of(contact.contact_id)],
        )


class CustomerProfile(BaseModel):
    """A customer, without contacts and phones."""

    customer_id: UUID
    org_path: str = Field(examples=["/cn/east/shanghai"])
    kind: Kind
    status: Status = Field(description="A frozen customer is not served: no service request is opened for it.")
    name: str = Field(examples=["上海远洋物流有限公司"])
    tier: str | None = Field(examples=["gold"])
    owner_agent_id: str | None = Field(examples=["a1001"])
    language: str | None = Field(examples=["zh-CN"])
    territory: str | None = Field(examples=["CN-31-0115"])
    born_on: date | None
    version: int = Field(description="Grows with each change; also the `ETag`.")
    created_at: datetime

    @classmethod
    def of_row(cls, row: Row[Any], **more: Any) -> Self:
        """From a row of ``customers``."""
        return cls(**{name: getattr(row, name) for name in CustomerProfile.model_fields}, **more)


class CustomerSummary(CustomerProfile):
    """A customer in a list."""

    phones: list[str] = Field(description="Its own numbers and those of its contacts, E.164.")


class CustomerView(CustomerProfile):
    """A customer with everything that belongs to it."""

    source_ref: str | None = Field(description="What it was made from, such as `lead:<id>`.")
    phones: list[PhoneView] = Field(description="Its own numbers; those of the contacts stand with them.")
    contacts: list[ContactView]

    @classmethod
    def of(cls, customer: Customer, shared: Mapping[str, int]) -> Self:
        """From the domain; ``shared`` says how many others have each number."""
        return cls(
            **{name: getattr(customer, name) for name in CustomerProfile.model_fields},
            source_ref=customer.source_ref,
            phones=[PhoneView.of(phone, shared) for phone in customer.phones_of(None)],
            contacts=[ContactView.of(customer, contact, shared) for contact in customer.contacts],
        )
