"""When a place is open, by its own clock, whatever is done to the clock."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routing.domain import calendars

OFFICE = {day: ["09:00-12:00", "13:30-18:00"] for day in calendars.WEEKDAYS[:5]}


def _calendar(zone="Asia/Shanghai", weekly=None, holidays=(), workdays=None):
    document = {
        "time_zone": zone,
        "weekly": OFFICE if weekly is None else weekly,
        "holidays": holidays,
        "workdays": workdays or {},
    }
    assert calendars.first_fault(document) is None
    return calendars.read(document)


def _at(text):
    return datetime.fromisoformat(text)


def test_a_national_day_in_china():
    """1 to 7 October 2026 are off, Saturday 10 October is worked as a Thursday."""
    shanghai = _calendar(holidays=[f"2026-10-0{n}" for n in range(1, 8)], workdays={"2026-10-10": "thursday"})
    assert shanghai.is_open(_at("2026-09-30T17:59:59+08:00"))
    assert not shanghai.is_open(_at("2026-09-30T18:00:00+08:00"))
    assert not shanghai.is_open(_at("2026-10-01T10:00:00+08:00"))
    assert shanghai.next_change(_at("2026-09-30T18:00:00+08:00")) == _at("2026-10-08T09:00:00+08:00")
    assert shanghai.is_open(_at("2026-10-10T10:00:00+08:00")) and not shanghai.is_open(_at("2026-10-11T10:00:00+08:00"))
    assert not shanghai.is_open(_at("2026-10-10T12:30:00+08:00"))


def test_hours_that_meet_at_midnight_do_not_close_there():
    always = _calendar(weekly={day: ["00:00-24:00"] for day in calendars.WEEKDAYS})
    assert always.is_open(_at("2026-11-25T23:59:59+08:00")) and always.next_change(datetime.now(UTC)) is None
    night = _calendar(weekly={"friday": ["22:00-24:00"], "saturday": ["00:00-06:00"]})
    assert night.next_change(_at("2026-11-27T22:00:00+08:00")) == _at("2026-11-28T06:00:00+08:00")


def test_clocks_that_are_put_forward_and_back():
    berlin = _calendar("Europe/Berlin", {"sunday": ["02:15-02:45", "05:00-06:00"]})
    spring, autumn = _at("2026-03-29T00:00:00+01:00"), _at("2026-10-25T00:00:00+02:00")
    assert berlin.next_change(spring) == _at("2026-03-29T05:00:00+02:00"), "02:15 does not exist"
    changes = []
    while len(changes) < 4:
        changes.append(berlin.next_change(changes[-1] if changes else autumn))
    assert changes == [_at(f"2026-10-25T02:{m}:00+0{o}:00") for o in (2, 1) for m in (15, 45)], (
        "02:15 to 02:45 comes twice"
    )


_MINUTES = st.integers(0, calendars.DAY_MIN // 15).map(lambda quarter: quarter * 15)


@st.composite
def _weeks(draw):
    weekly = {}
    for weekday in calendars.WEEKDAYS:
        marks = sorted(draw(st.sets(_MINUTES, max_size=4)))
        weekly[weekday] = [
            f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in zip(marks[::2], marks[1::2], strict=False)
        ]
    return weekly


@given(
    zone=st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Shanghai", "Pacific/Apia"]),
    weekly=_weeks(),
    holidays=st.sets(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=5),
    begin=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 20), timezones=st.just(UTC)),
)
def test_the_next_change_is_where_a_look_at_each_quarter_of_an_hour_finds_it(zone, weekly, holidays, begin):
    calendar = _calendar(zone, weekly, [day.isoformat() for day in holidays])
    begin = begin.replace(minute=begin.minute - begin.minute % 15, second=0, microsecond=0)
    now, found, at = calendar.is_open(begin), calendar.next_change(begin), begin
    while (at := at + timedelta(minutes=15)) < begin + timedelta(days=9):
        if calendar.is_open(at) is not now:
            break
    else:
        assert found is None or found >= at
        return
    assert found == at


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"weekly": {"monday": ["09:00-12:00", "11:00-13:00"]}}, "weekly.monday.1", "overlaps 09:00-12:00"),
        ({"weekly": {"friday": ["22:00-06:00"]}}, "weekly.friday.0", "ends before it begins"),
        ({"holidays": ["2026-10-10"], "workdays": {"2026-10-10": "monday"}}, "workdays.2026-10-10", "holiday too"),
    ],
)
def test_what_is_wrong_is_said(change, field, reason):
    document = {"time_zone": "UTC", "weekly": {}, "holidays": [], "workdays": {}, **change}
    found = calendars.first_fault(document)
    assert found is not None and found[0] == field and reason in found[1]
