"""Each rule of the engine by an example that a supervisor would recognise. Times in the examples are seconds."""

from typing import Any

import pytest
from routing.engine import (
    AcceptAssignment,
    AgentChanged,
    AgentProfile,
    AgentState,
    AssignmentAccepted,
    AssignmentCancelled,
    AssignmentCompleted,
    AssignmentDeclined,
    AssignmentExpired,
    AssignmentFailed,
    AssignmentNotOpen,
    AssignmentOffered,
    CancelItem,
    Capacity,
    ChangePriority,
    CompleteAssignment,
    DeviceState,
    EndWrapUp,
    Engine,
    ExtendWrapUp,
    Input,
    ItemAlreadyOpen,
    ItemCancelled,
    ItemChanged,
    ItemCompleted,
    ItemNotOpen,
    ItemQueued,
    Miss,
    MissAssignment,
    Mode,
    PutAgent,
    RemoveAgent,
    RemoveQueue,
    RequeueItem,
    Requirement,
    SetDevice,
    SetMode,
    Settings,
    Settle,
    StillInUse,
    TakeItem,
    UnknownAgent,
    UnknownQueue,
    WrapUp,
    WrongState,
    language_skill,
    longest_idle,
)
from small_centre import CALL, EVERYTHING, LEAD, REQUEST, Centre, kinds, offers


@pytest.fixture
def centre() -> Centre:
    return Centre()


# Who gets an item


def test_the_longest_idle_agent_is_offered_a_call(centre: Centre) -> None:
    for agent in "abc":
        centre.agent(agent)
    effects = centre.submit("1")
    offer = effects[0]
    assert isinstance(offer, AssignmentOffered)
    assert (offer.assignment.agent_id, offer.assignment.device_id) == ("a", "phone-a")
    assert offer.assignment.expires_at == centre.seconds * 1000 + 20_000
    assert offer.reason.eligible == 3
    assert offer.reason.winner_key == (0, 1_001_000, "a")
    assert (offer.reason.runner_up, offer.reason.runner_up_key) == ("b", (0, 1_002_000, "b"))


def test_idle_time_begins_when_work_ends(centre: Centre) -> None:
    centre.agent("a")
    centre.agent("b")
    centre.submit("1")
    centre.accept("1")
    centre.wait(60)
    centre.complete("1")
    assert offers(centre.submit("2")) == [("2", "b")]
    assert offers(centre.submit("3")) == [("3", "a")]


def test_the_least_loaded_agent_comes_before_the_longest_idle(centre: Centre) -> None:
    centre.agent("a", items=EVERYTHING)
    centre.agent("b", items=EVERYTHING)
    for lead, agent in [("1", "a"), ("2", "b"), ("3", "a"), ("4", "b")]:
        assert offers(centre.submit(lead, LEAD)) == [(lead, agent)]
    centre.complete("2")
    assert offers(centre.submit("5", LEAD)) == [("5", "b")]


def test_another_order_of_agents() -> None:
    centre = Centre(order=longest_idle)
    centre.agent("a", items=EVERYTHING)
    centre.agent("b", items=EVERYTHING)
    centre.submit_many("1", "2", kind=LEAD)
    assert [centre.holder("1"), centre.holder("2")] == ["a", "a"]


def test_all_skills_must_reach_their_levels(centre: Centre) -> None:
    centre.agent("novice", {"sales": 30, language_skill("zh-CN"): 100})
    centre.agent("foreigner", {"sales": 90})
    centre.agent("expert", {"sales": 60, language_skill("zh-CN"): 80})
    needs = {"sales": 50, language_skill("zh-CN"): 1}
    assert offers(centre.submit("1", skills=needs)) == [("1", "expert")]
    assert kinds(centre.submit("2", skills=needs)) == [ItemQueued]
    assert offers(centre.submit("3", skills={"sales": 30})) == [("3", "novice")]


