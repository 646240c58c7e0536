"""Which of several eligible agents is first. Times in the examples are seconds."""

import pytest
from routing.engine import (
    ORDERS,
    AgentOrder,
    Engine,
    Mode,
    SetMode,
    Settings,
    best_skill,
    fewest_assignments,
    least_loaded,
    longest_idle,
    most_spare,
    round_robin,
    specialists_first,
)
from small_centre import CALL, EVERYTHING, LEAD, Centre, offers


def first_of(centre: Centre, item: str, **asked: object) -> str:
    """Who is offered a new lead, which is accepted and kept."""
    [(_, agent)] = offers(centre.submit(item, LEAD, **asked))  # type: ignore[arg-type]
    centre.accept(item)
    return agent


def test_most_spare_capacity_by_number_picks_8_of_10_over_1_of_2() -> None:
    centre = Centre(order=most_spare)
    centre.agent("small", items={LEAD: 2})
    centre.submit("s", LEAD)
    centre.agent("large", items={LEAD: 10})
    for n in range(8):
        centre.submit(f"l{n}", LEAD)
    assert (len(offers_of(centre, "large")), len(offers_of(centre, "small"))) == (8, 1)
    assert first_of(centre, "next") == "large"
    by_weight = Centre(order=least_loaded)
    by_weight.agent("small", items={LEAD: 2})
    by_weight.agent("large", items={LEAD: 10})
    assert [first_of(by_weight, str(n)) for n in range(5)] == ["small", "large", "small", "large", "large"]


def offers_of(centre: Centre, agent: str) -> list[str]:
    return [made.item_id for made in centre.engine.snapshot().assignments if made.agent_id == agent]


def test_spare_weight_counts_where_it_is_limited() -> None:
    centre = Centre(order=most_spare, settings=Settings(weights={LEAD: 2}))
    centre.agent("six", items={LEAD: 9}, total=6)
    centre.agent("five", items={LEAD: 9}, total=5)
    assert [first_of(centre, str(n)) for n in range(5)] == ["six", "five", "six", "five", "six"]


def test_best_skill_by_the_sum_of_levels_asked_for() -> None:
    centre = Centre(order=best_skill)
    centre.agent("cook", {"sales": 50, "cooking": 100}, items=EVERYTHING)
    centre.agent("expert", {"sales": 90}, items=EVERYTHING)
    centre.agent("both", {"sales": 80, "english": 20, "german": 10}, items=EVERYTHING)
    assert first_of(centre, "1", skills={"sales": 50}) == "expert"
    asked = {"skills": {"sales": 50}, "any_of": [{"english": 10, "german": 10}]}
    assert first_of(centre, "2", **asked) == "both"
    assert first_of(centre, "3", skills={"sales": 50}) == "expert", "whatever is in hand"
    centre.agent("later", {"sales": 90}, items=EVERYTHING)
    assert first_of(centre, "4", skills={"sales": 50}) == "later", "of equals the least loaded"


def test_specialists_before_generalists() -> None:
    centre = Centre(order=specialists_first)
    centre.agent("generalist", {"sales": 90, "english": 90}, items=EVERYTHING)
    centre.agent("specialist", {"sales": 20}, items=EVERYTHING)
    effects = centre.submit("1", LEAD, skills={"sales": 10})
    assert offers(effects) == [("1", "specialist")]
    reason = effects[0].reason  # type: ignore[union-attr]
    assert (reason.winner_key[0], reason.runner_up, reason.runner_up_key[0]) == (1, "generalist", 2)


def test_in_turns_whatever_became_of_it() -> None:
    centre = Centre(order=round_robin)
    for agent in "abc":
        centre.agent(agent, items={LEAD: 5})
    assert [first_of(centre, str(n)) for n in range(3)] == ["a", "b", "c"]
    for done in "021":
        centre.wait(1)
        centre.complete(done)
    assert [first_of(centre, str(n)) for n in range(3, 7)] == ["a", "b", "c", "a"]


def test_fewest_assignments_since_the_sign_in() -> None:
    centre = Centre(order=fewest_assignments)
    centre.agent("a", items={LEAD: 9})
    assert [first_of(centre, str(n)) for n in range(3)] == ["a", "a", "a"]
    centre.agent("b", items={LEAD: 9})
    assert [first_of(centre, str(n)) for n in range(3, 7)] == ["b", "b", "b", "a"]
    centre.step(SetMode("a", Mode.OFFLINE))
    centre.step(SetMode("a", Mode.READY))
    assert first_of(centre, "7") == "a"


def test_wanted_skills_come_before_the_order_but_exclude_nobody() -> None:
    centre = Centre(order=longest_idle)
    centre.agent("plain", items=EVERYTHING)
    centre.agent("english", {"english": 50}, items=EVERYTHING)
    centre.agent("french", {"french": 90}, items=EVERYTHING)
    assert first_of(centre, "1") == "plain"
    assert first_of(centre, "2", wanted={"english": 2, "french": 1}) == "english"
    assert first_of(centre, "3", wanted={"french": 1}) == "french"
    assert first_of(centre, "4", wanted={"german": 1}) == "plain"


def test_each_queue_may_have_its_own_order() -> None:
    centre = Centre(order=longest_idle)
    centre.agent("idle", {"sales": 10}, items={LEAD: 9, CALL: 1})
    centre.agent("expert", {"sales": 90}, items={LEAD: 9, CALL: 1})
    assert first_of(centre, "1", skills={"sales": 1}) == "idle"
    centre.queue("best", order=best_skill)
    assert first_of(centre, "2", skills={"sales": 1}, queue="best") == "expert"
    assert first_of(centre, "3", skills={"sales": 1}) == "idle"
    centre.queue("support", order=best_skill)
    assert first_of(centre, "4", skills={"sales": 1}) == "expert"
    centre.queue("support")
    assert first_of(centre, "5", skills={"sales": 1}) == "idle"


@pytest.mark.parametrize("order", ORDERS.values(), ids=lambda order: order.name)
def test_a_takeover_goes_on_in_the_same_order(order: AgentOrder) -> None:
    def go_on(centre: Centre) -> list[str]:
        return [first_of(centre, f"later-{n}", skills={"sales": 1}) for n in range(6)]

    centres = [Centre(order=order), Centre(order=order)]
    for centre in centres:
        for agent, level in [("a", 10), ("b", 90), ("c", 50)]:
            centre.agent(agent, {"sales": level}, items={LEAD: 9})
        for n in range(5):
            first_of(centre, str(n), skills={"sales": 1})
        centre.complete("1")
        centre.complete("4")
    taken_over = centres[1]
    taken_over.engine = Engine.restore(taken_over.engine.snapshot(), lambda t: f"assignment-{t}", order=order)
    assert go_on(taken_over) == go_on(centres[0])
