"""What becomes of a webhook after each attempt."""

from dataclasses import dataclass
from enum import StrEnum

SCHEDULE_S = (0.0, 5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
"""How long each attempt waits after the one before it; as recommended by Standard Webhooks."""
JITTER = 0.2
"""Up to so much of the wait is added, so that what failed together does not come back together."""
MAX_RETRY_AFTER_S = 43_200.0
"""A receiver may ask for patience, but not for ever."""

_BUSY = frozenset({429, 502, 503, 504})
_GONE = 410


class DeliveryState(StrEnum):
    """Where a webhook is."""

    PENDING = "pending"
    """It will be tried, or is being tried."""
    DELIVERED = "delivered"
    FAILED = "failed"
    """Given up."""


class Verdict(StrEnum):
    """What an attempt means."""

    DELIVERED = "delivered"
    RETRY = "retry"
    EXHAUSTED = "exhausted"
    """It was the last attempt."""
    GONE = "gone"
    """The receiver wants nothing any more."""


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt. Either there is a ``status``, or an ``error`` says why not."""

    status: int | None
    error: str | None = None
    retry_after_s: float | None = None
    """How long the receiver asked us to wait."""
    excerpt: str = ""
    """The beginning of the answer's body."""
    duration_ms: int = 0
    interrupted: bool = False
    """We stopped waiting for the answer because the process ends."""

    @property
    def succeeded(self) -> bool:
        """Only 2xx is success; a redirect is not followed and is none."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def pause_s(self) -> float | None:
        """For how long the whole receiver wants to be left alone."""
        if self.status not in _BUSY or self.retry_after_s is None:
            return None
        return min(max(self.retry_after_s, 0.0), MAX_RETRY_AFTER_S)


@dataclass(frozen=True)
class Decision:
    """What to do after an attempt; ``delay_s`` says when to try again."""

    verdict: Verdict
    delay_s: float | None = None

    @property
    def state(self) -> DeliveryState:
        """The state that the webhook gets."""
        if self.verdict is Verdict.DELIVERED:
            return DeliveryState.DELIVERED
        return DeliveryState.PENDING if self.verdict is Verdict.RETRY else DeliveryState.FAILED


def decide(outcome: Outcome, attempts: int, *, chance: float, scale: float = 1.0) -> Decision:
    """Judge the ``attempts``-th attempt (from 1). ``chance`` in [0, 1) places the next one within the jitter.

    ``scale`` shortens the schedule for tests.
    """
    if outcome.interrupted:
        return Decision(Verdict.RETRY, 0.0)
    if outcome.succeeded:
        return Decision(Verdict.DELIVERED)
    if outcome.status == _GONE:
        return Decision(Verdict.GONE)
    if attempts >= len(SCHEDULE_S):
        return Decision(Verdict.EXHAUSTED)
    delay_s = SCHEDULE_S[attempts] * scale * (1 + JITTER * chance)
    return Decision(Verdict.RETRY, max(delay_s, outcome.pause_s or 0.0))
