"""Patterns of event types: ``telephony.call.answered.v1``, ``telephony.call.*``, ``*.call.cleared.v1``, ``*``.

``*`` stands for one segment; as the last segment it stands for all that follow.
"""

import re
from collections.abc import Iterable

SEGMENTS = 4
MAX_LENGTH = 200
_SEGMENT = re.compile(r"(\*|[a-z][a-z0-9]*(-[a-z0-9]+)*)")


class BadPattern(ValueError):
    """This can match no event type; says why."""


def check(pattern: str) -> None:
    """Accept a pattern.

    Raises:
        BadPattern: it is malformed.
    """
    if len(pattern) > MAX_LENGTH:
        raise BadPattern(f"is longer than {MAX_LENGTH} characters")
    segments = pattern.split(".")
    if not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise BadPattern("must be an event type, or one with * for whole segments: telephony.call.*")
    if len(segments) > SEGMENTS:
        raise BadPattern(f"has more than the {SEGMENTS} segments of an event type")
    if len(segments) < SEGMENTS and segments[-1] != "*":
        raise BadPattern(f"has fewer than {SEGMENTS} segments; end it with .* to mean all that follow")


def matches(pattern: str, event_type: str) -> bool:
    """Whether an event of this type is meant."""
    wanted, given = pattern.split("."), event_type.split(".")
    if wanted[-1] == "*":
        wanted.pop()
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(
        segment in ("*", word) for segment, word in zip(wanted, given, strict=True)
    )


def matches_any(patterns: Iterable[str], event_type: str) -> bool:
    """Whether one of the patterns means this type."""
    return any(matches(pattern, event_type) for pattern in patterns)
