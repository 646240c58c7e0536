"""How much may be dialled: against toll fraud, beside the beginnings of numbers that a PBX allows at all."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DialLimit:
    """The most that one agent, or all of one branch, may dial; over all PBXs of the site."""

    per: Literal["agent", "branch"]
    org_path: str
    """Whom it is for: calls of this part of the organisation. Per branch: all of them together."""
    calls: int | None = None
    """Begun within ``interval_s`` seconds, whether they were answered or not."""
    interval_s: int = 3600
    simultaneous: int | None = None
    """That are not over."""


@dataclass(frozen=True)
class Dialled:
    """What counts against a limit, as far as it matters: no more is counted than the limit allows."""

    begun: int
    live: int


def exceeded(limit: DialLimit, dialled: Dialled) -> str | None:
    """Why one call more is too many; None when it is not."""
    whose = "the agent has" if limit.per == "agent" else f"{limit.org_path} has"
    if limit.simultaneous is not None and dialled.live >= limit.simultaneous:
        return f"{whose} {limit.simultaneous} outbound calls that are not over, the most that are allowed at a time"
    if limit.calls is not None and dialled.begun >= limit.calls:
        return f"{whose} begun {limit.calls} outbound calls within {limit.interval_s} s, the most that are allowed"
    return None
