"""The state machine of a lead: any order of any inputs, each of them possibly twice, keeps its promises."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from leads.domain import leads as domain
from leads.domain.changes import between
from leads.domain.leads import OPEN, Actor, CustomerKind, Lead, Profile, Source, Status
from leads.domain.rules import NotYours, RuleBroken, Wrong

AGENTS = ("a1001", "a1002", "a1003")
CUSTOMER = UUID(int=77)


def a_lead(**changes: object) -> Lead:
    known = {
        "lead_id": UUID(int=1),
        "workspace": "main",
        "org_path": "/cn/east",
        "source": Source.WEB,
        "status": Status.SUBMITTED,
        "profile": Profile(name="王芳", phone="+8613800138000"),
        "submitted_by": "form",
        "created_at": datetime(2026, 11, 25, tzinfo=UTC),
    }
    return Lead(**{**known, **changes})  # type: ignore[arg-type]


class Leads(RuleBasedStateMachine):
    """Agents, supervisors and accounts act on one lead; the bus repeats and reorders what it carries."""

    @initialize(captured=st.booleans(), named=st.booleans())
    def begin(self, captured: bool, named: bool) -> None:
        profile = Profile(name="王芳" if named else "", phone="+8613800138000")
        state = {"status": Status.ACCEPTED, "owner_agent_id": AGENTS[0]} if captured else {}
        self.lead = a_lead(profile=profile, **state)
        self.accepts: list[tuple[str, int]] = []
        self.conversions: list[UUID] = []
        self.answered: dict[UUID, bool] = {}
        """Whether accounts made a customer, by command: it decides once and says the same again."""
        self.over: Status | None = None

    def apply(self, after: Lead) -> None:
        before, self.lead = self.lead, after
        if after is before:
            return
        assert after.version == before.version + 1
        assert (after.lead_id, after.org_path, after.created_at) == (before.lead_id, before.org_path, before.created_at)
        assert before.status in OPEN, "nothing happens to a lead that is over"
        old, new = between(before, after)
        assert old.keys() == new.keys()
        assert new, "a new version differs from the one before"
        if after.status not in OPEN:
            self.over = after.status

    def attempt(self, change: object) -> None:
        before = self.lead
        try:
            self.apply(change())  # type: ignore[operator]
        except RuleBroken:
            assert self.lead is before

    @rule(agent=st.sampled_from(AGENTS), item_version=st.integers(1, 9))
    def agent_accepts(self, agent: str, item_version: int) -> None:
        self.accepts.append((agent, item_version))
        self.apply(domain.accept(self.lead, agent, item_version))

    @rule(pick=st.integers(0, 99))
    def an_old_acceptance_comes_again(self, pick: int) -> None:
        if self.accepts:
            before = self.lead
            agent, item_version = self.accepts[pick % len(self.accepts)]
            self.apply(domain.accept(self.lead, agent, item_version))
            if item_version < before.item_version:
                assert self.lead is before

    @rule(name=st.sampled_from(["", "李雷", "王芳"]), email=st.sampled_from([None, "li@example.cn"]))
    def edit(self, name: str, email: str | None) -> None:
        self.attempt(lambda: domain.edit(self.lead, replace(self.lead.profile, name=name, email=email)))

    @rule(reason=st.sampled_from(["not interested", "wrong number"]))
    def reject(self, reason: str) -> None:
        self.attempt(lambda: domain.reject(self.lead, reason))

    @rule()
    def withdraw(self) -> None:
        had_owner = self.lead.status is Status.ACCEPTED
        self.attempt(lambda: domain.withdraw(self.lead))
        assert not (had_owner and self.lead.status is Status.REJECTED)

    @rule(kind=st.sampled_from([None, *CustomerKind]))
    def convert(self, kind: CustomerKind | None) -> None:
        def asked() -> Lead:
            if not domain.needs_conversion(self.lead):
                return self.lead
            assert domain.registration(self.lead, kind).name
            command = UUID(int=1000 + len(self.conversions))
            after = domain.converting(self.lead, command)
            self.conversions.append(command)
            return after

        self.attempt(asked)

    @rule(pick=st.integers(0, 99), agrees=st.booleans())
    def accounts_answers(self, pick: int, agrees: bool) -> None:
        """Any of the commands so far, in any order, again and again."""
        if not self.conversions:
            return
        command = self.conversions[pick % len(self.conversions)]
        # Once there is a customer of this source, every command finds it.
        agreed = self.answered.setdefault(command, agrees or True in self.answered.values())
        if agreed:
            self.apply(domain.registered(self.lead, CUSTOMER))
        else:
            self.apply(domain.refused(self.lead, command, "frozen"))

    @invariant()
    def promises(self) -> None:
        lead = getattr(self, "lead", None)
        if lead is None:
            return
        assert (lead.status is Status.SUBMITTED) == (lead.owner_agent_id is None) or lead.status is Status.REJECTED
        assert (lead.customer_id is not None) == (lead.status is Status.CONVERTED)
        assert (lead.rejected_because is not None) == (lead.status is Status.REJECTED)
        if lead.status is Status.CONVERTING:
            assert lead.conversion_id == self.conversions[-1]
        if lead.conversion_refused_because is not None:
            assert lead.status in {Status.ACCEPTED, Status.REJECTED}
        assert self.over in {None, lead.status}, "what is over stays over"
        assert lead.profile.phone or lead.profile.email


Leads.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestLeads = Leads.TestCase


def test_the_answer_to_an_earlier_command_does_not_end_the_present_one() -> None:
    first, second = UUID(int=1), UUID(int=2)
    lead = domain.converting(domain.accept(a_lead(), "a1001", 1), first)
    lead = domain.refused(lead, first, "frozen")
    assert (lead.status, lead.conversion_refused_because) == (Status.ACCEPTED, "frozen")
    lead = domain.converting(lead, second)
    assert lead.conversion_refused_because is None
    assert domain.refused(lead, first, "frozen") is lead
    assert domain.refused(lead, second, "again").status is Status.ACCEPTED
    assert domain.registered(domain.refused(lead, second, "again"), CUSTOMER).customer_id == CUSTOMER


@pytest.mark.parametrize(
    ("profile", "kind", "expected"),
    [
        (Profile(name="王芳", phone="+861"), None, ("person", "王芳", ("+861",), None, ())),
        (Profile(name="王芳", phone="+861", email="w@x"), None, ("person", "王芳", ("+861",), "王芳", ())),
        (Profile(name="王芳", company="云帆", phone="+861"), None, ("organisation", "云帆", (), "王芳", ("+861",))),
        (Profile(company="云帆", phone="+861"), None, ("organisation", "云帆", ("+861",), None, ())),
        (Profile(company="云帆", email="w@x"), None, ("organisation", "云帆", (), "云帆", ())),
        (
            Profile(name="王芳", company="云帆", phone="+861"),
            CustomerKind.PERSON,
            ("person", "王芳", ("+861",), None, ()),
        ),
    ],
)
def test_what_customer_a_lead_becomes(
    profile: Profile, kind: CustomerKind | None, expected: tuple[object, ...]
) -> None:
    wanted = domain.registration(a_lead(profile=profile), kind)
    assert (wanted.kind, wanted.name, wanted.phones, wanted.contact_name, wanted.contact_phones) == expected
    assert wanted.contact_email == (profile.email if wanted.contact_name else None)


@pytest.mark.parametrize(
    ("profile", "kind", "field"),
    [
        (Profile(phone="+861"), None, "name"),
        (Profile(phone="+861", company="云帆"), CustomerKind.PERSON, "name"),
        (Profile(phone="+861", name="王芳"), CustomerKind.ORGANISATION, "company"),
    ],
)
def test_a_customer_has_a_name(profile: Profile, kind: CustomerKind | None, field: str) -> None:
    with pytest.raises(Wrong) as raised:
        domain.registration(a_lead(profile=profile), kind)
    assert raised.value.field == field


def test_agents_work_on_their_own_leads() -> None:
    lead = domain.accept(a_lead(), "a1001", 1)
    domain.require_own(lead, Actor("a1001", "a1001"))
    domain.require_own(lead, Actor("boss", None, supervises=True))
    for stranger in (Actor("a1002", "a1002"), Actor("agent without an id")):
        with pytest.raises(NotYours):
            domain.require_own(lead, stranger)
    with pytest.raises(NotYours):
        domain.require_own(a_lead(), Actor("a1001", "a1001"))
    with pytest.raises(NotYours):
        domain.require_own(a_lead(), Actor("agent without an id"))


@pytest.mark.parametrize(
    "wrong", ["", "@", "a@", "@b", "a@b@c", "a b@c", "a@b..c", "a@b\n", "x" * 310 + "@example.com"]
)
def test_what_is_no_address(wrong: str) -> None:
    assert not domain.is_email(wrong)


@pytest.mark.parametrize("right", ["a@b", "wang.fang+lead@example.com.cn", "王芳@例子.中国"])
def test_what_may_be_an_address(right: str) -> None:
    assert domain.is_email(right)
