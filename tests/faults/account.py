"""The account: what must be true of calls, leads and service requests when everything has settled.

Two sides are compared. What really happened is told by those who are no part of the system: the PBX's ledger (who
called, who answered, who spoke with whom), the clients whose requests were answered with success, and the partner who
verified webhooks. What the system makes of it is read from its databases, not from its APIs.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations
from operator import itemgetter
from typing import Any

Row = Mapping[str, Any]

CALL_EVENTS = ("telephony.call.cleared.v1", "accounts.interaction.recorded.v1")
ACCEPTED = "routing.assignment.accepted.v1"
CAPTURED = "leads.lead.captured.v1"
CONVERTED = "leads.lead.converted.v1"
RESOLVED = "accounts.service-request.resolved.v1"

UNTOLD_US = 1_000_000


class Verdict(StrEnum):
    """What is wrong."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    UNEXPECTED = "unexpected"
    """It is there once, but not as it really happened; or something is left over."""


@dataclass(frozen=True, order=True)
class Finding:
    """Something that must not be."""

    verdict: Verdict
    what: str

    def __str__(self) -> str:
        return f"{self.verdict}: {self.what}"


@dataclass(frozen=True)
class Submitted:
    """Something that a client asked for until it was told yes. ``tries``: how often."""

    id: str
    phone: str = ""
    tries: int = 1


@dataclass
class Books:
    """Both sides. Rows are as they stand in the tables; ids are texts."""

    # What really happened.
    placed: int = 0
    """How many calls the world was told to make."""
    ledger: Sequence[Row] = ()
    """The PBX's records of these calls (`CallRecord`)."""
    offences: Sequence[Row] = ()
    """What the gateway did to these calls that it must not do (`Offence`)."""
    strangers: Mapping[str, str] = field(default_factory=dict)
    """Calls of people whom nobody knows: PBX's call -> number (E.164)."""
    agent_at: Mapping[str, str] = field(default_factory=dict)
    """Device -> agent."""
    leads: Sequence[Submitted] = ()
    requests: Sequence[Submitted] = ()
    webhooks: Iterable[Row] = ()
    """What the partner verified, each ``webhook-id`` once."""

    # What the system has.
    calls: Sequence[Row] = ()
    interactions: Sequence[Row] = ()
    work_items: Sequence[Row] = ()
    assignments: Sequence[Row] = ()
    lead_rows: Sequence[Row] = ()
    customers: Sequence[Row] = ()
    """Those who were made from something: ``source_ref``, ``customer_id``."""
    request_rows: Sequence[Row] = ()
    left_over: Mapping[str, int] = field(default_factory=dict)
    """What there should be none of when nothing is under way: name -> how many."""


def findings(books: Books) -> list[Finding]:
    """Everything that is not as it must be; empty when the account balances."""
    heard = _heard(books.webhooks)
    items = _by(books.work_items, itemgetter("kind", "subject_id"))
    return sorted(
        {
            *_calls(books, items, heard),
            *_assignments(books, heard),
            *_strangers(books, heard),
            *_leads(books, items, heard),
            *_requests(books, items, heard),
            *(Finding(Verdict.UNEXPECTED, f"{number} of {name}") for name, number in books.left_over.items() if number),
        }
    )


def _calls(books: Books, items: Mapping[Any, list[Row]], heard: Mapping[tuple[str, str], int]) -> Iterator[Finding]:
    """Each call is known once, ends as it ended, has one work item, one interaction, and one webhook of each kind."""
    if len(books.ledger) != books.placed:
        yield Finding(Verdict.UNEXPECTED, f"the PBX ended {len(books.ledger)} of {books.placed} calls")
    calls, interactions = _by(books.calls, itemgetter("pbx_call_id")), _by(books.interactions, itemgetter("id"))
    for record in books.ledger:
        answered = record["answered_us"] is not None
        name = f"call {record['call']} ({'answered' if answered else record['outcome']})"
        if not calls[record["call"]] and _died_untold(record):
            continue
        call = yield from _one(calls[record["call"]], name)
        if call is None:
            continue
        name = f"{name} = {call['id']}"
        yield from _same(name, "state", "cleared", call["state"])
        item = yield from _one(items["call", call["id"]], f"work item of {name}")
        if item is not None:
            yield from _same(name, "work item", "completed" if answered else "cancelled", item["state"])
        interaction = yield from _one(interactions[call["id"]], f"interaction of {name}")
        if interaction is not None:
            yield from _same(name, "interaction", "answered" if answered else "abandoned", interaction["outcome"])
            yield from _same(name, "interaction is over", True, interaction["ended_at"] is not None)
            spoke = {books.agent_at[device] for device in record["devices"]}
            # Who picked up in the very moment in which the call was given to somebody else had it for no time.
            crossed = spoke.intersection(call["given_up"]).difference(interaction["agent_ids"])
            yield from _same(name, "interaction's agents", sorted(spoke - crossed), sorted(interaction["agent_ids"]))
        for event_type in CALL_EVENTS:
            yield from _told_once(heard, event_type, call["id"], name)
    for offence in books.offences:
        yield Finding(Verdict.DUPLICATED, f"{offence['kind']} of call {offence['call']}, leg {offence['leg']}")


