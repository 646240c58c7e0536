"""What an item gives up while it waits. Times in the examples are seconds."""

import pytest
from routing.engine import (
    CancelItem,
    CyclicOverflow,
    Effect,
    Engine,
    ItemChanged,
    ItemQueued,
    Mode,
    PutQueue,
    QueueConfig,
    RemoveQueue,
    RequeueItem,
    Requirement,
    SetMode,
    Step,
    StillInUse,
    UnknownQueue,
)
from small_centre import Centre, kinds, offers


@pytest.fixture
def centre() -> Centre:
    return Centre()


def after(seconds: int, **gives_up: object) -> Step:
    return Step(seconds * 1000, **gives_up)  # type: ignore[arg-type]


def test_of_some_skills_one_is_enough(centre: Centre) -> None:
    centre.agent("a", {"sales": 50, "english": 30})
    assert kinds(centre.submit("1", any_of=[{"german": 50, "english": 50}])) == [ItemQueued]
    assert offers(centre.submit("2", any_of=[{"german": 50, "english": 30}, {"sales": 50}])) == [("2", "a")]
    [a] = centre.engine.explain("1", centre.seconds * 1000).candidates
    assert a.obstacles[0] == "skill none of english 50, german 50"


def test_a_lower_level_is_enough_later_and_at_last_none(centre: Centre) -> None:
    centre.queue("support", steps=(after(30, levels=(("sales", 40),)), after(60, levels=(("*", 0),))))
    centre.agent("novice", {"sales": 40})
    centre.submit("1", skills={"sales": 80})
    centre.submit("2", skills={"sales": 80, "english": 50})
    assert centre.wait(29) == []
    effects = centre.wait(1)
    assert offers(effects) == [("1", "novice")]
    assert [e.reason.step for e in effects if hasattr(e, "reason")] == [1]
    centre.complete("1")
    assert offers(centre.wait(29)) == []
    assert offers(centre.wait(1)) == [("2", "novice")]


def test_other_skills_instead(centre: Centre) -> None:
    centre.queue("support", steps=(after(30, also=(("back-office", 20),)),))
    centre.agent("b", {"back-office": 20})
    centre.submit("1", skills={"sales": 50, "english": 50})
    assert offers(centre.wait(30)) == [("1", "b")]


def test_the_territory_grows_step_by_step(centre: Centre) -> None:
    centre.queue("support", steps=(after(10, wider=1), after(20, wider=1), after(30, wider=1)))
    centre.agent("minhang", territories=["CN-31-0112"])
    centre.agent("beijing", territories=["CN-11"])
    centre.agent("berlin", territories=["DE-BE"])
    for call in "1234":
        centre.submit(call, territory="CN-31-0115")
    assert offers(centre.wait(10)) == [("1", "minhang")]
    centre.accept("1")
    assert offers(centre.wait(10)) == [("2", "beijing")]
    centre.accept("2")
    assert offers(centre.wait(10)) == [("3", "berlin")]


def test_who_covers_more_is_not_lost_when_the_territory_grows(centre: Centre) -> None:
    centre.queue("support", steps=(after(10, wider=1),))
    centre.submit("1", territory="CN-31-0115")
    centre.wait(10)
    assert offers(centre.agent("all-china", territories=["CN"])) == [("1", "all-china")]


def test_priority_is_added(centre: Centre) -> None:
    centre.queue("patient", steps=(after(60, priority=10),))
    centre.submit("old", waited=120)
    centre.submit("raised", queue="patient")
    centre.wait(60)
    assert offers(centre.agent("a")) == [("raised", "a")]


def test_an_item_overflows_to_another_queue_and_begins_there_anew(centre: Centre) -> None:
    centre.queue("second", steps=(after(20, levels=(("sales", 0),)),))
    centre.queue("support", steps=(after(30, levels=(("sales", 0),)), after(60, queue="second")))
    centre.submit("1", skills={"sales": 50})
    effects = centre.wait(60)
    assert kinds(effects) == [ItemChanged, ItemChanged, ItemQueued]
    moved = centre.engine.item("1").item
    assert (moved.queue, moved.step, moved.queued_at) == ("second", 0, centre.seconds * 1000)
    assert offers(centre.agent("a")) == [], "it asks for sales again"
    assert offers(centre.wait(20)) == [("1", "a")]
    assert moved.submitted_at == (centre.seconds - 81) * 1000, "but its place is that of when it came"


