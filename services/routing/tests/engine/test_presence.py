"""Agents whose phone or desktop is gone."""

import pytest
from routing.engine import AgentState, DeviceState, Engine, Mode, SeeDesktop, SetDevice, SetMode, Settings, Settle
from small_centre import CALL, LEAD, Centre, offers

LOST = (AgentState.OFFLINE, "presence_lost")


@pytest.fixture
def centre() -> Centre:
    return Centre(settings=Settings(presence_grace_ms=30_000))


def test_a_phone_that_is_away_too_long_ends_the_shift(centre: Centre) -> None:
    centre.agent("a")
    centre.step(SetDevice("a", DeviceState.UNREACHABLE))
    centre.wait(29)
    assert centre.state("a") == (AgentState.READY, None)
    centre.wait(1)
    assert centre.state("a") == LOST
    centre.step(SetDevice("a", DeviceState.IDLE))
    assert centre.state("a") == LOST, "they sign in themselves"


def test_a_phone_that_comes_back_in_time_changes_nothing(centre: Centre) -> None:
    centre.agent("a")
    centre.step(SetDevice("a", DeviceState.UNREACHABLE))
    centre.wait(29)
    centre.step(SetDevice("a", DeviceState.IDLE))
    centre.step(SetDevice("a", DeviceState.UNREACHABLE))
    centre.wait(29)
    assert centre.state("a") == (AgentState.READY, None)


def test_a_silent_desktop_ends_the_shift(centre: Centre) -> None:
    centre.agent("a")
    centre.step(SeeDesktop("a", (centre.seconds + 60) * 1000))
    centre.wait(60)
    centre.step(SeeDesktop("a", (centre.seconds + 60) * 1000))
    centre.wait(89)
    assert centre.state("a") == (AgentState.READY, None)
    centre.wait(1)
    assert centre.state("a") == LOST


def test_a_desktop_that_was_never_heard_of_is_not_missed(centre: Centre) -> None:
    centre.agent("a")
    centre.wait(86_400)
    assert centre.state("a") == (AgentState.READY, None)


def test_offers_and_leads_go_back_to_their_places(centre: Centre) -> None:
    centre.agent("a", items={LEAD: 3})
    centre.submit("taken", kind=LEAD, waited=100)
    centre.accept("taken")
    centre.submit("offered", kind=LEAD, waited=50)
    centre.accept("offered")
    centre.submit("asked", kind=LEAD, waited=20)
    centre.step(SetDevice("a", DeviceState.UNREACHABLE))
    centre.wait(19)  # the offer expires after 20
    centre.step(SeeDesktop("a", 0))
    centre.wait(11)
    assert [centre.holder(item) for item in ("taken", "offered", "asked")] == [None, None, None]
    assert [offers(centre.agent(agent, items={LEAD: 1})) for agent in ("b", "c", "d")] == [
        [("taken", "b")],
        [("offered", "c")],
        [("asked", "d")],
    ]


def test_a_running_call_stays_with_the_agent(centre: Centre) -> None:
    centre.agent("a", items={CALL: 1, LEAD: 1})
    centre.submit("lead", kind=LEAD)
    centre.accept("lead")
    centre.submit("call")
    centre.accept("call")
    centre.step(SetDevice("a", DeviceState.UNREACHABLE))
    centre.wait(30)
    assert (centre.holder("call"), centre.holder("lead")) == ("a", None)
    assert centre.state("a") == (AgentState.BUSY, None)
    centre.complete("call")
    assert centre.state("a") == LOST


def test_who_signs_in_without_a_phone_has_the_grace_too(centre: Centre) -> None:
    centre.agent("a")
    centre.step(SetMode("a", Mode.OFFLINE))
    centre.step(SetDevice("a", DeviceState.UNREACHABLE))
    centre.wait(60)
    centre.step(SetMode("a", Mode.READY))
    centre.wait(29)
    assert centre.state("a") == (AgentState.READY, None)
    centre.wait(1)
    assert centre.state("a") == LOST


def test_nobody_is_given_up_without_a_grace() -> None:
    centre = Centre()
    centre.agent("a")
    centre.step(SetDevice("a", DeviceState.UNREACHABLE))
    centre.step(SeeDesktop("a", 0))
    centre.wait(86_400)
    assert centre.state("a") == (AgentState.READY, None)


def test_a_grace_that_is_new_or_gone_counts_from_then() -> None:
    centre = Centre()
    centre.agent("a", items={LEAD: 1})
    centre.submit("lead", kind=LEAD)
    centre.accept("lead")
    centre.step(SetDevice("a", DeviceState.UNREACHABLE))

    def settle(grace_ms: int | None) -> None:
        snapshot = centre.engine.snapshot()
        centre.engine = Engine.restore(snapshot, lambda token: f"{token}", Settings(presence_grace_ms=grace_ms))
        centre.step(Settle())

    settle(30_000)
    centre.wait(29)
    settle(None)
    centre.wait(60)
    assert centre.state("a")[0] is not AgentState.OFFLINE
    settle(30_000)
    centre.wait(29)
    assert centre.holder("lead") == "a"
    centre.wait(1)
    assert (centre.state("a"), centre.holder("lead")) == (LOST, None)