def _died_untold(record: Row) -> bool:
    """Whether a call died with the PBX within moments: what was written to the line then may never have arrived."""
    return bool(record["outcome"] == "died" and record["ended_us"] - record["offered_us"] < UNTOLD_US)


def _assignments(books: Books, heard: Mapping[tuple[str, str], int]) -> Iterator[Finding]:
    """Nobody has a work item that another has, no agent has two calls, and each acceptance was told once."""
    kinds = {row["id"]: row["kind"] for row in books.work_items}
    accepted = [row for row in books.assignments if row["accepted_at"] is not None]
    for row in accepted:
        yield from _told_once(heard, ACCEPTED, row["id"], f"assignment {row['id']}")
    calls = [row for row in accepted if kinds.get(row["work_item_id"]) == "call"]
    for same, rows in (("work_item_id", accepted), ("agent_id", calls)):
        for those in _by(rows, itemgetter(same)).values():
            for one, other in combinations(sorted(those, key=lambda row: row["accepted_at"]), 2):
                if one["ended_at"] is None or one["ended_at"] > other["accepted_at"]:
                    yield Finding(Verdict.DUPLICATED, f"assignments {one['id']} and {other['id']} at once ({same})")


def _strangers(books: Books, heard: Mapping[tuple[str, str], int]) -> Iterator[Finding]:
    """Whoever called, was answered and is not known becomes one lead."""
    answered = {record["call"] for record in books.ledger if record["answered_us"] is not None}
    leads = _by(books.lead_rows, itemgetter("phone"))
    for call, number in books.strangers.items():
        if call in answered:
            lead = yield from _one(leads[number], f"lead of stranger {number} (call {call})")
            if lead is not None:
                yield from _told_once(heard, CAPTURED, lead["id"], f"lead of stranger {number}")


def _leads(books: Books, items: Mapping[Any, list[Row]], heard: Mapping[tuple[str, str], int]) -> Iterator[Finding]:
    """Each lead that a client was told is taken is there once, was worked on once, and made at most one customer."""
    by_phone, customers = _by(books.lead_rows, itemgetter("phone")), _by(books.customers, itemgetter("source_ref"))
    for submitted in books.leads:
        name = f"lead {submitted.id} ({submitted.phone})"
        lead = yield from _one(by_phone[submitted.phone], name)
        if lead is None:
            continue
        yield from _same(name, "id", submitted.id, lead["id"])
        item = yield from _one(items["lead", lead["id"]], f"work item of {name}")
        if item is not None:
            yield from _same(name, "work item", "completed", item["state"])
        made = customers[f"lead:{lead['id']}"]
        if lead["status"] == "converted":
            customer = yield from _one(made, f"customer of {name}")
            if customer is not None:
                yield from _same(name, "customer", customer["id"], lead["customer_id"])
            yield from _told_once(heard, CONVERTED, lead["id"], name)
        else:
            yield from _same(name, "status", "rejected", lead["status"])
            yield from _same(name, "number of customers", 0, len(made))


def _requests(books: Books, items: Mapping[Any, list[Row]], heard: Mapping[tuple[str, str], int]) -> Iterator[Finding]:
    """Each service request that a client was told is taken is there once and was resolved once."""
    rows = _by(books.request_rows, itemgetter("id"))
    for submitted in books.requests:
        name = f"service request {submitted.id}"
        request = yield from _one(rows[submitted.id], name)
        if request is None:
            continue
        yield from _same(name, "status", "resolved", request["status"])
        item = yield from _one(items["service_request", request["id"]], f"work item of {name}")
        if item is not None:
            yield from _same(name, "work item", "completed", item["state"])
        yield from _told_once(heard, RESOLVED, request["id"], name)
    told_yes = {submitted.id for submitted in books.requests}
    for request_id in rows.keys() - told_yes:
        yield Finding(Verdict.DUPLICATED, f"service request {request_id}: no client knows it")


def _heard(webhooks: Iterable[Row]) -> Mapping[tuple[str, str], int]:
    """How many different events of a type about a subject the partner got. Of assignments, by assignment."""
    heard: Counter[tuple[str, str]] = Counter()
    for event in webhooks:
        subject = event["data"]["assignment"]["assignment_id"] if event["type"] == ACCEPTED else event["subject"]
        heard[event["type"], subject] += 1
    return heard


def _told_once(heard: Mapping[tuple[str, str], int], event_type: str, subject: str, name: str) -> Iterator[Finding]:
    number = heard.get((event_type, subject), 0)
    if number != 1:
        verdict = Verdict.LOST if number == 0 else Verdict.DUPLICATED
        yield Finding(verdict, f"webhook {event_type} of {name}: {number} times")


def _one(rows: Collection[Row], name: str) -> Generator[Finding, None, Row | None]:
    """The only row; None, with a finding, when there is none."""
    if not rows:
        yield Finding(Verdict.LOST, name)
        return None
    if len(rows) > 1:
        yield Finding(Verdict.DUPLICATED, f"{name}: {len(rows)} times")
    return next(iter(rows))


def _same(name: str, what: str, really: object, written: object) -> Iterator[Finding]:
    if really != written:
        yield Finding(Verdict.UNEXPECTED, f"{name}: {what} should be {really!r}, is {written!r}")


def _by(rows: Iterable[Row], key: Callable[[Row], Any]) -> Mapping[Any, list[Row]]:
    grouped: defaultdict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[key(row)].append(row)
    return grouped
