"""What is over does not stay in memory."""

from routing.engine import (
    AgentProfile,
    CancelItem,
    Engine,
    Item,
    Mode,
    PutAgent,
    PutQueue,
    QueueConfig,
    Requirement,
    SetMode,
    SubmitItem,
    WorkKind,
    matching,
)
from routing.engine.timers import Timer, Timers


def test_a_timer_that_fired_or_was_stopped_does_not_come_back() -> None:
    timers = Timers()
    for n in range(1_000):
        timers.set(Timer.OFFER_EXPIRES, f"{n}", n)
    assert timers.pop_due(0) == (Timer.OFFER_EXPIRES, "0")
    for n in range(1, 999):
        timers.cancel(Timer.OFFER_EXPIRES, f"{n}")
    assert len(timers._heap) < 100
    assert timers.next_due() == 999
    assert timers.pop_due(1_000) == (Timer.OFFER_EXPIRES, "999")
    assert timers.pop_due(1_000) is None


def test_requirements_that_nobody_asks_for_any_more_are_forgotten() -> None:
    engine = Engine(str)
    engine.step(PutQueue(QueueConfig("queue")), 0)
    skills = {f"skill-{n}": 50 for n in range(1_000)}
    engine.step(PutAgent("agent", AgentProfile(skills, device_id="phone")), 0)
    engine.step(SetMode("agent", Mode.READY), 0)
    for skill in skills:
        engine.step(SubmitItem(Item(skill, WorkKind.CALL, "queue", Requirement.of({skill: 50}), 0, 0)), 0)
        engine.step(CancelItem(skill, "abandoned"), 0)
    floor = engine._floor
    assert len(floor.matching._demands) == matching.SPARE_DEMANDS
    agent_class = floor.agents["agent"].agent_class
    assert agent_class is not None
    assert sum(map(len, agent_class.lines)) <= matching.SPARE_DEMANDS
