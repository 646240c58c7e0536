"""The call model, driven by whatever a PBX might say, in any order."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from telephony_gateway.domain import control
from telephony_gateway.domain.announcements import Kind, announce
from telephony_gateway.domain.call import Call, Hold, Span
from telephony_gateway.domain.lines import Line
from telephony_gateway.domain.pbx_commands import ClearLeg, Connect
from telephony_gateway.domain.pbx_events import (
    AttributesSet,
    CallCleared,
    CallConferenced,
    CallEvent,
    CallOffered,
    CallTransferred,
    CommandDone,
    CommandRefused,
    ConnectionUp,
    CustomerAlerting,
    CustomerAnswered,
    CustomerLeft,
    CustomerWaits,
    DigitPressed,
    LegAlerting,
    LegAnswered,
    LegCleared,
    LegDiverted,
    LegFailed,
    LegHeld,
    LegInitiated,
    LegRetrieved,
    LiveCall,
    LiveLeg,
)
from telephony_gateway.domain.resync import end_unseen, lay_over
from telephony_gateway.domain.transitions import Outcome, apply, new_call, settle
from telephony_gateway.domain.words import CallState, Direction, FailureReason, LegState, Party
from telephony_gateway.storage import call_json
from telephony_gateway.usecases.publish_call import to_contract

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
LINE = Line("main", "/cn/east", "carrier", "CN", "CN-31")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def offered(direction: Direction = Direction.INBOUND, **fields: object) -> Call:
    event = CallOffered(at=START, call="c1", direction=direction, dialled="4008100", from_number="13800138000")
    return new_call("pbx-1", LINE, replace(event, **fields))  # type: ignore[arg-type]


def assigned(token: int = 1, seconds: float = 20, **fields: object) -> control.Assigned:
    given_fields = {"assignment_id": uuid4(), "agent_id": "a1001", "device_id": "1001"} | fields
    return control.Assigned(token=token, expires_at=at(seconds), **given_fields)  # type: ignore[arg-type]


def played(call: Call, *events: CallEvent) -> Call:
    for event in events:
        call, _ = apply(call, event)
    return call


def kinds(before: Call | None, after: Call) -> list[str]:
    return [announcement.kind.value for announcement in announce(before, after)]


LEGS = st.sampled_from(["x", "y", "z"])
TIMES = st.floats(0, 100).map(lambda s: at(round(s, 1)))
DEVICES = st.sampled_from([None, "1001", "1002", "PJSIP/1003"])


def events(legs: st.SearchStrategy[str]) -> st.SearchStrategy[CallEvent]:
    plain = [LegAlerting, LegAnswered, LegHeld, LegRetrieved, CallConferenced]
    return st.one_of(
        *(st.builds(kind, at=TIMES, call=st.just("c1"), leg=legs, device=DEVICES) for kind in plain),
        st.builds(LegInitiated, at=TIMES, call=st.just("c1"), leg=legs, device=DEVICES, consults=st.none() | LEGS),
        st.builds(
            LegFailed,
            at=TIMES,
            call=st.just("c1"),
            leg=legs,
            device=DEVICES,
            reason=st.sampled_from(FailureReason),
            cause=st.text(),
        ),
        st.builds(CallTransferred, at=TIMES, call=st.just("c1"), leg=legs, device=DEVICES, from_leg=st.none() | legs),
        st.builds(LegCleared, at=TIMES, call=st.just("c1"), leg=legs, device=DEVICES),
        st.builds(DigitPressed, at=TIMES, call=st.just("c1"), digit=st.text(max_size=2), leg=st.none() | legs),
        st.builds(
            AttributesSet,
            at=TIMES,
            call=st.just("c1"),
            attributes=st.dictionaries(st.text(max_size=3), st.text(), max_size=3),
        ),
        st.builds(CustomerAlerting, at=TIMES, call=st.just("c1")),
        st.builds(CustomerAnswered, at=TIMES, call=st.just("c1")),
        st.builds(CustomerWaits, at=TIMES, call=st.just("c1")),
    )


class CallMachine(RuleBasedStateMachine):
    """A PBX that says anything, routing that assigns and withdraws, people who press buttons."""

    @initialize(direction=st.sampled_from(Direction))
    def offer(self, direction: Direction) -> None:
        self.call = offered(direction)
        self.told: list[tuple[Kind, UUID | None]] = [(a.kind, a.connection_id) for a in announce(None, self.call)]
        self.token = 0
        self.ordinary: list[str] = []

    def become(self, changed: Call) -> None:
        before, self.call = self.call, changed
        if before.is_cleared:
            assert changed.is_cleared
            assert (changed.cleared_at, changed.cleared_by) == (before.cleared_at, before.cleared_by)
        for known in before.connections:
            connection, now = known, changed.leg(known.leg)
            if not connection.is_live and now is not None:
                if changed.is_cleared and now.ended_at != connection.ended_at:
                    # Given up by our own clock later than when, as the PBX says now, the whole call was over.
                    assert now.ended_at < connection.ended_at
                    connection = replace(connection, ended_at=now.ended_at)
                assert now == connection
        told = announce(before, changed)
        assert announce(changed, changed) == ()
        self.told += [(a.kind, a.connection_id) for a in told]

    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        legs = LEGS | st.sampled_from(self.ordinary) if self.ordinary else LEGS
        event = data.draw(events(legs))
        changed, outcome = apply(self.call, event)
        assert (changed is not self.call) == (outcome is Outcome.APPLIED)
        if self.call.is_cleared:
            assert outcome is Outcome.AFTER_END
        again, second = apply(changed, event)
        assert second is not Outcome.APPLIED or again.orders != changed.orders, "an event twice is an event once"
        self.become(changed)

    @rule(when=TIMES, by=st.sampled_from(Party))
    def clear(self, when: datetime, by: Party) -> None:
        self.become(apply(self.call, CallCleared(at=when, call="c1", by=by, cause="16"))[0])

    @rule(token=st.integers(-2, 3), when=TIMES, seconds=st.floats(-5, 120), device=st.none() | st.just("1001"))
    def assign(self, token: int, when: datetime, seconds: float, device: str | None) -> None:
        self.token = max(1, self.token + token)
        given_assignment = assigned(self.token, seconds, device_id=device)
        newest = self.call.newest_token
        changed = control.connect(self.call, given_assignment, when)
        assert control.connect(changed, given_assignment, when) is changed
        leg = changed.leg(str(given_assignment.assignment_id))
        assert leg is not None
        if self.token < newest or self.call.is_cleared or self.call.joined():
            assert leg.failure is FailureReason.CANCELLED
        self.ordinary.append(leg.leg)
        self.become(changed)

    @rule(data=st.data(), when=TIMES)
    def withdraw(self, data: st.DataObject, when: datetime) -> None:
        if self.ordinary and not self.call.is_cleared:
            leg = data.draw(st.sampled_from(self.ordinary))
            self.become(control.withdraw(self.call, UUID(leg), when))

    @rule(when=TIMES, refused=st.booleans(), reason=st.sampled_from(["no-such-call", "no-such-device", "wrong-state"]))
    def settle_one(self, when: datetime, refused: bool, reason: str) -> None:
        if self.call.pending:
            command_id = self.call.pending[0].order_id
            done = CommandDone(at=when, command_id=command_id)
            no = CommandRefused(at=when, command_id=command_id, reason=reason, detail="\0why")
            self.become(settle(self.call, no if refused else done))

    @rule(
        data=st.data(), when=TIMES, wish=st.sampled_from(["leave", "answer", "hold", "retrieve", "transfer_attended"])
    )
    def wish(self, data: st.DataObject, when: datetime, wish: str) -> None:
        if self.call.connections:
            agent = data.draw(st.sampled_from(self.call.connections))
            try:
                self.become(getattr(control, wish)(self.call, agent, uuid4(), when))
            except control.NotPossible as refusal:
                assert refusal.detail

    @rule(data=st.data(), when=TIMES, blind_since=st.none() | TIMES)
    def resynchronise(self, data: st.DataObject, when: datetime, blind_since: datetime | None) -> None:
        up = ConnectionUp(at=when, started_at=data.draw(st.none() | TIMES))
        names = sorted({c.leg for c in self.call.connections} | {"x", "new"})
        states = st.sampled_from([LegState.INITIATED, LegState.ALERTING, LegState.CONNECTED, LegState.HELD])
        legs = data.draw(st.lists(st.sampled_from(names), unique=True, max_size=3))
        live = LiveCall(
            call="c1",
            direction=self.call.direction,
            dialled="4008100",
            offered_at=START,
            legs=tuple(
                LiveLeg(leg=leg, device="1001", state=data.draw(states), consults=data.draw(st.none() | LEGS))
                for leg in legs
            ),
        )
        changed = lay_over(self.call, live, up, blind_since)
        for leg in changed.live():
            waits_to_be_called = leg.state is LegState.INITIATED and changed.pending
            assert leg.leg in legs or waits_to_be_called, "no ghost legs"
        self.become(changed)
        if data.draw(st.booleans()):
            self.become(end_unseen(self.call, up, blind_since))
        repeated, commands = control.commands_to_repeat(self.call, when)
        assert {command.command_id for command in commands} <= {order.order_id for order in repeated.pending}
        self.become(repeated)

    @invariant()
    def times_are_in_order(self) -> None:
        if not hasattr(self, "call"):
            return
        for c in self.call.connections:
            steps = [t for t in (c.initiated_at, c.alerting_at, c.answered_at, c.ended_at) if t is not None]
            assert steps == sorted(steps)
            assert (c.ended_at is None) == c.is_live
            assert_well_formed(c.holds, may_be_open=c.is_live)
        assert_well_formed(self.call.talk, may_be_open=not self.call.is_cleared)
        if self.call.cleared_at is not None:
            assert not self.call.live()
            assert not self.call.pending
            # Assignments that came too late are noted on the call that is over.
            ends = [c.ended_at for c in self.call.connections if c.ended_at and c.initiated_at <= self.call.cleared_at]
            assert self.call.cleared_at >= max([self.call.offered_at, *ends])

    @invariant()
    def two_agents_never_get_one_call(self) -> None:
        if hasattr(self, "call"):
            there = [c for c in self.call.joined() if c.leaving_at is None]
            chosen = [c for c in there if c.assignment_id is not None and c.moved_at is None]
            assert len(chosen) <= 1

    @invariant()
    def state_follows_from_legs(self) -> None:
        if hasattr(self, "call") and not self.call.is_cleared:
            assert (self.call.state is CallState.ESTABLISHED) == bool(self.call.joined())

    @invariant()
    def each_thing_is_told_once(self) -> None:
        if not hasattr(self, "call"):
            return
        once = {
            Kind.OFFERED,
            Kind.ALERTING,
            Kind.ANSWERED,
            Kind.CONNECTION_FAILED,
            Kind.CONNECTION_CLEARED,
            Kind.CLEARED,
        }
        told = [(kind, of) for kind, of in self.told if kind in once]
        assert len(told) == len(set(told))
        ended = {of for kind, of in told if kind in (Kind.CONNECTION_FAILED, Kind.CONNECTION_CLEARED)}
        over = {c.connection_id for c in self.call.connections if not c.is_live}
        if not self.call.is_cleared:
            assert ended == over

    @invariant()
    def it_can_be_stored_and_published(self) -> None:
        if hasattr(self, "call"):
            assert call_json.from_plain(json.loads(call_json.to_json(self.call))) == self.call
            assert to_contract(self.call).call_id == self.call.call_id


def assert_well_formed(spans: tuple[Span, ...], *, may_be_open: bool) -> None:
    for index, span in enumerate(spans):
        last = index == len(spans) - 1
        assert span.ended_at is not None or (last and may_be_open)
        assert span.ended_at is None or span.ended_at >= span.started_at
        if not last:
            assert span.ended_at is not None
            assert span.ended_at <= spans[index + 1].started_at


CallMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestCallMachine = CallMachine.TestCase


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[CallEvent], list[CallEvent]]:
    """What happened to a call: facts in order, then the ends of its legs."""
    facts: list[CallEvent] = []
    ends: list[CallEvent] = []
    for number in range(draw(st.integers(1, 3))):
        leg, device = f"leg-{number}", f"100{number}"
        begins = draw(st.integers(0, 50))
        consults = f"leg-{number - 1}" if number and draw(st.booleans()) else None
        facts.append(LegInitiated(at=at(begins), call="c1", leg=leg, device=device, consults=consults))
        facts.append(LegAlerting(at=at(begins + 1), call="c1", leg=leg, device=device))
        if draw(st.booleans()):
            facts.append(LegAnswered(at=at(begins + 5), call="c1", leg=leg, device=device))
            for hold in range(draw(st.integers(0, 3))):
                held_at = begins + 10 + 4 * hold
                facts.append(LegHeld(at=at(held_at), call="c1", leg=leg, device=device))
                facts.append(LegRetrieved(at=at(held_at + 2), call="c1", leg=leg, device=device))
            if number and draw(st.booleans()):
                moved = draw(st.sampled_from([CallTransferred, CallConferenced]))
                facts.append(moved(at=at(begins + 6), call="c1", leg=leg, device=device))
            if draw(st.booleans()):
                ends.append(LegCleared(at=at(begins + 40), call="c1", leg=leg))
        elif draw(st.booleans()):
            ends.append(LegFailed(at=at(begins + 20), call="c1", leg=leg, reason=FailureReason.NO_ANSWER))
    for position, key in enumerate(draw(st.text("0123456789*#", max_size=4))):
        facts.append(DigitPressed(at=at(position / 10), call="c1", digit=key))
    for moment in draw(st.lists(st.integers(0, 20), max_size=4)):
        facts.append(AttributesSet(at=at(moment), call="c1", attributes={"menu": str(moment)}))
    return facts, ends


@settings(max_examples=60, deadline=None)
@given(history=histories(), data=st.data())
def test_the_order_and_number_of_events_does_not_matter(
    history: tuple[list[CallEvent], list[CallEvent]], data: st.DataObject
) -> None:
    """As long as a leg's end comes after its life, and the call's after both."""
    facts, ends = history
    in_order = played(offered(), *facts, *ends)
    told_badly = data.draw(st.permutations(facts * 2))
    badly_ended = data.draw(st.permutations(ends * 2))
    shuffled = played(offered(), *told_badly, *badly_ended)
    waits = CustomerWaits(at=at(150), call="c1")
    assert played(shuffled, waits) == played(in_order, waits)
    end = CallCleared(at=at(200), call="c1", by=Party.CUSTOMER)
    over = played(shuffled, end, *facts)
    assert over == played(in_order, end)
    assert over.talk == played(in_order, end).talk


def test_an_answered_call_from_ring_to_hang_up() -> None:
    waiting = offered(from_name="王小明", attributes={"menu": "2"})
    assert kinds(None, waiting) == ["offered"]
    assert (waiting.from_number, waiting.from_raw, waiting.territory) == ("+8613800138000", "13800138000", "CN-31")
    chosen = assigned()
    connecting = control.connect(waiting, chosen, at(1))
    assert kinds(waiting, connecting) == []
    (order,) = connecting.pending
    assert isinstance(order.command, Connect)
    assert (order.command.device, order.command.timeout_s) == ("1001", 18.0)
    leg = str(chosen.assignment_id)
    ringing = played(connecting, LegAlerting(at=at(2), call="c1", leg=leg))
    assert kinds(connecting, ringing) == ["alerting"]
    talking = played(ringing, LegAnswered(at=at(5), call="c1", leg=leg))
    assert kinds(ringing, talking) == ["answered"]
    assert talking.state is CallState.ESTABLISHED
    held = played(talking, LegHeld(at=at(10), call="c1", leg=leg))
    assert kinds(talking, held) == ["held"]
    assert held.connections[0].state is LegState.HELD
    back = played(held, LegRetrieved(at=at(15), call="c1", leg=leg))
    assert kinds(held, back) == ["retrieved"]
    over = played(back, CallCleared(at=at(30), call="c1", by=Party.CUSTOMER, cause="16"))
    assert kinds(back, over) == ["cleared"]
    assert over.talk == (Span(at(5), at(30)),)
    assert over.connections[0].holds == (Hold(at(10), at(15), retrieved=True),)
    assert (over.cleared_by, over.cause, over.connections[0].state) == (Party.CUSTOMER, "16", LegState.CLEARED)


def test_no_answer_then_the_next_agent() -> None:
    first, second = assigned(1), assigned(2, 60, agent_id="a1002", device_id="1002")
    call = control.connect(offered(), first, at(0))
    failed = played(call, LegFailed(at=at(19), call="c1", leg=str(first.assignment_id), reason=FailureReason.NO_ANSWER))
    assert kinds(call, failed) == ["connection-failed"]
    assert failed.state is CallState.OFFERED
    again = control.connect(failed, second, at(20))
    leg = again.leg(str(second.assignment_id))
    assert leg is not None
    assert leg.is_live


def test_a_stale_token_is_refused_and_routing_is_told() -> None:
    call = control.connect(offered(), assigned(7), at(0))
    stale = assigned(6, device_id="1002")
    refused = control.connect(call, stale, at(1))
    assert kinds(call, refused) == ["connection-failed"]
    leg = refused.leg(str(stale.assignment_id))
    assert leg is not None
    assert leg.failure is FailureReason.CANCELLED
    assert refused.pending == call.pending, "nothing is sent for it"


def test_an_assignment_for_a_call_that_is_over_frees_the_agent() -> None:
    over = played(offered(), CallCleared(at=at(3), call="c1", by=Party.CUSTOMER))
    refused = control.connect(over, assigned(), at(4))
    assert kinds(over, refused) == ["connection-failed"]
    assert refused.cleared_at == at(3)
    assert not refused.pending


def test_a_newer_assignment_takes_the_place_of_one_that_rings() -> None:
    first, second = assigned(1), assigned(2, agent_id="a1002", device_id="1002")
    ringing = played(
        control.connect(offered(), first, at(0)), LegAlerting(at=at(1), call="c1", leg=str(first.assignment_id))
    )
    call = control.connect(ringing, second, at(2))
    assert [type(order.command) for order in call.pending] == [ClearLeg, Connect]
    assert kinds(ringing, call) == ["connection-failed"]


def test_an_answer_that_crosses_the_withdrawal_is_taken_down() -> None:
    chosen = assigned()
    call = control.connect(offered(), chosen, at(0))
    leg = str(chosen.assignment_id)
    call = played(call, LegAlerting(at=at(1), call="c1", leg=leg))
    withdrawn = control.withdraw(call, chosen.assignment_id, at(2))
    assert kinds(call, withdrawn) == ["connection-failed"]
    clear_leg = withdrawn.pending[-1].order_id
    withdrawn = settle(withdrawn, CommandDone(at=at(2), command_id=clear_leg))
    answered = played(withdrawn, LegAnswered(at=at(2.1), call="c1", leg=leg))
    assert isinstance(answered.pending[-1].command, ClearLeg)
    assert kinds(withdrawn, answered) == []
    assert answered.state is CallState.OFFERED


def test_an_agent_who_answered_keeps_the_call_when_the_assignment_is_withdrawn() -> None:
    chosen = assigned()
    call = played(
        control.connect(offered(), chosen, at(0)), LegAnswered(at=at(1), call="c1", leg=str(chosen.assignment_id))
    )
    assert control.withdraw(call, chosen.assignment_id, at(2)) is call


def talking() -> tuple[Call, str]:
    chosen = assigned()
    leg = str(chosen.assignment_id)
    call = control.connect(offered(), chosen, at(0))
    return played(call, LegAnswered(at=at(5), call="c1", leg=leg)), leg


def test_a_blind_transfer_is_told_when_the_new_agent_has_the_customer() -> None:
    call, leg = talking()
    new = "pbx-leg-9"
    moved = played(
        call,
        LegInitiated(at=at(10), call="c1", leg=new, device="1002"),
        CallTransferred(at=at(10), call="c1", leg=new, from_leg=leg),
    )
    left = played(moved, LegCleared(at=at(10.1), call="c1", leg=leg))
    assert kinds(moved, left) == ["connection-cleared"]
    assert left.state is CallState.ALERTING, "the caller is on the way: nobody else shall be found"
    ringing = played(left, LegAlerting(at=at(11), call="c1", leg=new))
    assert kinds(left, ringing) == ["alerting"]
    answered = played(ringing, LegAnswered(at=at(14), call="c1", leg=new))
    assert kinds(ringing, answered) == ["transferred"]
    assert answered.talk == (Span(at(5), at(10)), Span(at(14))), "to the customer the first ends with the transfer"


def test_an_agent_who_left_is_there_until_it_is_known_what_became_of_the_customer() -> None:
    call, leg = talking()
    new = "pbx-leg-9"
    leaving = played(call, LegCleared(at=at(10), call="c1", leg=leg))
    assert (kinds(call, leaving), leaving.state) == ([], CallState.ESTABLISHED)
    moved = played(leaving, CallTransferred(at=at(10), call="c1", leg=new, device="1002", from_leg=leg))
    assert (kinds(leaving, moved), moved.state) == (["connection-cleared"], CallState.ALERTING)
    waits = played(leaving, CustomerWaits(at=at(10.5), call="c1"))
    assert (kinds(leaving, waits), waits.state) == (["connection-cleared"], CallState.OFFERED)
    over = played(leaving, CallCleared(at=at(12), call="c1", by=Party.CUSTOMER))
    assert kinds(leaving, over) == ["cleared"]
    for known in (moved, waits, over):
        assert known.leg(leg).ended_at == at(10)  # type: ignore[union-attr]


def test_a_phone_that_stops_ringing_because_the_caller_left_is_no_failed_connection() -> None:
    chosen = assigned()
    leg = str(chosen.assignment_id)
    ringing = played(control.connect(offered(), chosen, at(0)), LegAlerting(at=at(1), call="c1", leg=leg))
    stopped = played(ringing, LegFailed(at=at(3), call="c1", leg=leg, reason=FailureReason.CANCELLED))
    assert kinds(ringing, stopped) == []
    assert kinds(stopped, played(stopped, CallCleared(at=at(3), call="c1", by=Party.CUSTOMER))) == ["cleared"]
    assert kinds(stopped, played(stopped, CustomerWaits(at=at(3), call="c1"))) == ["connection-failed"]


def test_an_attended_transfer_gives_the_customer_away_without_a_gap() -> None:
    call, leg = talking()
    new = "pbx-leg-9"
    asking = played(
        call,
        LegHeld(at=at(10), call="c1", leg=leg),
        LegInitiated(at=at(10), call="c1", leg=new, device="1002", consults=leg),
        LegAlerting(at=at(11), call="c1", leg=new),
        LegAnswered(at=at(14), call="c1", leg=new),
    )
    consultation = asking.leg(new)
    assert consultation is not None
    assert consultation.is_consultation
    assert [c.leg for c in asking.joined()] == [leg]
    moved = played(asking, CallTransferred(at=at(20), call="c1", leg=new, from_leg=leg))
    assert kinds(asking, moved) == ["transferred"]
    left = played(moved, LegCleared(at=at(20.1), call="c1", leg=leg))
    assert left.state is CallState.ESTABLISHED
    assert left.talk == (Span(at(5)),)
    published = to_contract(left)
    assert {c.device_id: (c.answered_at, c.joined_at) for c in published.connections} == {
        "1001": (at(5), at(5)),
        "1002": (at(14), at(20)),
    }


def test_an_outbound_call_is_answered_when_both_have_picked_up() -> None:
    call = offered(Direction.OUTBOUND, dialled="+8613800138000", from_number=None)
    assert kinds(None, call) == []
    assert call.from_number == "+8613800138000"
    ringing = played(call, LegAlerting(at=at(1), call="c1", leg="x", device="1001"))
    assert kinds(call, ringing) == ["alerting"]
    agent_there = played(ringing, LegAnswered(at=at(2), call="c1", leg="x"), CustomerAlerting(at=at(3), call="c1"))
    assert kinds(ringing, agent_there) == ["originated"]
    assert agent_there.state is CallState.ALERTING
    both = played(agent_there, CustomerAnswered(at=at(9), call="c1"))
    assert kinds(agent_there, both) == ["answered"]
    assert (both.answered_at, both.state) == (at(9), CallState.ESTABLISHED)


def test_keys_count_while_the_caller_waits() -> None:
    call, leg = talking()
    press = [DigitPressed(at=at(moment), call="c1", digit=key) for moment, key in [(2, "2"), (1, "1"), (9, "9")]]
    assert played(call, *press).attributes == {"digits": "12"}
    assert apply(call, DigitPressed(at=at(1), call="c1", digit="1", leg=leg))[1] is Outcome.IRRELEVANT


def test_what_is_not_known_is_counted_and_dropped() -> None:
    call = offered()
    assert apply(call, LegHeld(at=at(1), call="c1", leg="?"))[1] is Outcome.UNKNOWN_LEG
    assert apply(call, LegAlerting(at=at(1), call="c1", leg="\0", device="1001"))[1] is Outcome.MALFORMED
    assert apply(call, DigitPressed(at=at(1), call="c1", digit="x"))[1] is Outcome.MALFORMED
    reserved = AttributesSet(at=at(1), call="c1", attributes={"digits": "1"})
    assert apply(call, reserved)[1] is Outcome.MALFORMED


def test_limits_hold() -> None:
    call = offered()
    for number in range(300):
        call = played(
            call,
            LegFailed(at=at(number), call="c1", leg=f"l{number}", device="1001", reason=FailureReason.BUSY),
            DigitPressed(at=at(number), call="c1", digit="1"),
            AttributesSet(at=at(1), call="c1", attributes={f"name{number}": "v"}),
        )
    assert len(call.connections) == 200
    assert call.connections[-1].leg == "l299"
    assert len(call.attributes) == 50
    assert len(call.attributes["digits"]) == 200
    to_contract(call)


class TestAfterBlindness:
    """What a snapshot makes of a call."""

    def live(self, *legs: LiveLeg) -> LiveCall:
        return LiveCall(call="c1", direction=Direction.INBOUND, dialled="4008100", offered_at=START, legs=legs)

    def test_a_call_that_is_gone_ended_when_the_pbx_was_last_heard(self) -> None:
        call, _ = talking()
        ended = end_unseen(call, ConnectionUp(at=at(60), started_at=at(-1000)), at(30))
        assert (ended.cleared_at, ended.cleared_by, ended.cause) == (at(30), Party.PBX, "ended-while-disconnected")
        restarted = end_unseen(call, ConnectionUp(at=at(60), started_at=at(50)), at(30))
        assert (restarted.cleared_at, restarted.cause) == (at(30), "pbx-restarted")

    def test_without_a_memory_of_the_loss_the_snapshot_is_the_best_known_time(self) -> None:
        call, _ = talking()
        assert end_unseen(call, ConnectionUp(at=at(60)), None).cleared_at == at(60)
        assert end_unseen(call, ConnectionUp(at=at(60), started_at=at(50)), None).cleared_at == at(50)

    def test_what_happened_meanwhile_is_told(self) -> None:
        chosen = assigned()
        leg = str(chosen.assignment_id)
        call = control.connect(offered(), chosen, at(0))
        seen = LiveLeg(leg=leg, device="1001", state=LegState.HELD, answered_at=at(4), held_since=at(6))
        now = lay_over(call, self.live(seen), ConnectionUp(at=at(8)), at(1))
        assert kinds(call, now) == ["answered", "held"]
        assert now.answered_at == at(4)
        assert now.connections[0].holds == (Hold(at(6)),)

    def test_a_leg_that_is_gone_has_ended_and_the_caller_waits(self) -> None:
        call, _ = talking()
        now = lay_over(call, self.live(), ConnectionUp(at=at(60)), at(30))
        assert kinds(call, now) == ["connection-cleared"]
        assert now.state is CallState.OFFERED
        assert now.connections[0].ended_at == at(30)

    def test_a_connect_that_may_not_have_arrived_is_repeated_until_it_is_too_late(self) -> None:
        call = control.connect(offered(), assigned(seconds=20), at(0))
        kept = lay_over(call, self.live(), ConnectionUp(at=at(6)), at(1))
        assert kept == call
        same, (command,) = control.commands_to_repeat(kept, at(6))
        assert isinstance(command, Connect)
        assert (command.command_id, command.timeout_s) == (call.pending[0].order_id, 13.0)
        assert same == kept
        late, commands = control.commands_to_repeat(kept, at(19))
        assert commands == ()
        assert kinds(kept, late) == ["connection-failed"]

    def test_a_connect_that_arrived_and_whose_leg_is_gone_has_failed(self) -> None:
        call = control.connect(offered(), assigned(), at(0))
        call = settle(call, CommandDone(at=at(1), command_id=call.pending[0].order_id))
        gone = lay_over(call, self.live(), ConnectionUp(at=at(6)), at(2))
        assert gone.connections[0].failure is FailureReason.UNREACHABLE


@pytest.mark.parametrize(("seconds", "ring_s"), [(20, 19.0), (1, 0.9), (0.1, 0.09), (300, 299.0)])
def test_the_pbx_gives_up_ringing_before_the_assignment_expires(seconds: float, ring_s: float) -> None:
    assert control.ring_time_s(seconds) == ring_s


def test_an_agent_who_leaves_ends_the_call_unless_others_talk() -> None:
    call, leg = talking()
    agent = call.leg(leg)
    assert agent is not None
    order = uuid4()
    assert type(control.leave(call, agent, order, at(9)).pending[-1].command).__name__ == "HangUp"
    third = played(
        call,
        LegInitiated(at=at(10), call="c1", leg="y", device="1002"),
        CallConferenced(at=at(12), call="c1", leg="y"),
        LegAnswered(at=at(12), call="c1", leg="y"),
    )
    assert kinds(call, third) == ["conferenced"]
    assert isinstance(control.leave(third, agent, order, at(13)).pending[-1].command, ClearLeg)
    assert control.leave(control.leave(call, agent, order, at(9)), agent, order, at(9)).pending[-1].order_id == order


def test_an_agent_who_hangs_up_while_ringing_declines() -> None:
    chosen = assigned()
    call = played(
        control.connect(offered(), chosen, at(0)), LegAlerting(at=at(1), call="c1", leg=str(chosen.assignment_id))
    )
    agent = call.connections[0]
    declined = control.leave(call, agent, uuid4(), at(2))
    assert kinds(call, declined) == ["connection-failed"]
    assert declined.connections[0].failure is FailureReason.DECLINED


def test_a_call_that_the_pbx_distributes_is_offered_only_when_it_waits_for_us() -> None:
    event = CallOffered(at=at(0), call="c1", direction=Direction.INBOUND, dialled="4008100", waits=False)
    call = new_call("pbx-1", LINE, event)
    assert kinds(None, call) == []
    waits = played(call, CustomerWaits(at=at(3), call="c1"))
    assert (kinds(call, waits), waits.offered_at) == (["offered"], at(0))
    assert kinds(waits, played(waits, CustomerWaits(at=at(9), call="c1"))) == []


def test_agents_who_stay_after_the_customer_left_talk_no_more_with_them() -> None:
    call, leg = talking()
    left = played(call, CustomerLeft(at=at(20), call="c1", by=Party.CUSTOMER, cause="16"))
    assert not left.is_cleared and left.leg(leg).is_live, "their phone is not free yet"  # type: ignore[union-attr]
    over = played(
        left,
        LegCleared(at=at(25), call="c1", leg=leg),
        CallCleared(at=at(25), call="c1", by=Party.GATEWAY),
    )
    assert over.talk == (Span(at(5), at(20)),)
    assert (over.cleared_at, over.cleared_by, over.cause) == (at(25), Party.CUSTOMER, "16")


def test_a_device_that_passes_the_call_on_has_not_failed_to_answer() -> None:
    chosen = assigned()
    leg = str(chosen.assignment_id)
    ringing = control.connect(offered(), chosen, at(0))
    passed_on = played(ringing, LegDiverted(at=at(1), call="c1", leg=leg, to="1003"))
    assert passed_on.leg(leg).failure is FailureReason.DIVERTED  # type: ignore[union-attr]
    assert passed_on.leg(leg).diverted_to == "1003"  # type: ignore[union-attr]
    assert kinds(ringing, passed_on) == ["connection-failed"]


def test_whom_the_gateway_took_away_for_good_was_talked_with_until_then() -> None:
    call, leg = talking()
    asked = "asked"
    held = played(call, LegHeld(at=at(10), call="c1", leg=leg, by=Party.GATEWAY))
    assert played(held, CallCleared(at=at(20), call="c1", by=Party.CUSTOMER)).talk == (Span(at(5), at(20)),)
    given = played(
        held,
        LegInitiated(at=at(11), call="c1", leg=asked, device="1002", consults=leg),
        LegAnswered(at=at(12), call="c1", leg=asked),
        CallTransferred(at=at(15), call="c1", leg=asked, from_leg=leg, by=Party.GATEWAY),
        LegCleared(at=at(15), call="c1", leg=leg),
        CallCleared(at=at(30), call="c1", by=Party.CUSTOMER),
    )
    assert given.talk == (Span(at(5), at(10)), Span(at(15), at(30)))


def test_a_call_ends_when_the_pbx_says_so_though_a_leg_was_given_up_later_by_our_clock() -> None:
    talking = LegAnswered(at=at(2), call="c1", leg="x", device="1001")
    call = played(offered(), LegInitiated(at=at(1), call="c1", leg="x", device="1001"), talking)
    call = played(call, LegCleared(at=at(9.25), call="c1", leg="x"))
    call = played(call, CallCleared(at=at(9), call="c1", by=Party.CUSTOMER))
    assert (call.cleared_at, call.connections[0].ended_at) == (at(9), at(9))


def test_an_agent_who_was_called_when_the_customer_had_just_left_does_not_make_the_call_longer() -> None:
    late = control.connect(offered(), assigned(), at(3.006))
    leg = str(late.connections[0].leg)
    told = played(late, LegAlerting(at=at(3.01), call="c1", leg=leg))
    over = played(told, CallCleared(at=at(3), call="c1", by=Party.CUSTOMER, cause="originator cancel"))
    (connection,) = over.connections
    assert (over.cleared_at, connection.initiated_at, connection.alerting_at, connection.ended_at) == (at(3),) * 4
