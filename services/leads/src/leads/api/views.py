"""What goes out."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import Row

from leads.domain.leads import Lead, Source, Status


class LeadView(BaseModel):
    """A lead."""

    lead_id: UUID
    version: int
    workspace: str
    org_path: str
    source: Source
    status: Status
    name: str
    company: str
    phone: str | None = Field(description="E.164.")
    email: str | None
    language: str | None
    territory: str | None
    interest: str
    attributes: dict[str, str]
    priority: int
    owner_agent_id: str | None
    call_id: UUID | None = Field(description="The first call of this person, if they called.")
    customer_id: UUID | None = Field(description="What it became.")
    rejected_because: str | None
    conversion_refused_because: str | None = Field(description="Why no customer could be made of it the last time.")
    partner_id: str | None
    submitted_by: str
    created_at: datetime

    @classmethod
    def of(cls, lead: Lead) -> Self:
        """The view of a lead."""
        known = {**vars(lead), **vars(lead.profile)}
        return cls.model_validate({name: known[name] for name in cls.model_fields})


class SubmissionView(BaseModel):
    """What became of a lead that was sent: a new one, or the open one about the same person."""

    lead_id: UUID = Field(description="The lead that is open now, be it new or not.")
    duplicate_of: UUID | None = Field(
        description="The open lead with the same number (or, without a number, the same address) in the same part of"
        " the organisation. Nothing new was made: two agents would have called the same person."
    )
    lead: LeadView | None = Field(description="Missing if it is not the caller's to see: another partner's.")


class AuditView(BaseModel):
    """Something that happened to a lead."""

    at: datetime
    actor: str = Field(description="Who: the subject of a token or key, or the type of the event that did it.")
    action: str
    version: int = Field(description="The lead's version after it.")
    before: dict[str, Any]
    after: dict[str, Any]

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """The view of an entry."""
        return cls.model_validate(dict(row._mapping))


class LineErrorView(BaseModel):
    """What is wrong with one field of one line."""

    line: int = Field(description="As a text editor counts them; the first is 1.")
    field: str
    reason: str


class DuplicateLineView(BaseModel):
    """A line about somebody with a lead."""

    line: int
    duplicate_of: UUID | None


class ImportView(BaseModel):
    """An uploaded file, and what became of its lines."""

    import_id: UUID
    org_path: str
    workspace: str
    file_name: str
    encoding: str
    columns: dict[str, str] = Field(description="Which header was taken for which field.")
    ignored_columns: list[str]
    rows: int = Field(description="Lines that are not blank, without the header: created + duplicates + rejected.")
    created: int
    duplicates: int
    rejected: int
    errors: list[LineErrorView] = Field(description="The first 500.")
    duplicate_rows: list[DuplicateLineView] = Field(description="The first 500.")
    imported_by: str
    imported_at: datetime

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """The view of an import."""
        return cls.model_validate(dict(row._mapping))


class ApiKeyView(BaseModel):
    """A partner's key, without its secret."""

    key_id: str
    partner_id: str
    org_path: str
    label: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """The view of a key."""
        return cls.model_validate(dict(row._mapping))


class NewApiKeyView(BaseModel):
    """A key just made."""

    key_id: str
    key: str = Field(description="Hand it to the partner; it is shown this one time.")
