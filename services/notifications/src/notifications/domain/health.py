"""How an endpoint is doing, and when to leave it alone: one that keeps failing must not take our time from others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from notifications.domain.deliveries import Outcome

OPEN_AFTER_FAILURES = 10
"""So many failures in a row, over all its webhooks, open the circuit: one probe at a time, at growing distances."""
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
GIVE_UP_AFTER_S = 3 * 86_400.0
"""An endpoint that did nothing but fail for so long is disabled."""


@dataclass(frozen=True)
class Health:
    """What is known of an endpoint."""

    consecutive_failures: int = 0
    pauses: int = 0
    """How often in a row the circuit was opened."""
    failing_since: datetime | None = None
    blocked_until: datetime | None = None
    """Nothing is sent before this time."""

    @property
    def open(self) -> bool:
        """Whether it gets no more than one probe at a time."""
        return self.consecutive_failures >= OPEN_AFTER_FAILURES

    def lost(self, now: datetime) -> bool:
        """Whether it is time to give up."""
        return (
            self.open
            and self.failing_since is not None
            and now - self.failing_since > timedelta(seconds=GIVE_UP_AFTER_S)
        )


def after(health: Health, outcomes: Sequence[Outcome], now: datetime, *, scale: float = 1.0) -> Health:
    """The health after these attempts, which ended in this order."""
    for outcome in outcomes:
        if outcome.interrupted:
            continue
        health = Health() if outcome.succeeded else _after_failure(health, outcome, now, scale)
    return health


def _after_failure(health: Health, outcome: Outcome, now: datetime, scale: float) -> Health:
    health = replace(
        health,
        consecutive_failures=health.consecutive_failures + 1,
        failing_since=health.failing_since or now,
    )
    # Attempts that were on their way when the circuit opened fail, too; they are no reason to wait longer.
    blocked = health.blocked_until is not None and health.blocked_until > now
    if health.open and not blocked:
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(health.pauses, 16)) * scale
        health = replace(health, pauses=health.pauses + 1, blocked_until=now + timedelta(seconds=pause_s))
    if outcome.pause_s is not None:
        until = now + timedelta(seconds=outcome.pause_s)
        health = replace(health, blocked_until=max(health.blocked_until or until, until))
    return health
