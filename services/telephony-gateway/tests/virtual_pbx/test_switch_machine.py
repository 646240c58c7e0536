"""Whatever callers, agents and a gateway do in whatever order: the switch stays a switch.

An observer who only reads the events must at every moment have the same picture as the switch itself, every
call that was offered is accounted for, and given time everything ends.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from telephony_gateway.virtual_pbx.core import commands
from telephony_gateway.virtual_pbx.core.model import Event, LegState, Refused
from telephony_gateway.virtual_pbx.core.scripts import (
    Behaviour,
    CallerScript,
    Exponential,
    Fixed,
    HoldHabit,
    Keys,
    MoveHabit,
    MoveKind,
    PartyScript,
    Side,
    Uniform,
)
from telephony_gateway.virtual_pbx.core.switch import Switch

DEVICES = ["1001", "1002", "1003", "1004"]
SECOND = 1_000_000
FOREVER = 1_000_000 * SECOND

short = st.sampled_from([Fixed(0.0), Fixed(1.0), Fixed(7.0), Uniform(0.5, 9.0), Exponential(4.0)])
callers = st.builds(
    CallerScript,
    did=st.sampled_from(["4008100", "4008100", "4008101", "999"]),
    number=st.sampled_from([None, "anonymous", "+8613800138000", "02161234567"]),
    attributes=st.sampled_from([{}, {"service": "PS"}]),
    keys=st.sampled_from([(), (Keys(1.0, "12#"), Keys(3.0, "9"))]),
    patience=short,
    talk=short,
    hang_up=st.sampled_from(list(Side)),
    retries=st.sampled_from([0, 0, 1]),
    retry_after_s=st.just(5.0),
)
behaviours = st.builds(
    Behaviour,
    answer_after=st.one_of(st.none(), short, short),
    ignore_chance=st.sampled_from([0.0, 0.2]),
    decline_chance=st.sampled_from([0.0, 0.3]),
    talk=st.just(Fixed(5.0)),
    talk_factor=st.sampled_from([0.5, 1.0, 2.0]),
    hold=st.one_of(st.none(), st.builds(HoldHabit, chance=st.just(0.7), after=short, duration=short)),
    move=st.one_of(
        st.none(),
        st.builds(
            MoveHabit,
            chance=st.just(0.7),
            kind=st.sampled_from(list(MoveKind)),
            after=short,
            to=st.sampled_from([("1001",), ("1002", "1003"), tuple(DEVICES), ("nobody",)]),
            consult=short,
            timeout_s=st.just(5.0),
        ),
    ),
)


@dataclass
class SeenLeg:
    device: str
    state: str
    consults: str | None = None


@dataclass
class SeenCall:
    legs: dict[str, SeenLeg] = field(default_factory=dict)


class Observer:
    """A gateway that believes what it is told, and complains when it makes no sense."""

    def __init__(self) -> None:
        self.calls: dict[str, SeenCall] = {}
        self.devices: dict[str, str] = {}
        self.over: set[str] = set()
        self.legs_over: dict[str, str] = {}
        self.answered: set[str] = set()
        self.seq = 0
        self.at_us = 0

    def see(self, event: Event) -> None:
        assert event.seq == self.seq + 1, "a gap in the sequence"
        assert event.at_us >= self.at_us, "time runs backwards"
        self.seq, self.at_us = event.seq, event.at_us
        body = event.body
        if event.kind == "device":
            assert self.devices.get(body["device"]) != body["state"], "said twice"
            self.devices[body["device"]] = body["state"]
            return
        name = body["call"]
        assert name not in self.over, f"{event.kind} of a call that is over"
        if event.kind == "offered":
            assert name not in self.calls
            self.calls[name] = SeenCall()
            return
        call = self.calls[name]
        getattr(self, f"_{event.kind}")(call, body)
        if event.kind == "ended":
            assert not call.legs, "legs outlive their call"
            del self.calls[name]
            self.over.add(name)

    def _leg_initiated(self, call: SeenCall, body: Any) -> None:
        leg = body["leg"]
        assert leg not in call.legs and leg not in self.legs_over
        call.legs[leg] = SeenLeg(body["device"], "initiated", body.get("consults"))

    def _leg_ringing(self, call: SeenCall, body: Any) -> None:
        leg = call.legs[body["leg"]]
        assert leg.state == "initiated"
        leg.state = "ringing"

    def _leg_answered(self, call: SeenCall, body: Any) -> None:
        leg = call.legs[body["leg"]]
        assert leg.state in ("initiated", "ringing")
        leg.state = "connected"
        self.answered.add(body["leg"])

    def _leg_failed(self, call: SeenCall, body: Any) -> None:
        leg = body["leg"]
        assert leg not in self.answered
        if self.legs_over.get(leg) == "failed":
            return  # said twice
        call.legs.pop(leg, None)  # a device that is not registered fails without beginning
        self.legs_over[leg] = "failed"

    def _leg_ended(self, call: SeenCall, body: Any) -> None:
        leg = body["leg"]
        assert leg in self.answered and call.legs[leg].state in ("connected", "held")
        del call.legs[leg]
        self.legs_over[leg] = "ended"

    def _leg_held(self, call: SeenCall, body: Any) -> None:
        leg = call.legs[body["leg"]]
        assert leg.state == "connected"
        leg.state = "held"

    def _leg_retrieved(self, call: SeenCall, body: Any) -> None:
        leg = call.legs[body["leg"]]
        assert leg.state == "held"
        leg.state = "connected"

    def _transferred(self, call: SeenCall, body: Any) -> None:
        assert body["from_leg"] in self.answered
        if body["leg"] in call.legs:
            call.legs[body["leg"]].consults = None

    def _conferenced(self, call: SeenCall, body: Any) -> None:
        leg = call.legs[body["leg"]]
        assert leg.state == "connected"
        leg.consults = None

    def _waiting(self, call: SeenCall, body: Any) -> None:
        assert not call.legs

    def _nothing(self, call: SeenCall, body: Any) -> None:
        pass

    _digit = _attributes = _customer_ringing = _customer_answered = _ended = _nothing


class Pbx(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 1000), quirks=st.booleans())
    def build(self, seed: int, quirks: bool) -> None:
        self.now = SECOND
        self.boots = 1
        self.switch = Switch(boot="b1", now_us=self.now, chance=random.Random(seed).random, quirks=quirks)
        self.switch.set_trunk("pstn", ["4008100", "4008101"], 8)
        for device in DEVICES:
            self.switch.set_device(device)
        self.observer = Observer()
        self.named = 0
        self.look()

    def look(self) -> list[Event]:
        events = self.switch.take_events()
        for event in events:
            self.observer.see(event)
        return events

    def name(self) -> str:
        self.named += 1
        return f"gw-{self.named}"

    def command(self, act: Any) -> None:
        """Do it, then again under the same id: the second time nothing happens."""
        if not self.switch.up:
            return
        command_id = self.name()
        first, repeated = commands.once(self.switch, command_id, act)
        assert not repeated
        self.look()
        second, repeated = commands.once(self.switch, command_id, act)
        assert repeated and second is first and self.look() == []

    def some_call(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.switch.calls) or ["b1.0"]))

    def some_leg(self, data: st.DataObject) -> tuple[str, str]:
        legs = sorted((call.id, leg) for call in self.switch.calls.values() for leg in call.legs)
        return data.draw(st.sampled_from([*legs, ("b1.0", "none")]))

    # ---- the world

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.02, 0.5, 1.0, 3.0, 10.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        self.switch.advance(self.now)
        self.look()
        due = self.switch.timers.next_due_us()
        assert due is None or due > self.now, "a timer did not fire"

    @rule(script=callers, after=st.sampled_from([0, 0, SECOND]))
    def call(self, script: CallerScript, after: int) -> None:
        self.switch.place_call(script, after)
        self.switch.advance(self.now)
        self.look()

    @rule(
        device=st.sampled_from(DEVICES),
        registered=st.sampled_from([True, True, True, False]),
        powered=st.sampled_from([True, True, False]),
        behaviour=behaviours,
    )
    def configure(self, device: str, registered: bool, powered: bool, behaviour: Behaviour) -> None:
        self.switch.set_device(device, registered=registered, powered=powered, behaviour=behaviour)
        self.look()

    @rule(device=st.sampled_from(DEVICES))
    def chat(self, device: str) -> None:
        phone = self.switch.devices[device]
        if not phone.busy:
            self.switch.use_privately(phone, 4 * SECOND)
        self.look()

    @rule(device=st.sampled_from(DEVICES), party=st.sampled_from([PartyScript(), PartyScript(busy=True)]))
    def dial(self, device: str, party: PartyScript) -> None:
        self.switch.parties["*"] = party
        phone = self.switch.devices[device]
        if self.switch.up and not phone.busy and phone.registered:
            try:
                self.switch.dial_from(phone, "+8613900139000", self.switch.trunks["pstn"])
            except Refused as refused:
                assert refused.reason == "congestion"
        self.look()

    @rule(device=st.sampled_from(DEVICES))
    def put_down(self, device: str) -> None:
        leg = self.switch.devices[device].leg
        if leg is not None and leg.state is not LegState.INITIATED:
            self.switch.agent_hangs_up(leg)
        self.look()

    @precondition(lambda self: self.switch.up)
    @rule()
    def crash(self) -> None:
        self.switch.crash()
        assert self.look() == [] and not self.switch.calls
        assert all(device.leg is None for device in self.switch.devices.values())

    @precondition(lambda self: not self.switch.up)
    @rule()
    def restart(self) -> None:
        self.boots += 1
        self.switch.restart(f"b{self.boots}")
        self.observer = Observer()
        self.observer.devices = {device.id: self.switch.device_state(device) for device in self.switch.devices.values()}

    # ---- the gateway

    @rule(data=st.data(), device=st.sampled_from([*DEVICES, "9999"]))
    def connect(self, data: st.DataObject, device: str) -> None:
        target, leg = self.some_call(data), self.name()
        self.command(lambda: commands.connect(self.switch, target, leg, device, 6.0))
        # the same leg under another command id: known, nothing happens
        known = leg in self.switch.legs_named
        self.switch.advance(self.now)
        self.look()
        if known and self.switch.up:
            commands.connect(self.switch, target, leg, device, 6.0)
            assert self.look() == []

    @rule(data=st.data(), what=st.sampled_from(["clear_leg", "answer", "hold", "retrieve"]))
    def act_on_leg(self, data: st.DataObject, what: str) -> None:
        call, leg = self.some_leg(data)
        self.command(lambda: getattr(commands, what)(self.switch, call, leg))

    @rule(
        data=st.data(),
        what=st.sampled_from(["transfer_blind", "consult", "confer"]),
        device=st.sampled_from(DEVICES),
    )
    def bring_in(self, data: st.DataObject, what: str, device: str) -> None:
        call, leg = self.some_leg(data)
        new_leg = self.name()
        self.command(lambda: getattr(commands, what)(self.switch, call, leg, new_leg, device, 6.0))

    @rule(data=st.data(), conference=st.booleans())
    def finish_consultation(self, data: st.DataObject, conference: bool) -> None:
        legs = {leg.id: leg for call in self.switch.calls.values() for leg in call.legs.values() if leg.consults}
        if not legs:
            return
        leg = legs[data.draw(st.sampled_from(sorted(legs)))]
        asker = leg.consults
        if conference:
            self.command(lambda: commands.confer(self.switch, leg.call.id, asker.id, leg.id, leg.device_id, 6.0))
        else:
            self.command(lambda: commands.transfer_attended(self.switch, leg.call.id, asker.id, leg.id))

    @rule(data=st.data())
    def hang_up(self, data: st.DataObject) -> None:
        target = self.some_call(data)
        self.command(lambda: commands.hang_up(self.switch, target))

    @rule(device=st.sampled_from(DEVICES))
    def originate(self, device: str) -> None:
        call, leg = self.name(), self.name()
        self.command(lambda: commands.originate(self.switch, call, leg, device, "+8613900139000", 6.0, "pstn"))

    # ---- what must hold

    @invariant()
    def observer_knows_all(self) -> None:
        if not self.switch.up:
            return
        truth = {
            call.id: {
                leg.id: SeenLeg(leg.device_id, str(leg.state), None if leg.consults is None else leg.consults.id)
                for leg in call.legs.values()
            }
            for call in self.switch.calls.values()
        }
        assert {name: call.legs for name, call in self.observer.calls.items()} == truth
        assert self.observer.devices == {
            device.id: self.switch.device_state(device) for device in self.switch.devices.values()
        }

    @invariant()
    def a_device_is_in_one_leg(self) -> None:
        occupied = [
            (leg.device_id, leg)
            for call in self.switch.calls.values()
            for leg in call.legs.values()
            if leg.device is not None
        ]
        assert len({device for device, _ in occupied}) == len(occupied)
        for device, leg in occupied:
            assert self.switch.devices[device].leg is leg
        assert sum(device.leg is not None for device in self.switch.devices.values()) == len(occupied)

    @invariant()
    def every_call_is_accounted_for(self) -> None:
        counts = self.switch.counts
        inbound = [call for call in self.switch.calls.values() if call.direction == "inbound"]
        talking = sum(call.answered_us is not None for call in inbound)
        assert counts.placed == counts.offered + counts.rejected
        assert counts.offered == (len(inbound) + counts.completed + counts.abandoned + counts.dropped + counts.died)
        assert counts.answered == talking + counts.completed + counts.died_answered
        outbound = len(self.switch.calls) - len(inbound)
        assert counts.outbound == outbound + counts.outbound_ended
        assert len(self.switch.records) == counts.offered - len(inbound) + counts.outbound_ended

    @invariant()
    def channels_waiting_and_free_devices_are_counted(self) -> None:
        switch = self.switch
        assert switch.trunks["pstn"].in_use == len(switch.calls) <= 8
        waiting = {call.id for call in switch.calls.values() if call.customer_there and not call.legs}
        assert set(switch.waiting) == waiting
        assert switch.free_devices == sum(device.registered and not device.busy for device in switch.devices.values())

    @invariant()
    def a_clock_runs_for_every_call_that_nobody_holds(self) -> None:
        for call in self.switch.calls.values():
            states = {leg.state for leg in call.connected()}
            if call.customer_there and not states:
                assert call.patience is not None and call.talk is None
            elif call.customer_there and LegState.CONNECTED in states:
                assert call.talk is not None and call.patience is None
            for timer in (call.patience, call.talk):
                assert timer is None or timer.action is not None

    def teardown(self) -> None:
        """Given time, everything ends but what the gateway itself put on hold."""
        if not hasattr(self, "switch"):
            return
        if not self.switch.up:
            self.restart()
        for _ in range(50):
            self.switch.advance(self.now + FOREVER)
            self.now += FOREVER
            self.look()
            if not self.switch.calls:
                break
            for call in list(self.switch.calls.values()):
                assert any(leg.state is LegState.HELD for leg in call.legs.values())
                commands.hang_up(self.switch, call.id)
        self.look()
        assert not self.switch.calls and not self.observer.calls
        assert self.switch.arrivals == 0 and len(self.switch.timers) == 0
        self.every_call_is_accounted_for()


TestPbx = Pbx.TestCase
TestPbx.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
