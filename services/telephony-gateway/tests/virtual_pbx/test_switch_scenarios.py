"""What a switch does in the cases that matter, under virtual time."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from telephony_gateway.virtual_pbx.core import commands
from telephony_gateway.virtual_pbx.core.model import Event, Refused
from telephony_gateway.virtual_pbx.core.scripts import (
    Behaviour,
    CallerScript,
    Fixed,
    HoldHabit,
    Keys,
    MoveHabit,
    MoveKind,
    PartyScript,
    Side,
)
from telephony_gateway.virtual_pbx.core.switch import Switch

SECOND = 1_000_000
NUMBER = "+8613800138000"


class Bench:
    """A switch, a clock in hand, and everything that was said."""

    def __init__(self) -> None:
        self.switch = Switch(boot="b1", now_us=0, chance=random.Random(7).random)
        self.switch.set_trunk("pstn", ["4008100"], 100)
        self.events: list[Event] = []

    def device(self, name: str, behaviour: Behaviour | None = None, **state: bool) -> None:
        self.switch.set_device(name, behaviour=behaviour, **state)
        self.look()

    def call(self, **script: Any) -> str:
        """Somebody calls: the call's name."""
        self.switch.place_call(CallerScript(did="4008100", number=NUMBER, **script))
        self.switch.advance(self.switch.now_us)
        return str(self.look()[-1].body["call"])

    def at(self, seconds: float) -> list[Event]:
        """Go on to a moment: what was said until then."""
        self.switch.advance(round(seconds * SECOND))
        return self.look()

    def look(self) -> list[Event]:
        events = self.switch.take_events()
        self.events += events
        return events

    def connect(self, call: str, leg: str, device: str, timeout_s: float = 20.0) -> None:
        commands.connect(self.switch, call, leg, device, timeout_s)

    def story(self) -> list[str]:
        """What was said about calls, in short."""
        return [_short(event) for event in self.events if event.kind != "device"]

    def counts(self, *names: str) -> list[int]:
        return [getattr(self.switch.counts, name) for name in names]


def _short(event: Event) -> str:
    extra = [str(event.body[key]) for key in ("leg", "reason", "by", "digit") if key in event.body]
    return " ".join([event.kind, *extra])


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_call_rings_is_answered_and_ends_when_all_is_said(bench: Bench) -> None:
    bench.device("1001", Behaviour(answer_after=Fixed(3.0)))
    call = bench.call(talk=Fixed(60.0), patience=Fixed(10.0))
    bench.connect(call, "L1", "1001")
    bench.at(100)
    assert bench.story() == [
        "offered",
        "leg_initiated L1",
        "leg_ringing L1",
        "leg_answered L1",
        "leg_ended L1",
        "ended customer",
    ]
    [record] = bench.switch.records
    assert (record.outcome, record.by, record.devices, record.attempts) == ("answered", "customer", ("1001",), 1)
    assert record.answered_us == 3_020_000 and record.ended_us == 63_020_000
    states = [event.body["state"] for event in bench.events if event.kind == "device"]
    assert states == ["idle", "in_use", "idle"]


