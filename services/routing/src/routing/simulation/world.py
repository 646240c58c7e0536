"""Plays a scenario against the engine under virtual time: one replication, as fast as it goes.

What the engine does not know is here: callers who come, give up and come again, trunks, agents who come to work
and go home, and how long service takes. All choices of who gets what are the engine's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from routing.domain.waits import Waits
from routing.engine import (
    AcceptAssignment,
    AgentChanged,
    AssignmentAccepted,
    AssignmentCompleted,
    AssignmentOffered,
    CancelItem,
    CompleteAssignment,
    Effect,
    FireTimers,
    ItemQueued,
    Mode,
    PutAgent,
    SetMode,
    SubmitItem,
    WorkKind,
)
from routing.simulation.arrivals import arriving
from routing.simulation.distributions import Sampler
from routing.simulation.observations import GroupClock, Observations, Slots, Tally
from routing.simulation.scenario import Arrival, Retrial, Scenario

Staffing = Mapping[str, Sequence[int]]
"""Per group, how many agents there are in each period."""


class _Caller:
    """A call that is in the centre."""

    __slots__ = ("arrived", "expected_ms", "item_id", "joined", "kind", "queued", "services_ms", "tally")

    def __init__(self, item_id: str, kind: "_Kind", arrived: int, services_ms: list[int], tally: Tally) -> None:
        self.item_id = item_id
        self.kind = kind
        self.arrived = arrived
        self.services_ms = services_ms
        self.tally = tally
        self.queued = False
        self.joined = arrived
        """When the wait began,"""
        self.expected_ms: int | None = None
        """and how long it was expected to be."""


class _Kind:
    """A call type, made ready to draw from.

    Each type draws from streams of its own, everything about a call when it arrives, and for every group that it
    may meet: the callers stay the same whatever the agents do (common random numbers).
    """

    def __init__(self, scenario: Scenario, name: str, streams: Callable[[str], Random]) -> None:
        call_type = scenario.types[name]
        self.name = name
        self.takes_line = call_type.kind is WorkKind.CALL
        self.retrial = call_type.retrial
        self.routed = scenario.routed(call_type)
        self.calls: Iterator[Arrival] = arriving(
            call_type, scenario.time, streams(f"{name}/arrivals"), streams("factor")
        )
        own = {group: by.service_s[name] for group, by in scenario.groups.items() if name in by.service_s}
        self._services = [_samplers(call_type.service_s), *(_samplers(service) for service in own.values())]
        self.service_of = {group: index for index, group in enumerate(own, start=1)}
        """Which of a call's services is with this group; 0 when the group is not here."""
        self._patiences = None if call_type.patience_s is None else _samplers(call_type.patience_s)
        self._period_ms = round(scenario.time.period_s * 1000)
        self._chance = {
            again: (streams(f"{name}/service{again}"), streams(f"{name}/patience{again}")) for again in ("", "/again")
        }
        self.retries = streams(f"{name}/retrials")

    def draw(self, now: int, recorded: Arrival | None) -> tuple[list[int], int | None]:
        """Service times by ``service_of``, and the patience; ``recorded`` is None for those who call again."""
        services, patiences = self._chance["/again" if recorded is None else ""]
        period = now // self._period_ms
        times = [round(_at(samplers, period)(services) * 1000) for samplers in self._services]
        patience = None if self._patiences is None else round(_at(self._patiences, period)(patiences) * 1000)
        if recorded is not None and recorded.service_s is not None:
            times = [round(recorded.service_s * 1000)] * len(times)
        if recorded is not None and recorded.patience_s is not None:
            patience = round(recorded.patience_s * 1000)
        return times, patience


class _Agent:
    """An agent who was at work at least once."""

    __slots__ = ("clock", "group", "held", "present", "wrapping")

    def __init__(self, group: str, clock: GroupClock) -> None:
        self.group = group
        self.clock = clock
        self.held = 0
        self.wrapping = False
        self.present = False
        """Here by the staffing; one who is not may still be finishing."""