def test_an_item_that_comes_back_keeps_its_steps_and_takes_those_that_became_due(centre: Centre) -> None:
    centre.queue("support", offer_timeout_ms=60_000, steps=(after(10, levels=(("sales", 0),)), after(30, wider=1)))
    centre.agent("a", territories=["CN-31"])
    centre.agent("b", territories=["CN-44"])
    centre.submit("1", skills={"sales": 50}, territory="CN-31")
    assert offers(centre.wait(10)) == [("1", "a")]
    centre.wait(30)
    centre.step(SetMode("a", Mode.NOT_READY, "lunch"))
    assert centre.engine.item("1").item.step == 1
    assert offers(centre.wait(0)) == [("1", "b")]
    assert centre.engine.item("1").item.step == 2


def test_what_is_over_takes_no_step(centre: Centre) -> None:
    centre.queue("support", steps=(after(10, wider=1),))
    centre.submit("1", territory="CN-31")
    centre.step(CancelItem("1", "abandoned"))
    assert centre.engine.next_due() is None


def test_other_steps_hold_at_once_for_what_waits(centre: Centre) -> None:
    centre.queue("support", steps=(after(300, levels=(("sales", 0),)),))
    centre.agent("a")
    centre.submit("1", skills={"sales": 50})
    centre.wait(60)
    centre.queue("support", steps=(after(30, levels=(("sales", 0),)),))
    assert offers(centre.wait(0)) == [("1", "a")]


def test_moved_to_another_queue_it_begins_there(centre: Centre) -> None:
    centre.queue("other", steps=(after(30, levels=(("sales", 0),)),))
    centre.submit("1", skills={"sales": 50})
    centre.wait(100)
    centre.step(RequeueItem("1", "moved", "other"))
    centre.agent("a")
    assert offers(centre.wait(28)) == []
    assert offers(centre.wait(1)) == [("1", "a")]


def test_a_takeover_goes_on_at_the_step_that_was_taken(centre: Centre) -> None:
    centre.queue("support", steps=(after(10, levels=(("sales", 50),)), after(30, levels=(("sales", 0),))))
    centre.submit("1", skills={"sales": 80})
    centre.wait(10)
    centre.engine = Engine.restore(centre.engine.snapshot(), lambda token: f"assignment-{token}")
    centre.agent("expert", {"sales": 50})
    assert centre.holder("1") == "expert"
    centre.submit("2", skills={"sales": 80}, waited=20)
    centre.agent("novice")
    assert offers(centre.wait(10)) == [("2", "novice")]


def test_explain_says_what_is_asked_now_and_what_is_given_up_next(centre: Centre) -> None:
    steps = (after(10, wider=1), after(30, levels=(("sales", 0),)))
    centre.queue("support", steps=steps)
    centre.submit("1", skills={"sales": 80}, territory="CN-31-0115")
    submitted_at = centre.seconds * 1000
    centre.wait(10)
    explained = centre.engine.explain("1", centre.seconds * 1000)
    assert explained.requirement == Requirement((("sales", 80),), area="CN-31")
    assert (explained.next_step, explained.next_step_at) == (steps[1], submitted_at + 30_000)


def test_items_must_not_go_round_nor_nowhere(centre: Centre) -> None:
    def overflow(queue: str, target: str) -> list[Effect]:
        return centre.step(PutQueue(QueueConfig(queue, steps=(after(60, queue=target),))))

    centre.queue("c")
    overflow("b", "c")
    overflow("a", "b")
    for queue, target, refusal in [("c", "a", CyclicOverflow), ("c", "c", CyclicOverflow), ("c", "d", UnknownQueue)]:
        with pytest.raises(refusal):
            overflow(queue, target)
    with pytest.raises(StillInUse):
        centre.step(RemoveQueue("c"))


@pytest.mark.parametrize(
    "steps",
    [
        (after(20, wider=1), after(10, wider=1)),
        (after(10, queue="other"), after(20, wider=1)),
    ],
)
def test_steps_that_would_never_be_taken_cannot_be_written_down(steps: tuple[Step, ...]) -> None:
    with pytest.raises(ValueError, match="steps"):
        QueueConfig("support", steps=steps)