@pytest.mark.parametrize(
    ("covered", "of_item", "matches"),
    [
        ([], "CN-31-0115", True),
        (["CN-31"], None, True),
        (["CN"], "CN-31-0115", True),
        (["CN-44", "CN-31"], "CN-31-0115", True),
        (["CN-31-0115"], "CN-31-0115", True),
        (["CN-31-0115"], "CN-31", False),
        (["CN-31"], "CN-310", False),
        (["DE"], "CN", False),
    ],
)
def test_an_agent_covers_sub_trees_of_territories(
    centre: Centre, covered: list[str], of_item: str | None, matches: bool
) -> None:
    centre.agent("a", territories=covered)
    assert bool(offers(centre.submit("1", territory=of_item))) == matches


def test_the_preferred_agent_comes_first_if_there(centre: Centre) -> None:
    centre.agent("a")
    centre.agent("owner")
    effects = centre.submit("1", prefer="owner")
    assert offers(effects) == [("1", "owner")]
    reason = effects[0].reason  # type: ignore[union-attr]
    assert (reason.preferred, reason.eligible, reason.runner_up) == (True, 2, "a")
    assert offers(centre.submit("2", prefer="owner")) == [("2", "a")]


def test_only_ready_agents_with_a_usable_phone_get_calls(centre: Centre) -> None:
    for agent in ["lunch", "off", "talking", "dead"]:
        centre.agent(agent, items=EVERYTHING)
    centre.step(PutAgent("no-phone", AgentProfile(capacity=Capacity(EVERYTHING))))
    centre.step(SetMode("no-phone", Mode.READY))
    centre.step(SetMode("lunch", Mode.NOT_READY, "lunch"))
    centre.step(SetMode("off", Mode.OFFLINE))
    centre.step(SetDevice("talking", DeviceState.IN_USE))
    centre.step(SetDevice("dead", DeviceState.UNREACHABLE))
    assert kinds(centre.submit("1")) == [ItemQueued]
    assert offers(centre.submit("2", LEAD)) == [("2", "dead")], "a dead phone does not stop leads"
    assert offers(centre.submit("3", LEAD)) == [("3", "no-phone")]
    assert offers(centre.step(SetDevice("talking", DeviceState.IDLE))) == [("1", "talking")]


# What an agent gets


def test_minutes_waited_and_priority_add_up(centre: Centre) -> None:
    """With a minute of credit per point: 5 minutes + priority 10 is 15, more than 10 + 4 and than 14 + 0."""
    centre.submit("10+4", waited=600, priority=4)
    centre.submit("14+0", waited=840)
    centre.submit("5+10", waited=300, priority=10)
    assert offers(centre.agent("a")) == [("5+10", "a")]
    assert offers(centre.complete("5+10")) == [("10+4", "a")], "equal urgency: by id"
    assert offers(centre.complete("10+4")) == [("14+0", "a")]


def test_waiting_counts_the_same_for_all_so_the_order_stays(centre: Centre) -> None:
    centre.submit("old", waited=200)
    centre.submit("urgent", priority=4)
    centre.wait(3_600)
    assert offers(centre.agent("a")) == [("urgent", "a")]


def test_one_order_over_calls_leads_and_requests_and_over_queues(centre: Centre) -> None:
    centre.queue("gold", priority=5)
    centre.submit("request", REQUEST, waited=100)
    centre.submit("call", CALL, waited=50)
    centre.submit("lead", LEAD, queue="gold", waited=10)
    assert offers(centre.agent("a", items=EVERYTHING)) == [("lead", "a"), ("request", "a"), ("call", "a")]


def test_priority_may_change_while_waiting(centre: Centre) -> None:
    centre.submit("1", waited=60)
    centre.submit("2")
    centre.step(ChangePriority("2", 2))
    assert offers(centre.agent("a")) == [("2", "a")]


def test_queue_settings_change_the_order_at_once(centre: Centre) -> None:
    centre.queue("gold")
    centre.submit("1", waited=60)
    centre.submit("2", queue="gold")
    centre.queue("gold", priority=2)
    assert offers(centre.agent("a")) == [("2", "a")]


def test_an_agent_who_learns_something_gets_what_waits_for_it(centre: Centre) -> None:
    centre.agent("a")
    centre.submit("1", skills={"sales": 50})
    profile = centre.engine.agent("a").profile
    learnt = AgentProfile({"sales": 50}, profile.territories, profile.capacity, profile.device_id)
    assert offers(centre.step(PutAgent("a", learnt))) == [("1", "a")]


# Capacity


