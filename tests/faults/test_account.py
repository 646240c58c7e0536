"""The account itself: it balances when everything is right, and each thing that can be wrong is found and named."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.account import (
    ACCEPTED,
    CALL_EVENTS,
    CAPTURED,
    CONVERTED,
    RESOLVED,
    Books,
    Submitted,
    Verdict,
    findings,
)


def told(event_type: str, subject: str, **data: Any) -> dict[str, Any]:
    """A webhook that the partner verified."""
    return {"type": event_type, "subject": subject, "data": data}


def assigned(name: str, item: str, agent: str, accepted_at: int, ended_at: int | None) -> dict[str, Any]:
    """An assignment that was accepted; any times that can be compared will do."""
    return {"id": name, "work_item_id": item, "agent_id": agent, "accepted_at": accepted_at, "ended_at": ended_at}


def with_rows(books: Books, table: str, rows: list[Any]) -> Books:
    """The books with other rows in a table."""
    changes: dict[str, Any] = {table: rows}
    return replace(books, **changes)


def balanced() -> Books:
    """A stranger who was answered, a customer who gave up, two leads and a service request."""
    return Books(
        placed=2,
        ledger=[
            {"call": "p1", "answered_us": 1, "outcome": "answered", "devices": ["1001", "1002", "1001"]},
            {"call": "p2", "answered_us": None, "outcome": "abandoned", "devices": []},
        ],
        strangers={"p1": "+8613910000001", "p2": "+8613910000002"},
        agent_at={"1001": "a1", "1002": "a2"},
        leads=[Submitted("lead-1", "+8613700000001"), Submitted("lead-2", "+8613700000002")],
        requests=[Submitted("request-1")],
        webhooks=[
            *(told(event_type, call) for event_type in CALL_EVENTS for call in ("call-1", "call-2")),
            *(told(ACCEPTED, "any", assignment={"assignment_id": f"assignment-{n}"}) for n in (1, 2)),
            told(CAPTURED, "lead-3"),
            told(CONVERTED, "lead-1"),
            told(RESOLVED, "request-1"),
        ],
        calls=[
            {"id": "call-1", "pbx_call_id": "p1", "state": "cleared", "given_up": []},
            {"id": "call-2", "pbx_call_id": "p2", "state": "cleared", "given_up": []},
        ],
        interactions=[
            {"id": "call-1", "outcome": "answered", "ended_at": 9, "agent_ids": ["a2", "a1"]},
            {"id": "call-2", "outcome": "abandoned", "ended_at": 9, "agent_ids": []},
        ],
        work_items=[
            {"id": "item-1", "kind": "call", "subject_id": "call-1", "state": "completed"},
            {"id": "item-2", "kind": "call", "subject_id": "call-2", "state": "cancelled"},
            {"id": "item-3", "kind": "lead", "subject_id": "lead-1", "state": "completed"},
            {"id": "item-4", "kind": "lead", "subject_id": "lead-2", "state": "completed"},
            {"id": "item-5", "kind": "service_request", "subject_id": "request-1", "state": "completed"},
        ],
        assignments=[assigned("assignment-1", "item-1", "a1", 1, 5), assigned("assignment-2", "item-1", "a2", 5, 9)],
        lead_rows=[
            {"id": "lead-1", "phone": "+8613700000001", "status": "converted", "customer_id": "customer-1"},
            {"id": "lead-2", "phone": "+8613700000002", "status": "rejected", "customer_id": None},
            {"id": "lead-3", "phone": "+8613910000001", "status": "accepted", "customer_id": None},
        ],
        customers=[{"id": "customer-1", "source_ref": "lead:lead-1"}],
        request_rows=[{"id": "request-1", "status": "resolved"}],
        left_over={"routing's outbox": 0},
    )


def test_everything_is_right() -> None:
    assert findings(balanced()) == []


def test_who_picked_up_when_the_call_was_just_given_to_another_did_not_have_it() -> None:
    taken_away = _changed("calls", 0, given_up=["a1"])(balanced())
    assert findings(taken_away) == []
    assert findings(_changed("interactions", 0, agent_ids=["a2"])(taken_away)) == []
    assert findings(_changed("interactions", 0, agent_ids=["a1"])(taken_away)) != []


def test_a_call_that_died_with_the_pbx_before_it_was_told_to_anybody_cannot_be_known() -> None:
    died: dict[str, Any] = {
        "call": "p3",
        "answered_us": None,
        "outcome": "died",
        "devices": [],
        "offered_us": 5,
        "ended_us": 9,
    }
    books = balanced()
    assert findings(replace(books, placed=3, ledger=[*books.ledger, died])) == []
    late = {**died, "ended_us": 2_000_000}
    [found] = findings(replace(books, placed=3, ledger=[*books.ledger, late]))
    assert found.verdict is Verdict.LOST


TABLES = ("calls", "interactions", "lead_rows", "customers", "request_rows", "webhooks", "work_items")


@pytest.mark.parametrize("table", TABLES)
def test_each_row_that_is_missing_is_found(table: str) -> None:
    rows = list(getattr(balanced(), table))
    for row in rows:
        found = findings(with_rows(balanced(), table, [other for other in rows if other is not row]))
        assert Verdict.LOST in {finding.verdict for finding in found}, row


@pytest.mark.parametrize("table", TABLES)
def test_each_row_that_is_there_twice_is_found(table: str) -> None:
    rows = list(getattr(balanced(), table))
    for row in rows:
        found = findings(with_rows(balanced(), table, [*rows, row]))
        assert {finding.verdict for finding in found} == {Verdict.DUPLICATED}, row


def _changed(table: str, index: int, **changes: Any) -> Callable[[Books], Books]:
    def change(books: Books) -> Books:
        rows = list(getattr(books, table))
        rows[index] = {**rows[index], **changes}
        return with_rows(books, table, rows)

    return change


@pytest.mark.parametrize(
    ("change", "verdict", "said"),
    [
        (lambda books: replace(books, placed=3), Verdict.UNEXPECTED, "the PBX ended 2 of 3 calls"),
        (_changed("calls", 0, state="established"), Verdict.UNEXPECTED, "state should be 'cleared'"),
        (_changed("interactions", 0, outcome="abandoned"), Verdict.UNEXPECTED, "interaction should be 'answered'"),
        (_changed("interactions", 0, ended_at=None), Verdict.UNEXPECTED, "interaction is over"),
        (_changed("interactions", 0, agent_ids=["a1"]), Verdict.UNEXPECTED, "interaction's agents"),
        (_changed("work_items", 0, state="cancelled"), Verdict.UNEXPECTED, "work item should be 'completed'"),
        (_changed("work_items", 2, state="offered"), Verdict.UNEXPECTED, "work item should be 'completed'"),
        (_changed("assignments", 0, ended_at=6), Verdict.DUPLICATED, "at once (work_item_id)"),
        (_changed("assignments", 0, ended_at=None), Verdict.DUPLICATED, "at once (work_item_id)"),
        (_changed("assignments", 1, agent_id="a1", accepted_at=2), Verdict.DUPLICATED, "at once (agent_id)"),
        (_changed("lead_rows", 0, status="accepted"), Verdict.UNEXPECTED, "status should be 'rejected'"),
        (_changed("lead_rows", 0, customer_id="customer-2"), Verdict.UNEXPECTED, "customer should be"),
        (_changed("lead_rows", 0, id="lead-9"), Verdict.UNEXPECTED, "id should be"),
        (_changed("request_rows", 0, status="open"), Verdict.UNEXPECTED, "status should be 'resolved'"),
        (
            lambda books: replace(books, customers=[*books.customers, {"id": "c", "source_ref": "lead:lead-2"}]),
            Verdict.UNEXPECTED,
            "number of customers",
        ),
        (
            lambda books: replace(books, offences=[{"kind": "double_answer", "call": "p1", "leg": "7"}]),
            Verdict.DUPLICATED,
            "double_answer of call p1",
        ),
        (lambda books: replace(books, requests=[]), Verdict.DUPLICATED, "no client knows it"),
        (lambda books: replace(books, left_over={"outbox": 2}), Verdict.UNEXPECTED, "2 of outbox"),
    ],
)
def test_what_is_not_as_it_was_is_found(change: Callable[[Books], Books], verdict: Verdict, said: str) -> None:
    found = findings(change(balanced()))
    assert [finding for finding in found if finding.verdict is verdict and said in finding.what], found
