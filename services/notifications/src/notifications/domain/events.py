"""What an event is to partners and desktops."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class NewsItem:
    """An event as it goes out: ``body`` is the JSON that partners and desktops get, to the byte."""

    id: UUID
    type: str
    org_path: str
    agents: Sequence[str]
    """Agents whom it concerns."""
    occurred_at: datetime
    body: str
