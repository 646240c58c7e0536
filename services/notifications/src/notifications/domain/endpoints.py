"""What an endpoint may be."""

from collections.abc import Iterable
from uuid import UUID

from notifications.domain.addresses import BadUrl, check_url
from notifications.domain.patterns import BadPattern, check, matches

MAX_PATTERNS = 50
MAX_SECRETS = 4
"""Secrets that sign at once; each makes the signature header longer."""
PING_TYPE = "notifications.endpoint.pinged.v1"
"""Type of the message that tests an endpoint; it never travels on the bus."""


class Unacceptable(ValueError):
    """A field of an endpoint is wrong; ``field`` says which one."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason


def secret_context(endpoint_id: UUID) -> str:
    """What an endpoint's secret is sealed for: in another endpoint's row it does not open."""
    return f"signing secret of {endpoint_id}"


def check_endpoint(url: str, patterns: list[str], known_types: Iterable[str], *, allow_private: bool) -> None:
    """Accept an endpoint's URL and patterns.

    Raises:
        Unacceptable: the URL leads nowhere good, or a pattern means no type that exists.
    """
    try:
        check_url(url, allow_private=allow_private)
    except BadUrl as error:
        raise Unacceptable("url", str(error)) from error
    types = tuple(known_types)
    for index, pattern in enumerate(patterns):
        field = f"event_types.{index}"
        try:
            check(pattern)
        except BadPattern as error:
            raise Unacceptable(field, str(error)) from error
        if not any(matches(pattern, event_type) for event_type in types):
            raise Unacceptable(field, "means no event type that exists")
        if pattern in patterns[:index]:
            raise Unacceptable(field, "is there twice")