def test_an_agent_in_a_call_gets_nothing_else(centre: Centre) -> None:
    centre.agent("a", items=EVERYTHING)
    centre.submit("call")
    assert kinds(centre.submit("lead", LEAD)) == [ItemQueued]
    assert offers(centre.complete("call")) == [("lead", "a")]


def test_a_call_may_come_beside_leads_but_not_above_the_limits(centre: Centre) -> None:
    centre.agent("a", items={CALL: 1, LEAD: 2})
    assert offers(centre.submit("lead-1", LEAD)) == [("lead-1", "a")]
    assert offers(centre.submit("lead-2", LEAD)) == [("lead-2", "a")]
    assert kinds(centre.submit("lead-3", LEAD)) == [ItemQueued]
    assert kinds(centre.submit("request", REQUEST)) == [ItemQueued], "a channel that the agent does not work"
    assert centre.state("a") == (AgentState.READY, None)
    assert offers(centre.submit("call")) == [("call", "a")]
    assert centre.state("a") == (AgentState.BUSY, None)


def test_a_capacity_of_6_takes_three_items_of_weight_2() -> None:
    centre = Centre(settings=Settings(weights={REQUEST: 2}))
    centre.agent("a", items={REQUEST: 10, LEAD: 10}, total=6)
    centre.submit_many("1", "2", "3", "4", kind=REQUEST)
    assert [centre.holder(item) for item in "1234"] == ["a", "a", "a", None]
    assert centre.state("a") == (AgentState.BUSY, None)
    assert offers(centre.complete("2")) == [("4", "a")]


def test_the_most_urgent_item_that_fits_fills_what_is_left() -> None:
    centre = Centre(settings=Settings(weights={REQUEST: 2}))
    centre.agent("a", items={REQUEST: 10, LEAD: 10}, total=3)
    centre.submit("request-1", REQUEST)
    centre.submit("request-2", REQUEST, priority=9)
    assert offers(centre.submit("lead", LEAD)) == [("lead", "a")]
    assert offers(centre.complete("lead")) == []
    assert offers(centre.complete("request-1")) == [("request-2", "a")]


