"""What the legs of a call say about who has it. All of it can be read from the newest picture of the call alone,
so it does not matter which of its events came, in which order, or how often."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Leg:
    """One agent's part in a call. ``joined_at`` is when agent and customer were first connected."""

    agent_id: str | None
    assignment_id: str | None
    joined_at: datetime | None
    ended_at: datetime | None
    consultation: bool = False
    failure: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether it goes on."""
        return self.ended_at is None

    @property
    def talks(self) -> bool:
        """Whether agent and customer are connected now."""
        return self.joined_at is not None and self.is_live


def leg_of(legs: Iterable[Leg], assignment_id: str) -> Leg | None:
    """The leg that an assignment asked for."""
    return next((leg for leg in legs if leg.assignment_id == assignment_id), None)


def talking(legs: Iterable[Leg]) -> Leg | None:
    """Who of those who talk with the customer now was first."""
    return min((leg for leg in legs if leg.talks), key=_joined_at, default=None)


def first_talk(legs: Iterable[Leg]) -> Leg | None:
    """Who talked with the customer first, be it over or not."""
    return min((leg for leg in legs if leg.joined_at is not None), key=_joined_at, default=None)


def held_by(legs: Sequence[Leg], agent_id: str) -> Leg | None:
    """The last leg on which an agent talked with the customer."""
    own = (leg for leg in legs if leg.joined_at is not None and leg.agent_id == agent_id)
    return max(own, key=_joined_at, default=None)


def successor(legs: Iterable[Leg], holder: Leg) -> Leg | None:
    """Who has the call after ``holder``, whose leg is over: of those who stayed longer, who joined first."""
    assert holder.ended_at is not None
    later = (
        leg
        for leg in legs
        if leg is not holder and leg.joined_at is not None and (leg.ended_at is None or leg.ended_at > holder.ended_at)
    )
    return min(later, key=_joined_at, default=None)


def somebody_comes(legs: Iterable[Leg]) -> bool:
    """Whether a device that no assignment asked for is being called: a transfer is under way."""
    return any(
        leg.is_live and leg.joined_at is None and leg.assignment_id is None and not leg.consultation for leg in legs
    )


def _joined_at(leg: Leg) -> datetime:
    assert leg.joined_at is not None
    return leg.joined_at
