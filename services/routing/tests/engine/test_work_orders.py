"""Which of several waiting items is first. Times in the examples are seconds."""

import pytest
from routing.engine import ChangePriority, QueueConfig, RequeueItem, WorkKind
from small_centre import EVERYTHING, LEAD, Centre, offers


@pytest.fixture
def centre() -> Centre:
    return Centre()


def order_of(centre: Centre, *items: str) -> list[str]:
    """In which order one agent, who comes now, is given them."""
    centre.agent("agent", items=dict.fromkeys(WorkKind, 1), total=1)
    taken = []
    for _ in items:
        [item] = [item for item in items if item not in taken and centre.holder(item)]
        taken.append(item)
        centre.complete(item)
    return taken


@pytest.mark.parametrize(("minutes", "first"), [(0, "3+1"), (1, "1+5")])
def test_credited_waiting(centre: Centre, minutes: int, first: str) -> None:
    """Initial 1 and 5 a minute, against 3 and 1 a minute: behind at first (1 and 3), ahead a minute later (6 and 4)."""
    centre.queue("1+5", priority=1, acceleration=5)
    centre.queue("3+1", priority=3)
    centre.submit("1+5", queue="1+5", waited=60 * minutes)
    centre.submit("3+1", queue="3+1", waited=60 * minutes)
    assert offers(centre.agent("a"))[0][0] == first


def test_the_order_changes_while_they_wait_without_anything_being_touched(centre: Centre) -> None:
    centre.queue("1+5", priority=1, acceleration=5)
    centre.queue("3+1", priority=3)
    for n in range(2):
        centre.submit(f"fast-{n}", queue="1+5")
        centre.submit(f"slow-{n}", queue="3+1")
    centre.agent("a")
    assert centre.holder("slow-0") == "a"
    centre.accept("slow-0")
    centre.wait(60)
    assert offers(centre.complete("slow-0")) == [("fast-0", "a")]


def test_a_higher_class_comes_first_however_long_others_wait(centre: Centre) -> None:
    centre.queue("emergency", priority_class=1)
    centre.submit("old", priority=1000, waited=86_400)
    centre.submit("emergency", queue="emergency")
    assert order_of(centre, "old", "emergency") == ["emergency", "old"]


def test_by_the_time_left_over_queues_and_kinds(centre: Centre) -> None:
    centre.queue("day", due_after_ms=86_400_000)
    centre.queue("hour", due_after_ms=3_600_000)
    centre.submit("request", WorkKind.SERVICE_REQUEST, queue="day", waited=86_000)
    centre.submit("lead", LEAD, queue="hour", waited=3_000)
    centre.submit("call", queue="hour", waited=100)
    assert order_of(centre, "lead", "call", "request") == ["request", "lead", "call"]


def test_a_deadline_of_its_own(centre: Centre) -> None:
    centre.queue("hour", due_after_ms=3_600_000)
    centre.submit("1", queue="hour", waited=60)
    centre.submit("2", queue="hour")
    centre.step(RequeueItem("2", "urgent", due_at=(centre.seconds + 600) * 1000))
    assert order_of(centre, "1", "2") == ["2", "1"]


def test_other_settings_put_what_waits_in_order_at_once(centre: Centre) -> None:
    centre.queue("other")
    centre.submit("1", waited=600)
    centre.submit("2", queue="other", waited=60)
    centre.queue("other", acceleration=20)
    centre.step(ChangePriority("1", 1))
    assert order_of(centre, "1", "2") == ["2", "1"]


def test_items_of_different_accelerations_withdrawn_together_go_on_in_their_order(centre: Centre) -> None:
    centre.queue("fast", acceleration=10)
    centre.agent("a", items=EVERYTHING)
    centre.submit("slow", LEAD, waited=300)
    centre.submit("fast", LEAD, queue="fast", waited=60)
    centre.agent("b", items={LEAD: 1})
    centre.miss("slow")
    centre.complete("slow")
    assert centre.holder("fast") == "a"


@pytest.mark.parametrize("wrong", [{"acceleration": 0}, {"acceleration": 1001}, {"due_after_ms": -1}])
def test_impossible_orders_cannot_be_written_down(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="acceleration"):
        QueueConfig("support", **wrong)  # type: ignore[arg-type]
