"""A caller's contact with us, as the history shows it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Outcome(StrEnum):
    """What came of it so far."""

    WAITING = "waiting"
    ANSWERED = "answered"
    ABANDONED = "abandoned"


@dataclass(frozen=True)
class Interaction:
    """A call in the history. It has the call's id, and the call's version as ``sequence``."""

    interaction_id: UUID
    sequence: int
    workspace: str
    org_path: str
    direction: str
    from_number: str | None
    dialled: str
    agent_ids: tuple[str, ...]
    outcome: Outcome
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    customer_id: UUID | None = None
    contact_id: UUID | None = None

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self.ended_at is not None

    @property
    def wait_s(self) -> float | None:
        """Seconds until the first agent was there, or the caller left; None while they wait."""
        until = self.answered_at or self.ended_at
        return None if until is None else max(0.0, (until - self.started_at).total_seconds())

    @property
    def talk_s(self) -> float | None:
        """Seconds from the first agent to the end; None if nobody answered or it goes on."""
        if self.answered_at is None or self.ended_at is None:
            return None
        return max(0.0, (self.ended_at - self.answered_at).total_seconds())


def outcome_of(answered_at: datetime | None, ended_at: datetime | None) -> Outcome:
    """What came of a call with these times."""
    if answered_at is not None:
        return Outcome.ANSWERED
    return Outcome.WAITING if ended_at is None else Outcome.ABANDONED


def agents_in_order(joined: Iterable[tuple[datetime, str]]) -> tuple[str, ...]:
    """Each agent who spoke with the caller once, in the order in which they came: (when, agent id)."""
    return tuple(dict.fromkeys(agent_id for _, agent_id in sorted(joined)))