def test_who_is_not_answered_waits_again_and_the_next_device_gets_the_call(bench: Bench) -> None:
    bench.device("1001", Behaviour(answer_after=None))
    bench.device("1002")
    call = bench.call(talk=Fixed(5.0))
    bench.connect(call, "L1", "1001", timeout_s=10.0)
    bench.at(10)
    assert bench.story()[-2:] == ["leg_failed L1 no_answer", "waiting"]
    bench.connect(call, "L2", "1002")
    bench.at(60)
    assert bench.story()[-2:] == ["leg_ended L2", "ended customer"]
    assert bench.counts("offered", "answered", "completed", "double_connects") == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("prepare", "reason", "initiated", "at_us"),
    [
        (lambda bench: bench.device("1001", registered=False), "unreachable", False, 0),
        (lambda bench: bench.device("1001", powered=False), "no_answer", True, 20 * SECOND),
        (lambda bench: bench.device("1001", Behaviour(decline_chance=1.0)), "declined", True, 2_020_000),
        (lambda bench: bench.switch.use_privately(bench.switch.devices["1001"], SECOND), "busy", True, 0),
    ],
    ids=["not registered", "switched off", "declines", "busy"],
)
def test_a_device_that_does_not_take_a_call(
    bench: Bench, prepare: Callable[[Bench], None], reason: str, initiated: bool, at_us: int
) -> None:
    bench.device("1001")
    prepare(bench)
    call = bench.call()
    bench.connect(call, "L1", "1001")
    bench.at(30)
    [failed] = [event for event in bench.events if event.kind == "leg_failed"]
    assert (failed.body["reason"], failed.at_us) == (reason, at_us)
    kinds = [event.kind for event in bench.events]
    assert ("leg_initiated" in kinds) is initiated
    assert ("leg_ringing" in kinds) is (reason == "declined")
    assert call in bench.switch.waiting


def test_a_caller_loses_patience_while_the_phone_rings_and_calls_again(bench: Bench) -> None:
    bench.device("1001", Behaviour(answer_after=Fixed(8.0)))
    call = bench.call(patience=Fixed(5.0), retries=1, retry_after_s=30.0)
    bench.connect(call, "L1", "1001")
    bench.at(10)
    assert bench.story()[-2:] == ["leg_failed L1 cancelled", "ended customer"]
    bench.at(36)
    assert bench.story()[-1] == "offered"
    bench.at(100)
    assert bench.counts("placed", "offered", "abandoned", "answered") == [2, 2, 2, 0]


def test_patience_begins_anew_when_a_blind_transfer_comes_to_nothing(bench: Bench) -> None:
    bench.device("1001")
    bench.device("1002", Behaviour(answer_after=None))
    call = bench.call(patience=Fixed(30.0), talk=Fixed(60.0))
    bench.connect(call, "L1", "1001")
    bench.at(10)
    commands.transfer_blind(bench.switch, call, "L1", "T1", "1002", 15.0)
    bench.at(25)
    assert bench.story()[-7:] == [
        "leg_answered L1",
        "transferred T1",
        "leg_ended L1",
        "leg_initiated T1",
        "leg_ringing T1",
        "leg_failed T1 no_answer",
        "waiting",
    ]
    bench.at(39)
    assert call in bench.switch.calls
    bench.at(41)
    assert bench.story()[-1] == "ended customer"
    assert bench.switch.records[-1].outcome == "answered"


def test_a_hold_does_not_eat_into_the_conversation(bench: Bench) -> None:
    bench.device("1001", Behaviour(answer_after=Fixed(0.0), hold=HoldHabit(1.0, Fixed(10.0), Fixed(20.0))))
    call = bench.call(talk=Fixed(30.0))
    bench.connect(call, "L1", "1001")
    bench.at(100)
    times = {event.kind: event.at_us / SECOND for event in bench.events}
    assert (times["leg_held"], times["leg_retrieved"], times["ended"]) == (10.02, 30.02, 50.02)


def test_attended_transfer_and_conference_by_habit(bench: Bench) -> None:
    def asks(kind: MoveKind) -> Behaviour:
        return Behaviour(move=MoveHabit(1.0, kind, Fixed(5.0), ("1002",), consult=Fixed(4.0)))

    bench.device("1001", asks(MoveKind.ATTENDED))
    bench.device("1002")
    call = bench.call(talk=Fixed(60.0), hang_up=Side.AGENT)
    bench.connect(call, "L1", "1001")
    bench.at(200)
    leg = next(event.body["leg"] for event in bench.events if event.body.get("consults") == "L1")
    assert bench.story()[3:] == [
        "leg_answered L1",
        "leg_held L1",
        f"leg_initiated {leg}",
        f"leg_ringing {leg}",
        f"leg_answered {leg}",
        f"transferred {leg}",
        "leg_ended L1",
        f"leg_ended {leg}",
        "ended agent",
    ]
    assert bench.switch.records[-1].devices == ("1001", "1002")
    bench.events.clear()
    bench.device("1001", asks(MoveKind.CONFERENCE))
    call = bench.call(talk=Fixed(60.0))
    bench.connect(call, "L2", "1001")
    bench.at(500)
    kinds = [event.kind for event in bench.events if event.kind != "device"]
    assert kinds[-5:] == ["leg_retrieved", "conferenced", "leg_ended", "leg_ended", "ended"]
    assert bench.counts("double_answers", "double_connects", "transfers", "conferences") == [0, 0, 1, 1]


