"""Transfers that a phone makes on Asterisk: blind, and attended."""

from datetime import datetime

from telephony_gateway.domain.pbx_events import (
    CallTransferred,
    LegCleared,
)
from telephony_gateway.domain.words import Party
from telephony_gateway.drivers.asterisk_ami_channels import Channel
from telephony_gateway.drivers.asterisk_ami_memory import Call, Leg, Memory, Moving
from telephony_gateway.drivers.asterisk_ami_messages import Message
from telephony_gateway.drivers.asterisk_ami_placing import Placing
from telephony_gateway.drivers.asterisk_ami_talks import Talks


class Transfers:
    """Understands who gave the customer to whom."""

    def __init__(self, memory: Memory, talks: Talks, placing: Placing) -> None:
        self._memory = memory
        self._talks = talks
        self._placing = placing

    def blind(self, message: Message, at: datetime) -> None:
        if message["Result"] not in ("", "Success"):
            return
        transferer = self._memory.channels.seen(message, at, "Transferer")
        call = self._memory.of.get(transferer.uid) if transferer is not None else None
        leg = call.legs.get(transferer.uid) if call is not None and transferer is not None else None
        if call is None or leg is None or transferer is None:
            return
        by = Party.GATEWAY if transferer.transfers else Party.AGENT
        leg.gave = True
        # The target may be called before it is said that this is a transfer.
        called = call.leg_at(message["Extension"])
        if called is not None and called.answered_at is None and not called.moved and called.consults is None:
            self._talks.given(call, called, at, leg.name, by)
        else:
            call.moving = Moving(at, leg.name, by)

    def attended(self, message: Message, at: datetime) -> None:
        if message["Result"] not in ("", "Success"):
            return
        first = self._memory.channels.seen(message, at, "OrigTransferer")
        second = self._memory.channels.seen(message, at, "SecondTransferer")
        transferee = self._real(self._memory.channels.seen(message, at, "Transferee"), first)
        target = self._real(self._memory.channels.seen(message, at, "TransferTarget"), second)
        if transferee is None or target is None:
            return
        call = self._memory.of.get(transferee.uid) or self._memory.of.get(target.uid)
        if call is None:
            return
        if call.customer is target:
            transferee, target = target, transferee
        if target.trunk and call.customer is not transferee:
            return
        giver = self._leg_of_any(call, first, second)
        other = self._memory.of.get(target.uid)
        if other is not call:
            self._move(target, other, call, giver, at)
        leg = call.legs.get(target.uid)
        if leg is None or (giver is not None and leg is giver):
            return
        leg.moved = True
        call.three = None
        if giver is not None:
            giver.gave = True
        ours = any(c is not None and c.transfers for c in (first, second))
        self._talks.answered(call, leg, at)
        self._memory.tell(
            CallTransferred(
                at=at,
                call=call.name,
                leg=leg.name,
                device=leg.device,
                from_leg=giver.name if giver is not None else None,
                by=Party.GATEWAY if ours else Party.AGENT,
            )
        )

    def _real(self, channel: Channel | None, transferer: Channel | None) -> Channel | None:
        """Whoever stands behind a Local channel."""
        if channel is None or not channel.hidden:
            return channel
        behind = [c for c in self._memory.channels.reached_from(channel) if c is not transferer]
        dialled = [
            c for c in self._memory.channels if c.dialled_from in (channel.uid, channel.other_half) and not c.hidden
        ]
        return next(iter([*behind, *dialled]), None)

    def _leg_of_any(self, call: Call, *channels: Channel | None) -> Leg | None:
        for channel in channels:
            if channel is None:
                continue
            if channel.uid in call.legs:
                return call.legs[channel.uid]
            if channel.uid in self._memory.asking and self._memory.asking[channel.uid][0] is call:
                return call.leg(self._memory.asking[channel.uid][1])
        return None

    def _move(self, target: Channel, other: Call | None, call: Call, giver: Leg | None, at: datetime) -> None:
        """Whom a transfer joins to the customer was in a call of their own: that is part of the customer's now."""
        leg = other.legs.pop(target.uid, None) if other is not None else None
        self._memory.of.pop(target.uid, None)
        self._placing.attach(target, call, at, consults=giver.name if giver is not None else None)
        if other is None or leg is None:
            return
        moved = call.legs.get(target.uid)
        if moved is not None and leg.answered_at is not None:
            self._talks.answered(call, moved, leg.answered_at)
        self._memory.tell(LegCleared(at=at, call=other.name, leg=leg.name, device=leg.device))
