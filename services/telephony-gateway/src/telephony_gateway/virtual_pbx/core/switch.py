"""The switch: calls come and go, devices ring, people talk. Time comes in by `Switch.advance`, events go out.

Whoever drives it calls ``advance(now)`` before anything else happens at ``now``, and ``take_events`` after.
What a gateway may ask for is in `commands`; what agents do by themselves is in `habits`.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

from telephony_gateway.virtual_pbx.core import habits
from telephony_gateway.virtual_pbx.core.memory import Memory
from telephony_gateway.virtual_pbx.core.model import (
    By,
    Call,
    CallRecord,
    Counts,
    Device,
    DeviceState,
    Direction,
    Event,
    Failure,
    Leg,
    LegState,
    Offence,
    PastCall,
    Refused,
    Trunk,
)
from telephony_gateway.virtual_pbx.core.scripts import (
    Behaviour,
    CallerScript,
    Chance,
    NameEncoding,
    PartyScript,
    Side,
    draw_us,
    microseconds,
)
from telephony_gateway.virtual_pbx.core.timers import Timers

RECORDS = 200_000
"""How many calls that are over stay in the books."""
OFFENCES = 1_000
REMEMBERED_IDS = 50_000
"""How many command ids and leg names are known again."""
PAST_CALLS = 5_000
PAST_LEGS = 10_000
"""How many answers and endings are remembered for a gateway that was away."""
MAX_ARRIVALS = 500_000
"""How many callers whoever places calls may have on their way at once."""
PARTY_PATIENCE_S = 60.0
"""How long a called party's phone rings."""
KEY_PAUSE_US = 200_000
"""Between two keys of one sequence."""

_REMEMBERED = frozenset({"leg_initiated", "leg_answered", "leg_failed", "leg_ended", "transferred", "conferenced"})


