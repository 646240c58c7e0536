"""Times as the engine counts them: integer milliseconds since the epoch."""

from datetime import UTC, datetime


def milliseconds(time: datetime) -> int:
    """The time as a number."""
    return round(time.timestamp() * 1000)


def moment(ms: int) -> datetime:
    """Back from `milliseconds`."""
    return datetime.fromtimestamp(ms / 1000, UTC)