def test_a_colleague_who_still_rings_joins_when_they_pick_up(bench: Bench) -> None:
    bench.device("1001")
    bench.device("1002", Behaviour(answer_after=Fixed(5.0)))
    call = bench.call(talk=Fixed(60.0))
    bench.connect(call, "L1", "1001")
    bench.at(10)
    commands.consult(bench.switch, call, "L1", "L2", "1002", 20.0)
    bench.at(12)
    commands.confer(bench.switch, call, "L1", "L2", "1002", 20.0)
    assert bench.at(14) == []
    assert bench.switch.calls[call].legs["L2"].consults is bench.switch.calls[call].legs["L1"]
    bench.at(16)
    assert bench.story()[-3:] == ["leg_answered L2", "leg_retrieved L1", "conferenced L2"]


def test_an_agent_returns_to_the_customer_when_the_colleague_does_not_answer(bench: Bench) -> None:
    move = MoveHabit(1.0, MoveKind.ATTENDED, Fixed(5.0), ("1002",), timeout_s=6.0)
    bench.device("1001", Behaviour(move=move))
    bench.device("1002", Behaviour(answer_after=None))
    call = bench.call(talk=Fixed(60.0))
    bench.connect(call, "L1", "1001")
    bench.at(200)
    kinds = [event.kind for event in bench.events if event.kind != "device"]
    assert kinds[3:] == [
        "leg_answered",
        "leg_held",
        "leg_initiated",
        "leg_ringing",
        "leg_failed",
        "leg_retrieved",
        "leg_ended",
        "ended",
    ]


def test_two_agents_for_one_call_are_reported(bench: Bench) -> None:
    bench.device("1001")
    bench.device("1002")
    call = bench.call(talk=Fixed(60.0))
    bench.connect(call, "L1", "1001")
    bench.connect(call, "L2", "1002")
    bench.at(10)
    assert bench.counts("double_connects", "double_answers") == [1, 1]
    assert [(offence.kind, offence.leg, offence.others) for offence in bench.switch.offences] == [
        ("double_connect", "L2", ("L1@1001",)),
        ("double_answer", "L2", ("L1@1001",)),
    ]


def test_a_connect_after_the_end_is_refused_and_counted(bench: Bench) -> None:
    bench.device("1001")
    call = bench.call(patience=Fixed(1.0))
    bench.at(2)
    with pytest.raises(Refused, match="no-such-call"):
        bench.connect(call, "L1", "1001")
    assert bench.counts("connects_to_dead_calls", "abandoned") == [1, 1]


def test_a_leg_is_named_once(bench: Bench) -> None:
    bench.device("1001", Behaviour(answer_after=None))
    bench.device("1002")
    call = bench.call()
    bench.connect(call, "L1", "1001", timeout_s=5.0)
    bench.connect(call, "L1", "1001", timeout_s=5.0)
    bench.at(10)
    bench.connect(call, "L1", "1001", timeout_s=5.0)
    bench.at(20)
    assert [kind for kind in bench.story() if kind.startswith("leg_failed")] == ["leg_failed L1 no_answer"]
    with pytest.raises(Refused, match="name-used"):
        bench.connect(call, "L1", "1002")


def test_clearing_a_leg_gives_the_customer_back_to_the_queue(bench: Bench) -> None:
    bench.device("1001")
    call = bench.call(talk=Fixed(60.0))
    bench.connect(call, "L1", "1001")
    bench.at(10)
    commands.clear_leg(bench.switch, call, "L1")
    bench.at(11)
    assert bench.story()[-2:] == ["leg_ended L1", "waiting"]
    commands.clear_leg(bench.switch, call, "L1")
    assert bench.at(12) == []


