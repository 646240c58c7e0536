"""Times of the day, weekdays and time zones, as calendars and rules have them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, StringConstraints

from routing.domain import calendars

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Hours = Annotated[
    str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")
]
"""``09:00-17:30``, from the first minute to before the second."""


def _near(at: datetime) -> datetime:
    if not 1970 < at.year < 2100:
        raise ValueError("is not of our time: 1971 to 2099")
    return at


Moment = Annotated[AwareDatetime, AfterValidator(_near)]
"""A moment that every time zone has a clock time for."""


def _known(name: str) -> str:
    if not calendars.is_time_zone(name):
        raise ValueError("there is no such time zone")
    return name


TimeZone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known)]
"""A name of the IANA time zone database: ``Asia/Shanghai``."""