@pytest.mark.parametrize("wrong", [{"items": {CALL: -1}}, {"total": -1}])
def test_impossible_capacities_cannot_be_written_down(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Capacity(**wrong)


# Offers that come to nothing


def test_a_declined_item_keeps_its_place_and_goes_to_another(centre: Centre) -> None:
    centre.agent("a")
    centre.agent("b")
    centre.submit("1", waited=100)
    effects = centre.miss("1")
    assert kinds(effects) == [AssignmentDeclined, AssignmentOffered, AgentChanged, AgentChanged]
    assert offers(effects) == [("1", "b")]
    assert centre.state("a") == (AgentState.READY, None)
    centre.submit("2")
    assert centre.holder("2") == "a"


def test_a_failed_item_comes_before_those_that_came_later(centre: Centre) -> None:
    centre.agent("a")
    centre.submit("1")
    centre.wait(5)
    centre.submit("2")
    effects = centre.miss("1", Miss.NO_ANSWER)
    assert kinds(effects) == [AssignmentFailed, ItemQueued, AgentChanged]
    assert offers(centre.agent("b")) == [("1", "b")]


def test_not_twice_in_a_row_to_the_same_agent(centre: Centre) -> None:
    """Another agent who could take it is in a call: the item waits for either, but not for ever."""
    centre.agent("a")
    centre.agent("b")
    centre.submit("other")
    centre.submit("1")
    assert (centre.holder("other"), centre.holder("1")) == ("a", "b")
    assert offers(centre.miss("1")) == []
    assert centre.engine.item("1").avoid == "b"
    centre.submit("2")
    assert centre.holder("2") == "b", "others may be offered to that agent meanwhile"
    assert offers(centre.complete("other")) == [("1", "a")]


def test_after_a_pause_the_same_agent_is_offered_it_again(centre: Centre) -> None:
    centre.agent("a")
    centre.agent("b")
    centre.submit_many("other", "1")
    centre.miss("1")
    assert offers(centre.wait(4)) == []
    assert offers(centre.wait(1)) == [("1", "b")]


def test_once_another_was_offered_it_the_first_may_have_it_again(centre: Centre) -> None:
    centre.agent("a")
    centre.agent("b")
    centre.submit("1")
    assert offers(centre.miss("1")) == [("1", "b")]
    assert offers(centre.miss("1")) == [("1", "a")]


def test_an_agent_who_is_alone_is_offered_it_again_at_once(centre: Centre) -> None:
    centre.agent("a", {"sales": 50})
    centre.agent("b")
    centre.submit("1", skills={"sales": 50})
    assert offers(centre.miss("1")) == [("1", "a")]


def test_a_more_urgent_item_comes_before_one_that_comes_back(centre: Centre) -> None:
    centre.agent("a")
    centre.submit("1")
    centre.submit("urgent", priority=9)
    assert offers(centre.miss("1")) == [("urgent", "a")]


def test_an_offer_expires_and_the_agent_is_not_ready(centre: Centre) -> None:
    centre.agent("a")
    centre.agent("b")
    centre.submit("1")
    assert centre.engine.next_due() == centre.seconds * 1000 + 20_000
    effects = centre.wait(20)
    assert kinds(effects)[:2] == [AssignmentExpired, AssignmentOffered]
    assert offers(effects) == [("1", "b")]
    assert centre.state("a") == (AgentState.NOT_READY, "no_answer")
    centre.step(SetMode("a", Mode.READY))
    assert centre.state("a") == (AgentState.READY, None)


def test_an_answer_counts_until_the_expiry_was_announced(centre: Centre) -> None:
    centre.agent("a")
    centre.submit("1")
    centre.seconds += 25
    assert kinds(centre.accept("1")) == [AssignmentAccepted]
    assert centre.wait(100) == []


@pytest.mark.parametrize("reason", [Miss.UNREACHABLE, Miss.BUSY])
def test_a_dead_phone_does_not_eat_every_call(reason: Miss) -> None:
    centre = Centre(settings=Settings(misses_allowed={reason: 2}))
    centre.agent("a")
    centre.submit("1")
    assert offers(centre.miss("1", reason)) == [("1", "a")], "alone, and once is not often enough"
    assert offers(centre.miss("1", reason)) == []
    assert centre.state("a") == (AgentState.NOT_READY, reason)
    centre.step(SetDevice("a", DeviceState.UNREACHABLE))
    assert offers(centre.step(SetDevice("a", DeviceState.IDLE))) == [("1", "a")], "the phone is back"


def test_an_agents_own_break_is_not_ended_by_the_phone(centre: Centre) -> None:
    centre.agent("a")
    centre.step(SetMode("a", Mode.NOT_READY, "busy"))
    centre.step(SetDevice("a", DeviceState.UNREACHABLE))
    centre.step(SetDevice("a", DeviceState.IDLE))
    assert centre.state("a") == (AgentState.NOT_READY, "busy")


def test_taking_an_offer_forgives_the_misses_before() -> None:
    centre = Centre(settings=Settings(misses_allowed={Miss.DECLINED: 2}))
    centre.agent("a")
    centre.submit("1")
    centre.miss("1")
    centre.complete("1")
    centre.submit("2")
    centre.miss("2")
    assert centre.state("a")[0] is AgentState.BUSY


def test_a_lead_that_expires_during_a_call_does_not_count(centre: Centre) -> None:
    centre.agent("a", items=EVERYTHING)
    centre.submit("lead", LEAD)
    centre.submit("call")
    centre.accept("call")
    assert AssignmentExpired in kinds(centre.wait(20))
    centre.complete("call")
    assert centre.state("a") == (AgentState.READY, None)
    assert centre.holder("lead") == "a"


@pytest.mark.parametrize(
    ("input", "outcome"),
    [
        (SetMode("a", Mode.NOT_READY, "lunch"), "agent_not_ready"),
        (SetMode("a", Mode.OFFLINE), "agent_offline"),
        (SetDevice("a", DeviceState.UNREACHABLE), "device_unreachable"),
        (RemoveAgent("a"), "agent_removed"),
    ],
)
def test_an_offer_is_withdrawn_when_the_agent_cannot_take_it_any_more(
    centre: Centre, input: Input, outcome: str
) -> None:
    centre.agent("a")
    centre.agent("b")
    centre.submit("1")
    effects = centre.step(input)
    cancelled = [e.assignment for e in effects if isinstance(e, AssignmentCancelled)]
    assert [(a.agent_id, a.outcome) for a in cancelled] == [("a", outcome)]
    assert offers(effects) == [("1", "b")]


# The end of an item


def test_abandoned_while_waiting(centre: Centre) -> None:
    centre.submit("1")
    effects = centre.step(CancelItem("1", "abandoned"))
    assert kinds(effects) == [ItemCancelled]
    assert centre.engine.waiting() == 0
    assert offers(centre.agent("a")) == []


def test_abandoned_while_offered_leaves_the_agent_in_the_old_place(centre: Centre) -> None:
    centre.agent("a")
    centre.agent("b")
    centre.submit("1")
    effects = centre.step(CancelItem("1", "abandoned"))
    assert kinds(effects) == [AssignmentCancelled, ItemCancelled, AgentChanged]
    assert centre.state("a") == (AgentState.READY, None)
    assert offers(centre.submit("2")) == [("2", "a")]


def test_an_agent_whose_caller_left_takes_the_next(centre: Centre) -> None:
    centre.agent("a")
    centre.submit_many("1", "2")
    assert offers(centre.step(CancelItem("1", "abandoned"))) == [("2", "a")]


def test_cleared_after_an_agent_took_it_is_completed(centre: Centre) -> None:
    centre.agent("a")
    centre.submit("1")
    centre.accept("1")
    effects = centre.step(CancelItem("1", "cleared"))
    assert kinds(effects) == [AssignmentCompleted, ItemCompleted, AgentChanged]


def test_wrap_up_and_then_ready(centre: Centre) -> None:
    centre.queue("support", wrap_up_ms=30_000)
    centre.agent("a")
    centre.submit_many("1", "2")
    effects = centre.complete("1")
    assert kinds(effects) == [AssignmentCompleted, ItemCompleted, AgentChanged]
    assert centre.state("a") == (AgentState.WRAP_UP, None)
    assert offers(centre.wait(29)) == []
    assert offers(centre.wait(1)) == [("2", "a")]


def test_wrap_up_may_be_ended_or_extended(centre: Centre) -> None:
    centre.queue("support", wrap_up_ms=30_000, wrap_up_extension_ms=45_000)
    centre.agent("a")
    centre.submit_many("1", "2", "3")
    with pytest.raises(WrongState):
        centre.step(EndWrapUp("a"))
    centre.complete("1")
    assert offers(centre.step(EndWrapUp("a"))) == [("2", "a")]
    centre.complete("2")
    with pytest.raises(WrongState):
        centre.step(ExtendWrapUp("a", centre.seconds * 1000))
    centre.step(ExtendWrapUp("a", (centre.seconds + 60) * 1000))
    with pytest.raises(WrongState, match="by 15 s more"):
        centre.step(ExtendWrapUp("a", (centre.seconds + 76) * 1000))
    assert offers(centre.wait(59)) == []
    assert offers(centre.wait(1)) == [("3", "a")]


def test_wrap_up_may_last_until_the_agent_says_so(centre: Centre) -> None:
    centre.queue("support", wrap_up_ms=None)
    centre.agent("a")
    centre.submit_many("1", "2")
    centre.complete("1")
    assert offers(centre.wait(86_400)) == []
    assert centre.state("a") == (AgentState.WRAP_UP, None)
    with pytest.raises(WrongState, match="ends when they say so"):
        centre.step(ExtendWrapUp("a", (centre.seconds + 1) * 1000))
    assert offers(centre.step(EndWrapUp("a"))) == [("2", "a")]


def test_of_two_items_to_wrap_up_the_longer_counts(centre: Centre) -> None:
    centre.queue("support", wrap_up_ms=30_000)
    centre.queue("sales", wrap_up_ms=10_000, wrap_up_extension_ms=60_000)
    centre.agent("a", items={LEAD: 2})
    centre.submit("1", kind=LEAD)
    centre.submit("2", kind=LEAD, queue="sales")
    centre.complete("1")
    centre.complete("2")
    start = centre.seconds * 1000
    assert centre.engine.agent("a").status.wrap_up == WrapUp(start + 30_000, start + 70_000)


def test_who_leaves_finishes_what_is_in_hand(centre: Centre) -> None:
    centre.queue("support", wrap_up_ms=30_000)
    centre.agent("a", items={LEAD: 3})
    centre.submit_many("1", "2", "3", kind=LEAD)
    centre.accept("1")
    centre.accept("2")
    centre.step(SetMode("a", Mode.LEAVING))
    assert centre.holder("3") is None
    assert centre.state("a") == (AgentState.NOT_READY, "leaving")
    centre.complete("1")
    assert centre.state("a") == (AgentState.WRAP_UP, None)
    assert offers(centre.wait(30)) == []
    assert centre.state("a") == (AgentState.NOT_READY, "leaving")
    centre.complete("2")
    assert centre.state("a") == (AgentState.WRAP_UP, None)
    assert offers(centre.wait(30)) == []
    assert centre.state("a") == (AgentState.OFFLINE, None)


def test_who_leaves_with_nothing_in_hand_is_offline(centre: Centre) -> None:
    centre.agent("a")
    assert kinds(centre.step(SetMode("a", Mode.LEAVING))) == [AgentChanged]
    assert centre.state("a") == (AgentState.OFFLINE, None)
    assert centre.step(SetMode("a", Mode.LEAVING)) == []


def test_who_leaves_may_stay(centre: Centre) -> None:
    centre.agent("a", items={LEAD: 2})
    centre.submit_many("1", "2", kind=LEAD)
    centre.accept("1")
    centre.step(SetMode("a", Mode.LEAVING))
    assert offers(centre.step(SetMode("a", Mode.READY))) == [("2", "a")]
    assert centre.engine.agent("a").status.offers == 3, "it was no new sign-in"


def test_nobody_waits_alone_for_who_is_leaving(centre: Centre) -> None:
    centre.agent("a", items={LEAD: 1})
    centre.submit("1", kind=LEAD)
    centre.accept("1")
    centre.agent("b", items={LEAD: 1})
    centre.submit("2", kind=LEAD, prefer="a", patience=60)
    assert centre.holder("2") is None
    assert offers(centre.step(SetMode("a", Mode.LEAVING))) == [("2", "b")]


def test_a_break_taken_in_a_call_begins_after_it(centre: Centre) -> None:
    centre.agent("a")
    centre.submit("1")
    centre.accept("1")
    centre.step(SetMode("a", Mode.NOT_READY, "lunch"))
    assert centre.state("a") == (AgentState.BUSY, None)
    centre.submit("2")
    centre.complete("1")
    assert centre.state("a") == (AgentState.NOT_READY, "lunch")
    assert offers(centre.step(SetMode("a", Mode.READY))) == [("2", "a")]


def test_an_agent_who_leaves_keeps_the_call_but_gets_no_more(centre: Centre) -> None:
    centre.agent("a")
    centre.submit_many("1", "2")
    centre.accept("1")
    centre.step(SetMode("a", Mode.OFFLINE))
    assert centre.state("a") == (AgentState.BUSY, None)
    centre.complete("1")
    assert centre.state("a") == (AgentState.OFFLINE, None)
    assert centre.holder("2") is None


# Work that moves


def test_requeued_it_keeps_its_place(centre: Centre) -> None:
    centre.agent("a")
    centre.submit("1")
    centre.accept("1")
    centre.wait(60)
    centre.submit("2")
    effects = centre.step(RequeueItem("1", "back"))
    assert kinds(effects) == [AssignmentCompleted, ItemQueued, AssignmentOffered, AgentChanged]
    assert offers(effects) == [("1", "a")], "alone, and it came first"


def test_moved_while_it_waits_it_still_avoids_the_agent_who_did_not_take_it(centre: Centre) -> None:
    centre.queue("other")
    centre.agent("a")
    centre.agent("b")
    centre.submit_many("1", "2")
    centre.miss("2")
    assert kinds(centre.step(RequeueItem("2", "moved", "other"))) == [ItemChanged, ItemQueued]
    assert offers(centre.wait(5)) == [("2", "b")]


def test_items_withdrawn_together_go_on_in_their_order(centre: Centre) -> None:
    centre.agent("a", items={LEAD: 2})
    centre.submit("1", LEAD)
    centre.wait(5)
    centre.submit("2", LEAD, priority=9)
    centre.agent("b", items={LEAD: 1})
    assert offers(centre.wait(15)) == [("2", "b")], "1 expired, and 2 was withdrawn with it"
    assert centre.holder("1") is None


def test_requeued_to_other_agents(centre: Centre) -> None:
    centre.queue("second-level")
    centre.agent("a")
    centre.agent("expert", {"network": 80})
    centre.submit("1")
    centre.accept("1")
    effects = centre.step(RequeueItem("1", "escalated", "second-level", Requirement.of({"network": 50})))
    assert offers(effects) == [("1", "expert")]
    assert centre.engine.item("1").item.queue == "second-level"
    with pytest.raises(UnknownQueue):
        centre.step(RequeueItem("1", "escalated", "nowhere"))


def test_transferred_the_old_assignment_is_completed_and_the_new_one_accepted(centre: Centre) -> None:
    centre.queue("support", wrap_up_ms=10_000)
    centre.agent("a")
    centre.agent("b")
    centre.submit("1")
    centre.accept("1")
    token = centre.engine.token
    effects = centre.step(TakeItem("1", "b"))
    assert kinds(effects) == [AssignmentCompleted, AssignmentAccepted, AgentChanged, AgentChanged]
    assert centre.holder("1") == "b"
    assert centre.assignment("1").token == token + 1
    assert centre.state("a") == (AgentState.WRAP_UP, None)
    assert centre.state("b") == (AgentState.BUSY, None)


def test_picked_up_by_another_than_it_was_offered_to(centre: Centre) -> None:
    centre.agent("a")
    centre.agent("b")
    centre.submit("1")
    assert kinds(centre.step(TakeItem("1", "b", "picked_up")))[:2] == [AssignmentCancelled, AssignmentAccepted]
    assert centre.state("a") == (AgentState.READY, None)


def test_taking_what_is_offered_anyway_accepts_it(centre: Centre) -> None:
    centre.agent("a")
    centre.submit("1")
    assert kinds(centre.step(TakeItem("1", "a"))) == [AssignmentAccepted]
    assert centre.step(TakeItem("1", "a")) == []


def test_a_call_that_rings_at_an_agent_who_took_another_goes_on(centre: Centre) -> None:
    for agent in "abc":
        centre.agent(agent)
    centre.submit_many("1", "2")
    centre.accept("1")
    effects = centre.step(TakeItem("1", "b"))
    assert [e.assignment.outcome for e in effects if isinstance(e, AssignmentCancelled)] == ["no_room"]
    assert offers(effects) == [("2", "c")]


# What comes again


def test_an_item_of_the_same_id_may_come_again_at_the_same_moment(centre: Centre) -> None:
    centre.submit("1", waited=1)
    centre.submit("2")
    centre.step(CancelItem("2", "withdrawn"))
    centre.submit("2")
    centre.step(CancelItem("1", "abandoned"))
    assert offers(centre.agent("a")) == [("2", "a")]


def test_an_agent_may_be_made_again_at_the_same_moment(centre: Centre) -> None:
    centre.agent("a")
    centre.agent("b")
    centre.step(RemoveAgent("b"))
    centre.seconds -= 1
    centre.agent("b")
    assert offers(centre.submit("1")) == [("1", "a")]
    assert offers(centre.submit("2")) == [("2", "b")]


# What is refused


def test_what_is_over_or_unknown_is_refused(centre: Centre) -> None:
    centre.agent("a")
    centre.submit("1")
    first = centre.assignment("1").assignment_id
    with pytest.raises(WrongState):
        centre.step(CompleteAssignment(first))
    with pytest.raises(ItemAlreadyOpen):
        centre.submit("1")
    with pytest.raises(UnknownQueue):
        centre.submit("2", queue="nowhere")
    with pytest.raises(UnknownAgent):
        centre.step(SetMode("nobody", Mode.READY))
    with pytest.raises(ItemNotOpen):
        centre.step(CancelItem("nothing", "abandoned"))
    centre.accept("1")
    assert centre.step(AcceptAssignment(first)) == [], "twice changes nothing"
    with pytest.raises(WrongState):
        centre.step(MissAssignment(first, Miss.DECLINED))
    with pytest.raises(StillInUse):
        centre.step(RemoveAgent("a"))
    with pytest.raises(StillInUse):
        centre.step(RemoveQueue("support"))
    centre.complete("1")
    with pytest.raises(AssignmentNotOpen):
        centre.step(AcceptAssignment(first))
    centre.step(RemoveAgent("a"))
    centre.step(RemoveQueue("support"))


def test_tokens_grow_with_each_assignment(centre: Centre) -> None:
    centre.agent("a")
    tokens = []
    for item in "123":
        centre.submit(item)
        tokens.append(centre.assignment(item).token)
        centre.complete(item)
    assert tokens == [1, 2, 3]


def test_time_does_not_go_back(centre: Centre) -> None:
    """A takeover may come to a machine whose clock is behind."""
    centre.agent("a")
    before = centre.seconds
    centre.seconds -= 100
    centre.submit("1")
    assert centre.assignment("1").offered_at == before * 1000


# Restoring


def test_a_takeover_goes_on_where_the_other_stopped(centre: Centre) -> None:
    centre.queue("support", wrap_up_ms=10_000)
    for agent in "abc":
        centre.agent(agent)
    centre.submit_many("1", "2", "3", "4")
    centre.complete("1")
    centre.accept("2")
    centre.engine = Engine.restore(centre.engine.snapshot(), lambda token: f"assignment-{token}")
    assert centre.step(Settle()) == []
    assert [centre.state(agent)[0] for agent in "abc"] == [AgentState.WRAP_UP, AgentState.BUSY, AgentState.BUSY]
    assert offers(centre.wait(10)) == [("4", "a")]
    assert centre.assignment("4").token == 4
    assert [e.assignment.item_id for e in centre.wait(10) if isinstance(e, AssignmentExpired)] == ["3"]


def test_other_settings_after_a_restore_take_effect_when_settled(centre: Centre) -> None:
    centre.agent("a", items=EVERYTHING)
    centre.submit("call")
    centre.submit("lead-1", LEAD)
    centre.submit("lead-2", LEAD, priority=1)
    centre.engine = Engine.restore(
        centre.engine.snapshot(), lambda token: f"assignment-{token}", Settings(exclusive=frozenset())
    )
    assert offers(centre.step(Settle())) == [("lead-2", "a"), ("lead-1", "a")]


# Explaining


def test_explain_says_what_excludes_each_agent() -> None:
    centre = Centre(settings=Settings(weights={LEAD: 2}))
    sales = {"sales": 60}
    centre.agent("novice", {"sales": 30}, territories=["CN-44"])
    centre.agent("lunch", sales)
    centre.agent("called", sales, items=EVERYTHING)
    centre.agent("heavy", sales, items=EVERYTHING, total=2)
    centre.agent("leads-only", sales, items={LEAD: 1})
    centre.agent("dead", sales)
    centre.step(SetMode("lunch", Mode.NOT_READY, "lunch"))
    centre.step(SetDevice("dead", DeviceState.UNREACHABLE))
    centre.submit("lead", LEAD, skills=sales, prefer="heavy")
    centre.submit("before", skills=sales, prefer="called")
    centre.submit_many("1", "2", skills={"sales": 50}, territory="CN-31")
    explanation = centre.engine.explain("2", centre.seconds * 1000)
    assert explanation.ahead == 1
    assert {c.agent_id: c.obstacles for c in explanation.candidates} == {
        "novice": ("skill sales 30 < 50", "territory CN-31 not covered"),
        "lunch": ("mode not_ready lunch",),
        "called": ("exclusive call in hand", "full call 1 of 1"),
        "heavy": ("full weight 2 of 2",),
        "leads-only": ("channel call not worked",),
        "dead": ("device unreachable",),
    }


def test_explain_an_avoided_agent_and_a_wrap_up(centre: Centre) -> None:
    centre.queue("support", wrap_up_ms=10_000)
    centre.agent("a")
    centre.agent("b")
    centre.submit_many("1", "2")
    centre.complete("1")
    centre.miss("2")
    explanation = centre.engine.explain("2", centre.seconds * 1000)
    assert {c.agent_id: c.obstacles for c in explanation.candidates} == {"a": ("wrap_up",), "b": ("avoided",)}