def test_keys_are_told_one_by_one(bench: Bench) -> None:
    bench.call(keys=(Keys(1.0, "1#"),), patience=Fixed(5.0))
    bench.at(10)
    digits = [(event.body["digit"], event.at_us) for event in bench.events if event.kind == "digit"]
    assert digits == [("1", SECOND), ("#", 1_200_000)]


def test_click_to_dial_rings_the_agent_and_then_the_customer(bench: Bench) -> None:
    bench.device("1001")
    bench.switch.parties["+85221234567"] = PartyScript(talk=Fixed(30.0))
    bench.switch.parties["+85229999999"] = PartyScript(busy=True)
    commands.originate(bench.switch, "C1", "L1", "1001", "+85221234567", 20.0, None)
    bench.at(100)
    assert bench.story() == [
        "offered",
        "leg_initiated L1",
        "leg_ringing L1",
        "leg_answered L1",
        "customer_ringing",
        "customer_answered",
        "leg_ended L1",
        "ended customer",
    ]
    commands.originate(bench.switch, "C2", "L2", "1001", "+85229999999", 20.0, "pstn")
    bench.at(200)
    assert bench.story()[-2:] == ["leg_ended L2", "ended pbx"]
    assert bench.counts("outbound", "outbound_answered", "outbound_ended", "offered") == [2, 1, 2, 0]


def test_calls_that_find_no_line_are_turned_away(bench: Bench) -> None:
    bench.switch.set_trunk("pstn", ["4008100"], 1)
    bench.call(patience=Fixed(5.0))
    bench.switch.place_call(CallerScript(did="4008100", retries=1, retry_after_s=10.0))
    bench.switch.place_call(CallerScript(did="1234567"))
    bench.at(1)
    assert bench.counts("placed", "rejected", "offered") == [3, 2, 1]
    bench.at(11)
    assert bench.counts("placed", "rejected", "offered") == [4, 2, 2]


def test_a_crash_ends_all_calls_without_a_word_and_no_name_comes_again(bench: Bench) -> None:
    bench.device("1001")
    talking, waiting = bench.call(talk=Fixed(60.0)), bench.call()
    bench.connect(talking, "L1", "1001")
    bench.at(5)
    bench.switch.crash()
    assert bench.at(6) == [] and not bench.switch.calls and bench.switch.devices["1001"].leg is None
    bench.switch.place_call(CallerScript(did="4008100"))
    bench.at(7)
    bench.switch.restart("b2")
    assert bench.switch.seq == 0
    again = bench.call()
    assert again not in (talking, waiting)
    assert bench.counts("died", "died_answered", "rejected", "offered") == [2, 1, 1, 3]


def test_a_call_that_nobody_heard_of_is_remembered_as_it_was(bench: Bench) -> None:
    bench.device("1001")
    call = bench.call(talk=Fixed(5.0))
    bench.connect(call, "L1", "1001")
    bench.at(30)
    [past] = bench.switch.calls_ended_since(0)
    assert (past.call.id, past.by, past.ended_us) == (call, "customer", 7_020_000)
    assert [(leg.id, leg.state, leg.answered_us) for leg in past.legs] == [("L1", "connected", 2_020_000)]
    assert bench.switch.calls_ended_since(8 * SECOND) == []


def test_the_heap_does_not_keep_what_was_cancelled(bench: Bench) -> None:
    bench.device("1001", Behaviour(answer_after=Fixed(0.0)))
    bench.switch.counts.placed = 0
    for _ in range(3000):
        call = bench.call(patience=Fixed(100_000.0), talk=Fixed(0.0))
        bench.connect(call, bench.switch.new_name("gw"), "1001")
        bench.at(bench.switch.now_us / SECOND + 1)
    assert len(bench.switch.timers) == 0
    assert len(bench.switch.timers._heap) < 2500
