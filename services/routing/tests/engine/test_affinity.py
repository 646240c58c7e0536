"""Items that wait for one agent alone for a while. Times in the examples are seconds."""

import pytest
from routing.engine import (
    AgentProfile,
    Effect,
    Engine,
    ItemChanged,
    ItemQueued,
    Mode,
    PutAgent,
    RemoveAgent,
    SetMode,
)
from small_centre import EVERYTHING, LEAD, Centre, kinds, offers


@pytest.fixture
def centre() -> Centre:
    """The owner of the customer is in a call, another agent is free."""
    centre = Centre()
    centre.agent("owner")
    centre.submit("earlier")
    centre.accept("earlier")
    centre.agent("other")
    return centre


def for_owner(centre: Centre, item: str = "1", patience: int = 30) -> list[Effect]:
    return centre.submit(item, prefer="owner", patience=patience)


def test_it_waits_for_the_preferred_agent_who_is_busy(centre: Centre) -> None:
    assert kinds(for_owner(centre)) == [ItemQueued]
    assert offers(centre.complete("earlier")) == [("1", "owner")]


def test_patience_ends(centre: Centre) -> None:
    for_owner(centre)
    assert offers(centre.wait(29)) == []
    assert offers(centre.wait(1)) == [("1", "other")]


def test_nobody_waits_for_who_is_offline_or_unknown_or_cannot_do_it(centre: Centre) -> None:
    centre.step(SetMode("owner", Mode.OFFLINE))
    assert ItemChanged in kinds(for_owner(centre))
    assert centre.holder("1") == "other"
    centre.complete("1")
    assert offers(centre.submit("2", prefer="nobody", patience=30)) == [("2", "other")]
    centre.complete("2")
    centre.step(SetMode("owner", Mode.READY))
    centre.agent("expert", {"sales": 50})
    assert offers(centre.submit("3", prefer="owner", patience=30, skills={"sales": 50})) == [("3", "expert")]


@pytest.mark.parametrize("leaves", ["offline", "removed", "unskilled"])
def test_what_waits_for_an_agent_who_leaves_is_for_all(centre: Centre, leaves: str) -> None:
    centre.step(PutAgent("owner", AgentProfile({"sales": 50}, device_id="phone-owner")))
    centre.step(PutAgent("other", AgentProfile({"sales": 50}, device_id="phone-other")))
    for item in "12":
        centre.submit(item, prefer="owner", patience=300, skills={"sales": 50})
    if leaves == "offline":
        effects = centre.step(SetMode("owner", Mode.OFFLINE))
    elif leaves == "unskilled":
        effects = centre.step(PutAgent("owner", AgentProfile(device_id="phone-owner")))
    else:
        centre.step(SetMode("owner", Mode.NOT_READY, "goes"))
        centre.complete("earlier")
        effects = centre.step(RemoveAgent("owner"))
    assert offers(effects) == [("1", "other")]
    assert offers(centre.complete("1")) == [("2", "other")]


def test_what_an_agent_was_offered_and_what_waited_for_them_goes_on_in_its_order(centre: Centre) -> None:
    centre.submit("busy")
    centre.accept("busy")
    centre.complete("earlier")
    centre.submit("older", waited=60)
    assert centre.holder("older") == "owner"
    for_owner(centre, "newer", patience=300)
    centre.step(SetMode("owner", Mode.OFFLINE))
    assert offers(centre.complete("busy")) == [("older", "other")]
    assert offers(centre.complete("older")) == [("newer", "other")]


def test_once_the_preferred_agent_did_not_take_it_others_may(centre: Centre) -> None:
    for_owner(centre, patience=300)
    centre.complete("earlier")
    assert offers(centre.miss("1")) == [("1", "other")]


def test_own_work_competes_by_urgency_with_that_for_all(centre: Centre) -> None:
    centre.step(SetMode("other", Mode.OFFLINE))
    for_owner(centre, patience=300)
    centre.submit("older", waited=60)
    assert offers(centre.complete("earlier")) == [("older", "owner")]
    assert offers(centre.complete("older")) == [("1", "owner")]


def test_of_several_own_items_the_most_urgent_is_first(centre: Centre) -> None:
    centre.queue("fast", acceleration=10)
    for_owner(centre, "1", patience=300)
    centre.submit("2", prefer="owner", patience=300, priority=5)
    centre.submit("3", queue="fast", prefer="owner", patience=300, priority=6)
    assert offers(centre.complete("earlier")) == [("3", "owner")]


def test_a_free_preferred_agent_gets_it_at_once(centre: Centre) -> None:
    effects = centre.submit("1", prefer="other", patience=30)
    assert offers(effects) == [("1", "other")]
    assert effects[0].reason.preferred  # type: ignore[union-attr]


def test_a_takeover_goes_on_waiting_or_does_not(centre: Centre) -> None:
    centre.agent("offline", items=EVERYTHING)
    centre.step(SetMode("offline", Mode.OFFLINE))
    for_owner(centre)
    centre.submit("lead", LEAD, prefer="offline", patience=300)
    centre.step(SetMode("offline", Mode.NOT_READY, "soon"))
    centre.agent("leads", items={LEAD: 1})
    assert centre.holder("lead") == "leads", "it was for all since the preferred agent was offline"
    centre.engine = Engine.restore(centre.engine.snapshot(), lambda token: f"assignment-{token}")
    assert centre.holder("1") is None
    assert ("1", "other") in offers(centre.wait(30))


def test_explain_says_for_whom_it_is_reserved(centre: Centre) -> None:
    for_owner(centre)
    found = {c.agent_id: c.obstacles for c in centre.engine.explain("1", centre.seconds * 1000).candidates}
    assert found["other"] == ("reserved owner",)
    assert "reserved owner" not in found["owner"]
