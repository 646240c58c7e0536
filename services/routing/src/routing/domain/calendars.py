"""Calendars: when a place is open, by its own clock.

Hours are wall-clock times of the calendar's time zone (IANA time zone database). On a day on which clocks are put
forward, times that do not exist are never open; on a day on which they are put back, times that come twice are open
twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_MIN = 24 * 60
HORIZON_DAYS = 370
"""So far `Calendar.next_change` looks ahead: a year, and a week for what lies at its end."""

Period = tuple[int, int]
"""From the first minute of the day to before the second; 1440 is midnight at its end."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Business hours of a week, and the days that are different."""

    time_zone: ZoneInfo
    weekly: tuple[tuple[Period, ...], ...]
    """From Monday to Sunday, each in order."""
    holidays: frozenset[date] = frozenset()
    """Days that are closed."""
    workdays: Mapping[date, int] = field(default_factory=dict)
    """Days that have the hours of another weekday (Monday is 0): make-up workdays, as in China a Saturday before a
    long holiday."""

    @property
    def opens_ever(self) -> bool:
        """Whether any weekday has hours."""
        return any(self.weekly)

    def is_open(self, at: datetime) -> bool:
        """Whether it is open at this moment (with a time zone)."""
        local = at.astimezone(self.time_zone)
        return holds(self._periods(local.date()), local.hour * 60 + local.minute)

    def next_change(self, at: datetime) -> datetime | None:
        """When it opens or closes next after this moment, in UTC; None if it does not within `HORIZON_DAYS`."""
        now = self.is_open(at)
        day = at.astimezone(self.time_zone).date()
        for _ in range(HORIZON_DAYS):
            for moment in sorted(self._boundaries(day)):
                if moment > at and self.is_open(moment) is not now:
                    return moment
            day += timedelta(days=1)
        return None

    def _periods(self, day: date) -> tuple[Period, ...]:
        if day in self.holidays:
            return ()
        return self.weekly[self.workdays.get(day, day.weekday())]

    def _boundaries(self, day: date) -> Iterator[datetime]:
        """Every moment of a day at which it may open or close; a time that comes twice is two moments."""
        begin = _instant(day, 0, 0, self.time_zone)
        yield begin
        for minute in {minute for period in self._periods(day) for minute in period}:
            yield _instant(day, minute, 0, self.time_zone)
            yield _instant(day, minute, 1, self.time_zone)
        end = _instant(day, DAY_MIN, 0, self.time_zone)
        if self._offset(begin) != self._offset(end):
            yield self._clock_change(begin, end)

    def _clock_change(self, begin: datetime, end: datetime) -> datetime:
        """When clocks are changed between two moments, to the second."""
        before = self._offset(begin)
        while end - begin > timedelta(seconds=1):
            middle = begin + timedelta(seconds=int((end - begin).total_seconds()) // 2)
            if self._offset(middle) == before:
                begin = middle
            else:
                end = middle
        return end

    def _offset(self, at: datetime) -> timedelta | None:
        return at.astimezone(self.time_zone).utcoffset()


@dataclass(frozen=True, slots=True)
class Clock:
    """A moment, and the calendars by which it is asked whether something is open then."""

    at: datetime
    calendars: Mapping[str, Calendar] = field(default_factory=dict)

    def is_open(self, calendar_id: str) -> bool:
        """Whether it is; a calendar that nobody knows never is."""
        calendar = self.calendars.get(calendar_id)
        return calendar is not None and calendar.is_open(self.at)


@dataclass(frozen=True, slots=True)
class Local:
    """Weekdays and times of the day at a place; one that is empty always holds."""

    time_zone: ZoneInfo
    weekdays: frozenset[int] = frozenset()
    """Monday is 0; of the moment itself, also after midnight."""
    times: tuple[Period, ...] = ()

    def holds(self, at: datetime) -> bool:
        """Whether it is such a day and time there."""
        local = at.astimezone(self.time_zone)
        return (not self.weekdays or local.weekday() in self.weekdays) and (
            not self.times or holds(self.times, local.hour * 60 + local.minute)
        )

    def includes(self, other: "Local") -> bool:
        """Whether this holds whenever the other does; looks at one period after the other, so it may say no."""
        return (
            self.time_zone.key == other.time_zone.key
            and (not self.weekdays or (bool(other.weekdays) and other.weekdays <= self.weekdays))
            and (
                not self.times
                or (bool(other.times) and all(any(b <= x and y <= e for b, e in self.times) for x, y in other.times))
            )
        )


def holds(periods: Sequence[Period], minute: int) -> bool:
    """Whether a minute of the day lies in one of these periods."""
    return any(begin <= minute < end for begin, end in periods)


def _instant(day: date, minute: int, fold: int, zone: ZoneInfo) -> datetime:
    wall = datetime.combine(day, time()) + timedelta(minutes=minute)
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def is_time_zone(name: str) -> bool:
    """Whether the IANA database has it: ``Asia/Shanghai``."""
    return name in _zone_names()


def period(text: str) -> Period:
    """``09:00-17:30`` as minutes of the day. What stands there has been checked to be two times."""
    begin, _, end = text.partition("-")
    return _minute(begin), _minute(end)


def _minute(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def first_fault(document: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first thing that is wrong with a calendar's JSON form: (field, reason)."""
    for weekday, hours in document["weekly"].items():
        last = ""
        for index, text in enumerate(hours):
            begin, end = period(text)
            if begin >= end:
                return f"weekly.{weekday}.{index}", f"{text} ends before it begins; midnight at the end is 24:00"
            if last and begin < period(last)[1]:
                return f"weekly.{weekday}.{index}", f"{text} overlaps {last}, or comes before it"
            last = text
    both = sorted(set(document["holidays"]) & set(document["workdays"]))
    if both:
        return f"workdays.{both[0]}", "is a holiday too"
    return None


def over_midnight(text: str) -> tuple[Period, ...]:
    """As `period`, where ``22:00-06:00`` means until midnight and from midnight on."""
    begin, end = period(text)
    return ((begin, end),) if begin < end else ((begin, DAY_MIN), (0, end))


def read(document: Mapping[str, Any]) -> Calendar:
    """A calendar from its JSON form: ``{"time_zone", "weekly": {"monday": ["09:00-17:30"]}, "holidays": [date],
    "workdays": {date: weekday}}``."""
    weekly: Mapping[str, Sequence[str]] = document["weekly"]
    return Calendar(
        time_zone=ZoneInfo(document["time_zone"]),
        weekly=tuple(tuple(period(text) for text in weekly.get(weekday, ())) for weekday in WEEKDAYS),
        holidays=frozenset(date.fromisoformat(day) for day in document["holidays"]),
        workdays={date.fromisoformat(day): WEEKDAYS.index(weekday) for day, weekday in document["workdays"].items()},
    )
