"""The envelope: CloudEvents with our extensions, and ids that sort by time."""

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from uuid import RFC_4122, UUID

import pytest
from cordboard_contracts import Envelope, new_id, parse, telephony
from pydantic import ValidationError

CALL_ID = UUID("01993b5c-8a10-7c3e-9f52-6f1f4c6f0a01")
HANG_UP = telephony.HangUpCall(call_id=CALL_ID)


def test_ids_are_version_7_uuids_of_the_present_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()
    after = time.time_ns() // 1_000_000
    assert made.version == 7
    assert made.variant == RFC_4122
    assert before <= made.int >> 80 <= after


def test_ids_are_unique_and_sort_by_the_millisecond_of_their_making() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    milliseconds = [made.int >> 80 for made in ids]
    assert milliseconds == sorted(milliseconds)


def test_a_message_tells_its_case_and_its_cause() -> None:
    first = Envelope.of(HANG_UP, source="/accounts", subject=CALL_ID, sequence=3, orgpath="/cn/east")
    then = Envelope.of(HANG_UP, source="/routing", subject="x", sequence=1, orgpath="/", cause=first, partitionkey="k")
    assert (first.type, first.subject, first.partitionkey) == (HANG_UP.type, str(CALL_ID), str(CALL_ID))
    assert first.correlationid == CALL_ID
    assert first.causationid is None
    assert then.correlationid == CALL_ID
    assert then.causationid == first.id
    assert then.partitionkey == "k"
    named = Envelope.of(HANG_UP, source="/routing", subject="a1001", sequence=1, orgpath="/")
    assert named.correlationid == named.id
    case = new_id()
    other = Envelope.of(HANG_UP, source="/routing", subject="x", sequence=1, orgpath="/", cause=first, correlation=case)
    assert (other.correlationid, other.causationid) == (case, first.id)
    assert first.time.utcoffset() == timedelta(0)


def test_the_body_is_a_structured_cloud_event() -> None:
    moment = datetime(2026, 11, 25, 9, 30, tzinfo=timezone(timedelta(hours=8)))
    sent = Envelope.of(HANG_UP, source="/accounts", subject=CALL_ID, sequence=1, orgpath="/", time=moment)
    body = json.loads(sent.to_json())
    assert body["specversion"] == "1.0"
    assert body["datacontenttype"] == "application/json"
    assert body["time"] == "2026-11-25T09:30:00+08:00"
    assert body["data"] == {"call_id": str(CALL_ID)}
    # CloudEvents allows lower-case letters and digits in attribute names.
    assert all(name.isascii() and name.isalnum() and name.islower() for name in body)
    assert parse(sent.type, sent.to_json()) == sent


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("sequence", 0),
        ("orgpath", "cn/east"),
        ("orgpath", "/cn/"),
        ("orgpath", "/CN"),
        ("source", "accounts"),
        ("subject", ""),
        ("time", datetime(2026, 11, 25, 9, 30)),
        ("workspace", "Main Street"),
    ],
)
def test_an_attribute_that_makes_no_sense_is_refused(attribute: str, value: object) -> None:
    good = {"source": "/accounts", "subject": "x", "sequence": 1, "orgpath": "/", "time": datetime.now(UTC)}
    with pytest.raises(ValidationError):
        Envelope.of(HANG_UP, **{**good, attribute: value})


def test_nobody_changes_a_message() -> None:
    sent = Envelope.of(HANG_UP, source="/accounts", subject=CALL_ID, sequence=1, orgpath="/")
    with pytest.raises(ValidationError):
        sent.sequence = 2
