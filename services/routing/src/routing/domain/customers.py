"""What routing knows of a customer."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as far as rules and the agent's screen need them."""

    customer_id: UUID
    name: str
    tier: str | None = None
    owner_agent_id: str | None = None
    language: str | None = None
    territory: str | None = None
    last_agent_id: str | None = None
    """Who accepted something of theirs last in this workspace, at ``last_accepted_at``."""
    last_accepted_at: datetime | None = None
