"""Queues that are paused. Times in the examples are seconds."""

import pytest
from routing.engine import Engine, ItemQueued, Mode, RequeueItem, SetMode, Step, UnknownAgent
from small_centre import Centre, kinds, offers


@pytest.fixture
def centre() -> Centre:
    centre = Centre()
    centre.queue("support", paused=True)
    centre.agent("a")
    return centre


def test_nothing_of_a_paused_queue_is_offered_until_it_goes_on(centre: Centre) -> None:
    assert kinds(centre.submit("1")) == [ItemQueued]
    centre.submit("2", priority=1)
    centre.agent("b")
    assert offers(centre.step(SetMode("a", Mode.READY))) == []
    centre.queue("support")
    assert (centre.holder("2"), centre.holder("1")) == ("a", "b")


def test_other_queues_go_on(centre: Centre) -> None:
    centre.queue("other")
    centre.submit("1", waited=60)
    assert offers(centre.submit("2", queue="other")) == [("2", "a")]


def test_pausing_takes_nothing_from_agents(centre: Centre) -> None:
    centre.queue("support")
    centre.submit("1")
    centre.queue("support", paused=True)
    assert centre.holder("1") == "a"
    centre.miss("1")
    assert centre.holder("1") is None


def test_steps_are_taken_meanwhile(centre: Centre) -> None:
    centre.queue("other")
    centre.queue("support", paused=True, steps=(Step(10_000, queue="other"),))
    centre.submit("1")
    assert offers(centre.wait(10)) == [("1", "a")]


def test_a_takeover_leaves_it_paused(centre: Centre) -> None:
    centre.submit("1", prefer="a", patience=60)
    centre.engine = Engine.restore(centre.engine.snapshot(), lambda token: f"assignment-{token}")
    assert centre.holder("1") is None
    centre.queue("support")
    assert centre.holder("1") == "a"


def test_assigned_to_an_agent_it_is_for_nobody_else(centre: Centre) -> None:
    centre.queue("support")
    centre.agent("b")
    centre.step(SetMode("b", Mode.NOT_READY, "lunch"))
    centre.submit("1")
    assert centre.holder("1") == "a"
    until = (centre.seconds + 60) * 1000
    centre.step(RequeueItem("1", "assigned", preferred_agent="b", preferred_until=until))
    assert centre.holder("1") is None
    assert offers(centre.step(SetMode("b", Mode.READY))) == [("1", "b")]
    with pytest.raises(UnknownAgent):
        centre.step(RequeueItem("1", "assigned", preferred_agent="nobody"))
