"""What agents do by themselves: at a ringing phone, in a conversation, with a colleague on the line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from telephony_gateway.virtual_pbx.core.model import Failure, Leg, LegState
from telephony_gateway.virtual_pbx.core.scripts import HoldHabit, MoveHabit, MoveKind, draw_us, microseconds

if TYPE_CHECKING:
    from telephony_gateway.virtual_pbx.core.switch import Switch

COME_BACK_US = 1_000_000
"""How long it takes to come back to the customer when the colleague does not answer or hangs up."""


def rings(switch: Switch, leg: Leg) -> None:
    """The phone rings: answer it later, refuse it, or let it ring."""
    assert leg.device is not None
    behaviour = leg.device.behaviour
    if behaviour.answer_after is None:
        return
    mood = switch.chance() if behaviour.ignore_chance or behaviour.decline_chance else 1.0
    if mood < behaviour.ignore_chance:
        return
    due_us = switch.now_us + draw_us(behaviour.answer_after, switch.chance)
    if mood < behaviour.ignore_chance + behaviour.decline_chance:
        react = partial(switch.fail, leg, Failure.DECLINED, "call rejected")
    else:
        react = partial(switch.answer, leg)
    leg.timers.append(switch.timers.set(due_us, react))


def talks(switch: Switch, leg: Leg) -> None:
    """A conversation with the customer begins: decide what will happen in it."""
    assert leg.device is not None
    behaviour = leg.device.behaviour
    hold, move = behaviour.hold, behaviour.move
    if hold is not None and switch.chance() < hold.chance:
        due_us = switch.now_us + draw_us(hold.after, switch.chance)
        leg.timers.append(switch.timers.set(due_us, partial(_hold, switch, leg, hold)))
    if move is not None and move.to and switch.chance() < move.chance:
        due_us = switch.now_us + draw_us(move.after, switch.chance)
        leg.timers.append(switch.timers.set(due_us, partial(_move, switch, leg, move)))


def is_consulted(switch: Switch, leg: Leg) -> None:
    """The colleague picked up: talk, then do what the habit says."""
    asker = leg.consults
    if not leg.scripted or asker is None or asker.device is None:
        return
    move = asker.device.behaviour.move
    if move is None:
        return
    due_us = switch.now_us + draw_us(move.consult, switch.chance)
    leg.timers.append(switch.timers.set(due_us, partial(_bring_in, switch, leg, move.kind)))


def is_left_by_consulted(switch: Switch, asker: Leg) -> None:
    """The colleague is not, or no longer, on the line: an agent who asked by habit returns to the customer."""
    if not asker.scripted or asker.state is not LegState.HELD or asker.device is None:
        return
    asker.timers.append(switch.timers.set(switch.now_us + COME_BACK_US, partial(_come_back, switch, asker)))


def _hold(switch: Switch, leg: Leg, habit: HoldHabit) -> None:
    if leg.state is not LegState.CONNECTED or leg.scripted:
        return
    switch.hold(leg)
    due_us = switch.now_us + draw_us(habit.duration, switch.chance)
    leg.timers.append(switch.timers.set(due_us, partial(_resume, switch, leg)))


def _resume(switch: Switch, leg: Leg) -> None:
    if not leg.scripted:
        _come_back(switch, leg)


def _come_back(switch: Switch, leg: Leg) -> None:
    leg.scripted = False
    consulting = any(other.consults is leg for other in leg.call.legs.values())
    if leg.state is LegState.HELD and not consulting:
        switch.retrieve(leg)


def _move(switch: Switch, leg: Leg, habit: MoveHabit) -> None:
    choice = [name for name in habit.to if name != leg.device_id and name in switch.devices]
    if not choice or any(other.consults is leg for other in leg.call.legs.values()):
        return
    device = switch.devices[choice[int(switch.chance() * len(choice))]]
    timeout_us = microseconds(habit.timeout_s)
    name = switch.new_name("leg")
    if habit.kind is MoveKind.BLIND:
        switch.transfer_blind(leg, name, device, timeout_us)
        return
    leg.scripted = True
    if leg.state is LegState.CONNECTED:
        switch.hold(leg)
    switch.ring(leg.call, name, device, timeout_us, consults=leg, scripted=True)


def _bring_in(switch: Switch, leg: Leg, kind: MoveKind) -> None:
    asker = leg.consults
    if asker is None:
        return
    asker.scripted = leg.scripted = False
    if kind is MoveKind.CONFERENCE:
        switch.confer(asker, leg)
    else:
        switch.transfer_attended(asker, leg)