def play(
    scenario: Scenario, slots: Slots, seed: int, replication: int, staffing: Staffing | None = None
) -> Observations:
    """One replication. The same seed and replication meet the same callers, whatever the staffing."""
    return _World(scenario, slots, f"{seed}/{replication}", staffing or scheduled(scenario)).run()


def scheduled(scenario: Scenario) -> dict[str, list[int]]:
    """The scenario's own staffing, for each period."""
    periods = scenario.time.periods
    return {
        name: list(group.agents) if len(group.agents) == periods else group.agents * periods
        for name, group in scenario.groups.items()
    }


class _World:
    def __init__(self, scenario: Scenario, slots: Slots, seed: str, staffing: Staffing) -> None:
        self._scenario = scenario
        self._slots = slots
        self._staffing = staffing
        self._engine = scenario.engine(lambda token: f"a{token}")
        self._kinds = {name: _Kind(scenario, name, lambda part: _stream(seed, part)) for name in scenario.types}
        self._tallies = {name: [Tally() for _ in range(len(slots))] for name in scenario.types}
        self._uncounted = Tally()
        """Of who arrives in the warm-up."""
        self._clocks = {name: GroupClock() for name in scenario.groups}
        self._group_tallies: dict[str, list[Any]] = {name: [] for name in scenario.groups}
        self._agents: dict[str, _Agent] = {}
        self._rosters: dict[str, list[str]] = {name: [] for name in scenario.groups}
        self._callers: dict[str, _Caller] = {}
        self._waits = Waits()
        self._lines = 0
        """Calls that are here."""
        self._waiting = 0
        """Of these, those that wait."""
        self._numbers = count()
        self._events: list[tuple[int, int, Callable[..., None], Any]] = []
        """When, in which order within a millisecond, what, of whom."""
        self._order = count()
        self._has_wrap_up = any(queue.wrap_up_s for queue in scenario.queues.values())
        self._horizon = round(scenario.time.horizon_s * 1000)
        self._stopped = False

    def run(self) -> Observations:
        """From the first period to the horizon, or to the last caller."""
        scenario, engine = self._scenario, self._engine
        period_ms = round(scenario.time.period_s * 1000)
        for period in range(scenario.time.periods):
            self._at(period * period_ms, self._begin_period, period)
        for slot, edge in enumerate(self._slots.edges_ms):
            self._at(edge, self._cut, slot)
        self._at(self._horizon, self._close, None)
        for kind in self._kinds.values():
            self._expect(kind)
        events = self._events
        while not self._stopped:
            due = engine.next_due()
            if due is not None and (not events or due <= events[0][0]):
                self._follow(engine.step(FireTimers(), due), due)
            elif events:
                now, _, happen, whom = heappop(events)
                happen(whom, now)
            else:
                break
        return Observations(self._tallies, self._group_tallies, next(self._numbers))

    def _at(self, when: int, happen: Callable[..., None], whom: Any) -> None:
        heappush(self._events, (when, next(self._order), happen, whom))

    # Callers

    def _expect(self, kind: _Kind) -> None:
        call = next(kind.calls, None)
        if call is not None:
            self._at(round(call.at_s * 1000), self._arrive, (kind, call))

    def _arrive(self, arrival: tuple[_Kind, Arrival], now: int) -> None:
        kind, call = arrival
        self._expect(kind)
        self._enter(kind, now, call)

    def _call_again(self, kind: _Kind, now: int) -> None:
        if now < self._horizon:
            self._enter(kind, now, None)

    def _enter(self, kind: _Kind, now: int, call: Arrival | None) -> None:
        """Somebody calls; again, if there is no ``call`` that was to come."""
        slot = self._slots.of(now)
        tally = self._uncounted if slot is None else self._tallies[kind.name][slot]
        tally.offered += 1
        tally.retried += call is None
        services_ms, patience_ms = kind.draw(now, call)
        item_id = f"{next(self._numbers):09d}"
        caller = _Caller(item_id, kind, now, services_ms, tally)
        lines = self._scenario.lines
        if kind.takes_line and lines.trunks is not None and self._lines >= lines.trunks:
            self._block(caller, now)
            return
        self._callers[item_id] = caller
        self._lines += kind.takes_line
        self._follow(self._engine.step(SubmitItem(kind.routed.item(item_id, now)), now), now)
        if caller.queued and kind.takes_line and lines.waiting_room is not None and self._waiting > lines.waiting_room:
            # Whether an agent is free is the engine's knowledge: who would have to wait finds no place.
            self._leave(caller, now, "blocked")
            self._block(caller, now)
        elif caller.queued:
            tally.delayed += 1
            if patience_ms is not None:
                self._at(now + patience_ms, self._lose_patience, caller)

    def _block(self, caller: _Caller, now: int) -> None:
        caller.tally.blocked += 1
        retrial = caller.kind.retrial
        if retrial is not None:
            self._maybe_again(caller, retrial, retrial.after_blocked, now)

    def _lose_patience(self, caller: _Caller, now: int) -> None:
        if not caller.queued:
            return
        self._leave(caller, now, "abandoned")
        caller.tally.abandoned_waits_ms.append(now - caller.arrived)
        retrial = caller.kind.retrial
        if retrial is not None:
            self._maybe_again(caller, retrial, retrial.after_abandoned, now)

    def _maybe_again(self, caller: _Caller, retrial: Retrial, share: float, now: int) -> None:
        retries = caller.kind.retries
        delay_s = retrial.delay_s.sampler()(retries)
        if retries.random() < share:
            self._at(now + round(delay_s * 1000), self._call_again, caller.kind)

    def _leave(self, caller: _Caller, now: int, why: str) -> None:
        caller.queued = False
        self._waiting -= caller.kind.takes_line
        self._forget(caller)
        self._follow(self._engine.step(CancelItem(caller.item_id, why), now), now)

    def _forget(self, caller: _Caller) -> None:
        self._lines -= caller.kind.takes_line
        del self._callers[caller.item_id]

    # What the engine decided

    def _follow(self, effects: Sequence[Effect], now: int) -> None:
        for effect in effects:
            kind = type(effect)
            if kind is AssignmentOffered:
                accept = AcceptAssignment(effect.assignment.assignment_id)  # type: ignore[union-attr]
                self._follow(self._engine.step(accept, now), now)
            elif kind is AssignmentAccepted:
                self._serve(effect, now)  # type: ignore[arg-type]
            elif kind is AssignmentCompleted:
                self._part(effect, now)  # type: ignore[arg-type]
            elif kind is ItemQueued:
                self._queue(self._callers[effect.item.item_id], now)  # type: ignore[union-attr]
            elif kind is AgentChanged and self._has_wrap_up:
                self._note_wrap_up(effect, now)  # type: ignore[arg-type]

    def _queue(self, caller: _Caller, now: int) -> None:
        """The caller waits; who only goes to another queue did already."""
        if not caller.queued:
            caller.queued = True
            caller.joined = now
            self._waiting += caller.kind.takes_line
            ahead = self._engine.beside(caller.item_id)
            caller.expected_ms = self._waits.expected_ms(self._engine.line_of(caller.item_id), ahead)

    def _serve(self, accepted: AssignmentAccepted, now: int) -> None:
        assignment = accepted.assignment
        caller = self._callers[assignment.item_id]
        if caller.queued:
            caller.queued = False
            self._waiting -= caller.kind.takes_line
            line = self._engine.line_of(caller.item_id)
            self._waits.departed(line, caller.joined, caller.expected_ms, now)
            if caller.expected_ms is not None:
                caller.tally.wait_errors_ms.append(now - caller.joined - caller.expected_ms)
        caller.tally.served_waits_ms.append(now - caller.arrived)
        agent = self._agents[assignment.agent_id]
        agent.clock.advance(now)
        agent.clock.add_served()
        if not agent.held and not agent.wrapping:
            agent.clock.occupied += 1
        agent.held += 1
        service = caller.services_ms[caller.kind.service_of.get(agent.group, 0)]
        self._at(now + service, self._finish, assignment.assignment_id)

    def _finish(self, assignment_id: str, now: int) -> None:
        self._follow(self._engine.step(CompleteAssignment(assignment_id), now), now)

    def _part(self, completed: AssignmentCompleted, now: int) -> None:
        assignment = completed.assignment
        self._forget(self._callers[assignment.item_id])
        agent = self._agents[assignment.agent_id]
        agent.held -= 1
        self._rest(agent, now)

    def _note_wrap_up(self, changed: AgentChanged, now: int) -> None:
        agent = self._agents[changed.agent_id]
        wrapping = changed.status.wrap_up is not None
        if wrapping and not agent.wrapping and not agent.held:
            agent.clock.advance(now)
            agent.clock.occupied += 1
        was, agent.wrapping = agent.wrapping, wrapping
        if was and not wrapping:
            self._rest(agent, now)

    def _rest(self, agent: _Agent, now: int) -> None:
        """The agent may have nothing to do any more."""
        if not agent.held and not agent.wrapping:
            agent.clock.advance(now)
            agent.clock.occupied -= 1
            if not agent.present:
                agent.clock.staffed -= 1

    # Agents

    def _begin_period(self, period: int, now: int) -> None:
        for name in self._scenario.groups:
            wanted = self._staffing[name][period]
            present = [agent_id for agent_id in self._rosters[name] if self._agents[agent_id].present]
            for agent_id in self._leaving(present)[: max(0, len(present) - wanted)]:
                self._go(agent_id, now)
            for _ in range(wanted - len(present)):
                self._come(name, now)

    def _leaving(self, present: Sequence[str]) -> list[str]:
        """In which order agents go home: idle ones first, of these who came last."""
        latest_first = list(reversed(present))
        latest_first.sort(key=lambda agent_id: self._agents[agent_id].held > 0)
        return latest_first

    def _go(self, agent_id: str, now: int) -> None:
        agent = self._agents[agent_id]
        agent.clock.advance(now)
        agent.present = False
        if not agent.held and not agent.wrapping:
            agent.clock.staffed -= 1
        self._follow(self._engine.step(SetMode(agent_id, Mode.OFFLINE), now), now)

    def _come(self, group: str, now: int) -> None:
        """Somebody who is just finishing stays, else another one comes."""
        roster = self._rosters[group]
        away = [agent_id for agent_id in roster if not self._agents[agent_id].present]
        agent_id = max(away, key=lambda agent_id: self._agents[agent_id].held, default=None)
        if agent_id is None:
            agent_id = f"{group}-{len(roster) + 1:05d}"
            roster.append(agent_id)
            self._agents[agent_id] = _Agent(group, self._clocks[group])
            self._engine.step(PutAgent(agent_id, self._scenario.groups[group].profile), now)
        agent = self._agents[agent_id]
        agent.clock.advance(now)
        agent.present = True
        if not agent.held and not agent.wrapping:
            agent.clock.staffed += 1
        self._follow(self._engine.step(SetMode(agent_id, Mode.READY), now), now)

    # Time

    def _cut(self, slot: int, now: int) -> None:
        for name, clock in self._clocks.items():
            tally = clock.cut(now)
            if slot:
                self._group_tallies[name].append(tally)

    def _close(self, _: None, _now: int) -> None:
        self._stopped = not self._scenario.time.drain


def _stream(seed: str, part: str) -> Random:
    return Random(f"{seed}/{part}")  # noqa: S311 - nothing here is secret


def _samplers(distributions: Sequence[Any]) -> list[Sampler]:
    return [distribution.sampler() for distribution in distributions]


def _at(samplers: Sequence[Sampler], period: int) -> Sampler:
    return samplers[period if period < len(samplers) else -1] if len(samplers) > 1 else samplers[0]