class Switch:
    """One PBX. It holds trunks, devices, live calls and the books; it survives its own `crash`."""

    def __init__(self, *, boot: str, now_us: int, chance: Chance, quirks: bool = False) -> None:
        """``boot`` names this start of the PBX and is part of every name that it makes.

        With ``quirks`` it tells things twice or in another order now and then, as real ones do.
        """
        self.boot = boot
        self.started_us = now_us
        self.now_us = now_us
        self.up = True
        self.seq = 0
        self.chance = chance
        self.quirks = quirks
        self.timers = Timers()
        self.trunks: dict[str, Trunk] = {}
        self.devices: dict[str, Device] = {}
        self.parties: dict[str, PartyScript] = {}
        """By number; ``*`` is everybody else."""
        self.calls: dict[str, Call] = {}
        self.waiting: dict[str, Call] = {}
        """Calls whose customer hears music: nobody rings, nobody talks."""
        self.free_devices = 0
        """How many could take a call now."""
        self.arrivals = 0
        """Callers that are on their way."""
        self.counts = Counts()
        self.records: deque[CallRecord] = deque(maxlen=RECORDS)
        self.records_made = 0
        self.offences: deque[Offence] = deque(maxlen=OFFENCES)
        self.past_calls: deque[PastCall] = deque(maxlen=PAST_CALLS)
        self.past_legs: deque[Event] = deque(maxlen=PAST_LEGS)
        self.commands: Memory[Refused | None] = Memory(REMEMBERED_IDS)
        self.legs_named: Memory[tuple[str, str]] = Memory(REMEMBERED_IDS)
        """Call and device of every leg that was ever up (within bounds)."""
        self._dids: dict[str, Trunk] = {}
        self._events: list[Event] = []
        self._names = 0

    # ---- time and events

    def advance(self, now_us: int) -> None:
        """Let time pass: do what was due by ``now_us``, each thing at its own moment."""
        while due := self.timers.take_due(now_us):
            due_us, action = due
            self.now_us = max(self.now_us, due_us)
            action()
        self.now_us = max(self.now_us, now_us)

    def take_events(self) -> list[Event]:
        """What happened since the last time, oldest first."""
        events, self._events = self._events, []
        return events

    def calls_ended_since(self, since_us: int) -> list[PastCall]:
        """Calls that ended after ``since_us``, the latest first: what a gateway that was away has missed."""
        return list(takewhile(lambda past: past.ended_us > since_us, reversed(self.past_calls)))

    def leg_events_since(self, since_us: int) -> list[Event]:
        """What became of legs after ``since_us`` in calls that are up or ended after it, the latest first."""
        recent = takewhile(lambda event: event.at_us > since_us, reversed(self.past_legs))
        ended = {past.call.id for past in self.calls_ended_since(since_us)}
        return [event for event in recent if event.body["call"] in self.calls or event.body["call"] in ended]

    def emit(self, kind: str, **body: Any) -> None:
        """Say that something happened."""
        self._say(kind, body, NameEncoding.UTF8)

    def _say(self, kind: str, body: Mapping[str, Any], name_encoding: NameEncoding) -> None:
        if not self.up:
            return
        self.seq += 1
        event = Event(kind, self.seq, self.now_us, body, name_encoding)
        self._events.append(event)
        if kind in _REMEMBERED:
            self.past_legs.append(event)

    def quirky(self, share: float) -> bool:
        """Whether to be difficult this time."""
        return self.quirks and self.chance() < share

    def new_name(self, what: str = "") -> str:
        """A name for a call or leg that the PBX itself began; never used again."""
        self._names += 1
        return f"{self.boot}.{what}{self._names}"

    # ---- configuration

    def set_trunk(self, trunk_id: str, dids: Sequence[str], channels: int) -> None:
        """Add a trunk, or change it. A number belongs to the trunk that claimed it last."""
        trunk = self.trunks.get(trunk_id)
        if trunk is None:
            trunk = self.trunks[trunk_id] = Trunk(trunk_id, (), channels)
        trunk.dids = tuple(dids)
        trunk.channels = channels
        self._dids = {did: owner for did, owner in self._dids.items() if owner is not trunk}
        for did in dids:
            self._dids[did] = trunk

    def set_device(
        self,
        device_id: str,
        *,
        registered: bool | None = None,
        powered: bool | None = None,
        behaviour: Behaviour | None = None,
    ) -> None:
        """Add a device (registered, switched on), or change what is given."""
        device = self.devices.get(device_id)
        if device is None:
            device = self.devices[device_id] = Device(device_id)
        if registered is not None:
            device.registered = registered
        if powered is not None:
            device.powered = powered
        if behaviour is not None:
            device.behaviour = behaviour
        self.announce(device)

    def use_privately(self, device: Device, duration_us: int) -> None:
        """The phone is busy with something that is none of our calls."""
        if device.busy:
            raise Refused("wrong-state", f"device {device.id} is in use")

        def over() -> None:
            device.private = None
            self.announce(device)

        device.private = self.timers.set(self.now_us + duration_us, over)
        self.announce(device)

    def device_state(self, device: Device) -> DeviceState:
        """What is true now; `announce` says it when it is new."""
        if not device.registered:
            return DeviceState.UNREACHABLE
        ringing_or_more = device.leg is not None and device.leg.state is not LegState.INITIATED
        return DeviceState.IN_USE if ringing_or_more or device.private else DeviceState.IDLE

    def announce(self, device: Device | None) -> None:
        """Say how a device is, if that changed."""
        if device is None:
            return
        self._recount(device)
        state = self.device_state(device)
        if state is device.announced:
            return
        device.announced = state
        self.emit("device", device=device.id, state=state)

    def _recount(self, device: Device) -> None:
        free = device.registered and not device.busy
        self.free_devices += free - device.counted_free
        device.counted_free = free

    # ---- callers

    def place_call(self, script: CallerScript, after_us: int = 0) -> None:
        """Have somebody call ``after_us`` from now (`advance` lets them, also when it is 0)."""
        self._schedule_arrival(script, after_us, script.retries)

    def _schedule_arrival(self, script: CallerScript, after_us: int, tries_left: int) -> None:
        self.arrivals += 1
        self.timers.set(self.now_us + after_us, partial(self._arrive, script, tries_left))

    def _arrive(self, script: CallerScript, tries_left: int) -> None:
        self.arrivals -= 1
        self.counts.placed += 1
        trunk = self._dids.get(script.did)
        if not self.up or trunk is None or trunk.in_use >= trunk.channels:
            self.counts.rejected += 1
            self._try_again(script, tries_left)
            return
        call = Call(
            id=self.new_name(),
            direction=Direction.INBOUND,
            trunk=trunk,
            dialled=script.did,
            number=script.number,
            script=script,
            party=None,
            tries_left=tries_left,
            attributes=dict(script.attributes),
            offered_us=self.now_us,
            customer_there=True,
        )
        self.counts.offered += 1
        self._open(call)
        due_us = self.now_us
        for keys in script.keys:
            due_us = self.press_all(call, keys.digits, due_us + microseconds(keys.after_s))
        self.pace(call)

    def _try_again(self, script: CallerScript, tries_left: int) -> None:
        if tries_left > 0:
            self._schedule_arrival(script, microseconds(script.retry_after_s), tries_left - 1)

    def _open(self, call: Call) -> None:
        call.trunk.in_use += 1
        self.calls[call.id] = call
        body: dict[str, Any] = {
            "call": call.id,
            "direction": call.direction,
            "dialled": call.dialled,
            "trunk": call.trunk.id,
            "number": call.number,
            "name": call.script.name,
            "attributes": dict(call.attributes),
        }
        if call.script.diverted_from is not None:
            body["diverted_from"] = call.script.diverted_from
        self._say("offered", body, call.script.name_encoding)

    def press_all(self, call: Call, digits: str, due_us: int, leg: Leg | None = None) -> int:
        """Have keys pressed one after the other from ``due_us`` on, by the customer or the agent of ``leg``.

        Returns when the last one is over.
        """
        for digit in digits:
            call.key_timers.append(self.timers.set(due_us, partial(self._press, call, digit, leg)))
            due_us += KEY_PAUSE_US
        return due_us

    def _press(self, call: Call, digit: str, leg: Leg | None) -> None:
        self.emit("digit", call=call.id, digit=digit, **({} if leg is None else {"leg": leg.id}))

    def attach(self, call: Call, attributes: Mapping[str, str]) -> None:
        """Set attributes; others keep their values."""
        call.attributes.update(attributes)
        self.emit("attributes", call=call.id, attributes=dict(attributes))

    # ---- outbound

    def originate(self, call_id: str, leg_id: str, device: Device, number: str, trunk: Trunk, timeout_us: int) -> None:
        """Ring the agent first; when they answer, the number is dialled."""
        call = self._open_outbound(call_id, number, trunk)
        self.ring(call, leg_id, device, timeout_us, origin=True)

    def dial_from(self, device: Device, number: str, trunk: Trunk) -> Call:
        """An agent picks up the phone and dials."""
        if device.busy or not device.registered:
            raise Refused("wrong-state", f"device {device.id} is in use or not registered")
        if trunk.in_use >= trunk.channels:
            raise Refused("congestion", f"all channels of trunk {trunk.id} are in use")
        call = self._open_outbound(self.new_name(), number, trunk)
        leg = Leg(self.new_name("leg"), call, device.id, device, LegState.INITIATED, self.now_us, origin=True)
        self._occupy(leg, device)
        self.emit("leg_initiated", call=call.id, leg=leg.id, device=device.id)
        self.answer(leg)
        return call

    def _open_outbound(self, call_id: str, number: str, trunk: Trunk) -> Call:
        self.counts.outbound += 1
        party = self.parties.get(number) or self.parties.get("*") or PartyScript()
        call = Call(
            id=call_id,
            direction=Direction.OUTBOUND,
            trunk=trunk,
            dialled=number,
            number=trunk.dids[0] if trunk.dids else None,
            script=CallerScript(did=number, patience=party.patience, talk=party.talk, hang_up=party.hang_up),
            party=party,
            tries_left=0,
            attributes={},
            offered_us=self.now_us,
            customer_there=False,
        )
        self._open(call)
        return call

    def _dial(self, call: Call) -> None:
        assert call.party is not None
        party = call.party

        def rings() -> None:
            if party.busy:
                self.end(call, By.PBX, "user busy")
                return
            self.emit("customer_ringing", call=call.id)
            patience_us = microseconds(PARTY_PATIENCE_S)
            answer_us = None if party.answer_after is None else draw_us(party.answer_after, self.chance)
            if answer_us is not None and answer_us < patience_us:
                call.dialling.append(self.timers.set(self.now_us + answer_us, answers))
            else:
                over = partial(self.end, call, By.PBX, "no user responding")
                call.dialling.append(self.timers.set(self.now_us + patience_us, over))

        def answers() -> None:
            call.customer_there = True
            call.customer_answered_us = self.now_us
            self.counts.outbound_answered += 1
            self.emit("customer_answered", call=call.id)
            for leg in call.connected():
                self._join(leg)
            self.pace(call)

        call.dialling.append(self.timers.set(self.now_us + microseconds(party.ring_after_s), rings))

    # ---- legs

    def ring(
        self,
        call: Call,
        leg_id: str,
        device: Device,
        timeout_us: int,
        *,
        consults: Leg | None = None,
        conference: bool = False,
        origin: bool = False,
        scripted: bool = False,
    ) -> Leg:
        """Try to reach a device. What comes of it are events, some of them at once."""
        leg = Leg(leg_id, call, device.id, None, LegState.INITIATED, self.now_us)
        leg.consults, leg.conference, leg.origin, leg.scripted = consults, conference, origin, scripted
        call.attempts += 1
        if not device.registered:  # such a leg is never heard of but for its end
            self._note(leg)
            self.fail(leg, Failure.UNREACHABLE, "not registered")
            return leg
        if device.busy:
            self._note(leg)
            self._emit_initiated(leg)
            self.fail(leg, Failure.BUSY, "user busy")
            return leg
        self._occupy(leg, device)
        self._emit_initiated(leg)
        leg.timers.append(
            self.timers.set(self.now_us + timeout_us, partial(self.fail, leg, Failure.NO_ANSWER, "no user responding"))
        )
        if device.powered:
            after_us = microseconds(device.behaviour.ring_after_s)
            leg.timers.append(self.timers.set(self.now_us + after_us, partial(self._alert, leg)))
        self.pace(call)
        return leg

    def _note(self, leg: Leg) -> None:
        leg.call.legs[leg.id] = leg
        self.legs_named.put(leg.id, (leg.call.id, leg.device_id))

    def _occupy(self, leg: Leg, device: Device) -> None:
        assert not device.busy
        leg.device = device
        device.leg = leg
        self._recount(device)
        self._note(leg)

    def _emit_initiated(self, leg: Leg) -> None:
        asked_by = {} if leg.consults is None else {"consults": leg.consults.id}
        self.emit("leg_initiated", call=leg.call.id, leg=leg.id, device=leg.device_id, **asked_by)

    def _alert(self, leg: Leg) -> None:
        leg.state = LegState.RINGING
        leg.ringing_us = self.now_us
        self.emit("leg_ringing", call=leg.call.id, leg=leg.id, device=leg.device_id)
        self.announce(leg.device)
        habits.rings(self, leg)

    def answer(self, leg: Leg) -> None:
        """The device is picked up."""
        self._cancel(leg)
        call = leg.call
        leg.state = LegState.CONNECTED
        leg.answered_us = self.now_us
        first = self.quirky(0.3)
        if first:
            self.announce(leg.device)
        self.emit("leg_answered", call=call.id, leg=leg.id, device=leg.device_id)
        if not first:
            self.announce(leg.device)
        if leg.consults is not None and leg.conference:
            self.confer(leg.consults, leg)
        elif leg.consults is not None:
            habits.is_consulted(self, leg)
        elif not call.customer_there:
            if leg.origin:
                self._dial(call)
        else:
            self._join(leg)
        self.pace(call)

    def _join(self, leg: Leg) -> None:
        """The customer and the agent of ``leg`` hear each other."""
        call = leg.call
        others = [other for other in call.connected() if other is not leg]
        joins = leg.conference and bool(others)
        if joins:
            self.counts.conferences += 1
            self.emit("conferenced", call=call.id, leg=leg.id, device=leg.device_id)
        elif others:
            self.counts.double_answers += 1
            self.note_offence("double_answer", call, leg.id, leg.device_id, others)
        if call.answered_us is None:
            call.answered_us = self.now_us
            if call.direction is Direction.INBOUND:
                self.counts.answered += 1
        call.talked_with.append(leg.device_id)
        if not joins:
            habits.talks(self, leg)

    def note_offence(self, kind: str, call: Call, leg_id: str, device_id: str, others: Sequence[Leg]) -> None:
        """Keep for the report what the gateway should not have done."""
        names = tuple(f"{other.id}@{other.device_id}" for other in others)
        self.offences.append(Offence(kind, self.now_us, call.id, leg_id, device_id, names))

    def fail(self, leg: Leg, reason: Failure, cause: str) -> None:
        """A leg that was not answered is over."""
        assert not leg.up
        self.counts.legs_failed[reason] = self.counts.legs_failed.get(reason, 0) + 1
        body = {"reason": reason, "cause": cause}
        self._leg_over(leg, "leg_failed", body)
        if self.quirky(0.05):
            self.emit("leg_failed", call=leg.call.id, leg=leg.id, device=leg.device_id, **body)
        self._after(leg, cause)

    def drop(self, leg: Leg, cause: str) -> None:
        """End a leg in whatever state it is; the call may go on."""
        if not leg.up:
            self.fail(leg, Failure.CANCELLED, cause)
            return
        self._leg_over(leg, "leg_ended", {"cause": cause})
        self._after(leg, cause)

    def _leg_over(self, leg: Leg, kind: str, body: Mapping[str, Any]) -> None:
        self._cancel(leg)
        del leg.call.legs[leg.id]
        device, leg.device = leg.device, None
        if device is not None:
            device.leg = None
        if self.quirky(0.3):
            self.announce(device)
        self.emit(kind, call=leg.call.id, leg=leg.id, device=leg.device_id, **body)
        self.announce(device)

    def _after(self, leg: Leg, cause: str) -> None:
        """A leg has left its call: what becomes of those who stay."""
        call = leg.call
        for other in [other for other in call.legs.values() if other.consults is leg]:
            self.drop(other, "consultation over")
        if call.id not in self.calls:
            return
        if leg.consults is not None:
            habits.is_left_by_consulted(self, leg.consults)
        elif not call.customer_there:
            if not call.connected():
                self.end(call, By.PBX, cause)
        elif not call.legs:
            self.emit("waiting", call=call.id, cause=cause)
        self.pace(call)

    def _cancel(self, leg: Leg) -> None:
        for timer in leg.timers:
            self.timers.cancel(timer)
        leg.timers.clear()

    # ---- in conversation

    def hold(self, leg: Leg) -> None:
        """The agent puts the customer on hold."""
        leg.state = LegState.HELD
        leg.held_us = self.now_us
        self.counts.holds += 1
        self.emit("leg_held", call=leg.call.id, leg=leg.id, device=leg.device_id)
        self.pace(leg.call)

    def retrieve(self, leg: Leg) -> None:
        """The agent comes back to the customer; who was asked meanwhile is gone."""
        for other in [other for other in leg.call.legs.values() if other.consults is leg]:
            other.scripted = False
            self.drop(other, "consultation over")
        leg.state = LegState.CONNECTED
        leg.held_us = None
        self.emit("leg_retrieved", call=leg.call.id, leg=leg.id, device=leg.device_id)
        self.pace(leg.call)

    def transfer_blind(self, leg: Leg, new_leg: str, device: Device, timeout_us: int) -> None:
        """The agent gives the customer away without asking: out here, ringing there."""
        call = leg.call
        self.counts.transfers += 1
        for other in [other for other in call.legs.values() if other.consults is leg]:
            self.drop(other, "consultation over")
        self._give(leg, new_leg, device.id)
        self.ring(call, new_leg, device, timeout_us, conference=bool(call.connected()))

    def transfer_attended(self, leg: Leg, to_leg: Leg) -> None:
        """The agent gives the customer to the colleague on the line."""
        self.counts.transfers += 1
        to_leg.consults = None
        to_leg.conference = len(leg.call.connected()) > 2
        self._give(leg, to_leg.id, to_leg.device_id)
        self._join(to_leg)
        self.pace(leg.call)

    def _give(self, leg: Leg, to_leg: str, to_device: str) -> None:
        body = {"call": leg.call.id, "leg": to_leg, "device": to_device, "from_leg": leg.id}
        left_first = self.quirky(0.3)
        if not left_first:
            self.emit("transferred", **body)
        self._leg_over(leg, "leg_ended", {"cause": "transferred"})
        if left_first:
            self.emit("transferred", **body)

    def confer(self, leg: Leg, consulted: Leg) -> None:
        """The colleague who is asked joins agent and customer, now or when they pick up."""
        consulted.conference = True
        consulted.scripted = False
        if not consulted.up:
            return
        consulted.consults = None
        if leg.state is LegState.HELD:
            self.retrieve(leg)
        self._join(consulted)
        self.pace(leg.call)

    def agent_hangs_up(self, leg: Leg) -> None:
        """The agent puts the phone down. The call is over unless somebody else still talks with the customer."""
        call = leg.call
        if not leg.up:
            self.fail(leg, Failure.DECLINED, "call rejected")
        elif leg.consults is not None or len(call.connected()) > 1:
            self.drop(leg, "normal clearing")
        else:
            self.end(call, By.AGENT, "normal clearing")

    def pace(self, call: Call) -> None:
        """Let the clocks of patience and conversation run or stand as the state of the call demands."""
        if call.id not in self.calls:
            return
        connected = call.connected()
        if call.customer_there and any(leg.state is LegState.CONNECTED for leg in connected):
            self._run_talk(call, connected[0])
        elif call.talk is not None:
            call.talk_left_us = max(0, call.talk.due_us - self.now_us)
            self.timers.cancel(call.talk)
            call.talk = None
        if connected or not call.customer_there:
            self.timers.cancel(call.patience)
            call.patience = None
        elif call.patience is None and call.script.patience is not None:
            due_us = self.now_us + draw_us(call.script.patience, self.chance)
            call.patience = self.timers.set(due_us, partial(self._give_up, call))
        if call.customer_there and not call.legs:
            self.waiting[call.id] = call
        else:
            self.waiting.pop(call.id, None)

    def _run_talk(self, call: Call, leg: Leg) -> None:
        if call.talk is not None:
            return
        if call.talk_left_us is None:
            assert leg.device is not None
            behaviour = leg.device.behaviour
            if call.script.talk is not None:
                call.talk_left_us = round(draw_us(call.script.talk, self.chance) * behaviour.talk_factor)
            elif behaviour.talk is not None:
                call.talk_left_us = draw_us(behaviour.talk, self.chance)
            else:
                return
        by = By.CUSTOMER if call.script.hang_up is Side.CUSTOMER else By.AGENT
        over = partial(self.end, call, by, "normal clearing")
        call.talk = self.timers.set(self.now_us + call.talk_left_us, over)

    # ---- the end

    def _give_up(self, call: Call) -> None:
        self.end(call, By.CUSTOMER, "originator cancel" if call.answered_us is None else "normal clearing")

    def end(self, call: Call, by: By, cause: str) -> None:
        """The call is over: the customer is gone and every leg with them."""
        self._close(call)
        legs = list(call.legs.values())
        self.past_calls.append(PastCall(call, tuple(legs), self.now_us, by, cause))
        if self.quirky(0.5):
            legs.reverse()
        for leg in legs:
            if leg.up:
                self._leg_over(leg, "leg_ended", {"cause": cause})
            else:
                self.counts.legs_failed[Failure.CANCELLED] = self.counts.legs_failed.get(Failure.CANCELLED, 0) + 1
                body = {"reason": Failure.CANCELLED, "cause": "originator cancel"}
                self._leg_over(leg, "leg_failed", body)
        self.emit("ended", call=call.id, by=by, cause=cause)
        if call.direction is Direction.OUTBOUND:
            self.counts.outbound_ended += 1
            outcome = "failed" if call.answered_us is None else "answered"
        elif call.answered_us is not None:
            self.counts.completed += 1
            outcome = "answered"
        elif by is By.CUSTOMER:
            self.counts.abandoned += 1
            outcome = "abandoned"
        else:
            self.counts.dropped += 1
            outcome = "dropped"
        self._book(call, by, cause, outcome)
        if outcome == "abandoned":
            self._try_again(call.script, call.tries_left)

    def _close(self, call: Call) -> None:
        del self.calls[call.id]
        self.waiting.pop(call.id, None)
        call.trunk.in_use -= 1
        for timer in (call.patience, call.talk, *call.key_timers, *call.dialling):
            self.timers.cancel(timer)

    def _book(self, call: Call, by: By, cause: str, outcome: str) -> None:
        self.records_made += 1
        self.records.append(
            CallRecord(
                call=call.id,
                tag=call.script.tag,
                direction=call.direction,
                trunk=call.trunk.id,
                dialled=call.dialled,
                number=call.number,
                offered_us=call.offered_us,
                answered_us=call.answered_us,
                ended_us=self.now_us,
                by=by,
                cause=cause,
                outcome=outcome,
                attempts=call.attempts,
                devices=tuple(call.talked_with),
            )
        )

    # ---- the end of everything

    def crash(self) -> None:
        """All calls die, and no event tells of it. Callers on their way, phones and trunks are the world's."""
        self.up = False
        self.counts.crashes += 1
        for call in list(self.calls.values()):
            self._close(call)
            for leg in list(call.legs.values()):
                self._leg_over(leg, "leg_ended", {})
            if call.direction is Direction.OUTBOUND:
                self.counts.outbound_ended += 1
            else:
                self.counts.died += 1
                self.counts.died_answered += call.answered_us is not None
            self._book(call, By.PBX, "crash", "died")
            self._try_again(call.script, call.tries_left)
        self._events.clear()
        self.past_calls.clear()
        self.past_legs.clear()
        self.commands.clear()
        self.legs_named.clear()

    def restart(self, boot: str) -> None:
        """Come up again, under a new name, with everything forgotten but the configuration."""
        self.boot = boot
        self.started_us = self.now_us
        self.seq = 0
        self._names = 0
        self.up = True
