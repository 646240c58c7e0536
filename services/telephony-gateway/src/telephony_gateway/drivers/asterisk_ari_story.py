"""What follows from what is known of calls on Asterisk: what is told to the gateway, and what has to be said at once.

Events are facts with times, in whatever order they come; `Story.review` tells what has become true and was not told.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from telephony_gateway.domain.pbx_events import (
    CallCleared,
    CallConferenced,
    CallEvent,
    CallOffered,
    CallTransferred,
    CustomerAlerting,
    CustomerAnswered,
    CustomerFailed,
    CustomerWaits,
    LegAlerting,
    LegAnswered,
    LegCleared,
    LegFailed,
    LegHeld,
    LegInitiated,
    LegRetrieved,
    PbxEvent,
)
from telephony_gateway.domain.words import Direction, FailureReason
from telephony_gateway.domain.words import Party as Who
from telephony_gateway.drivers.asterisk_ari_calls import (
    AGENT,
    CUSTOMER,
    Call,
    Leg,
    Memory,
    Outgoing,
    Party,
    Purpose,
    our_names,
)
from telephony_gateway.drivers.asterisk_ari_control import VARIABLE_PREFIX, Control, Say
from telephony_gateway.drivers.asterisk_ari_messages import Channel, Malformed

INBOUND = "inbound"
DIVERTED_FROM = "diverted_from"
TIME_OUT = "time-out"
UNKNOWN = "unknown"
AT_ONCE = timedelta(seconds=1)
"""What follows within this time was meant together: the customer is hung up because the agent hung up, the agent leaves
because the customer was given to somebody else."""
HOLD_AFTER = timedelta(seconds=0.5)
"""Who takes the customer out of a conversation for less than this does not hold, but gives away."""

BUSY, ABSENT, REJECTED = 17, 20, 21
"""ITU-T Q.850 causes."""
_NOT_REACHED = frozenset(range(1, 7)) | {18, ABSENT, 22, 25, 27, 28, 34, 38, 41, 42, 44, 47, 50, 57, 58, 63, 65, 66, 79}
EXPLICIT = 32
"""In ``cause`` of a soft `ChannelHangupRequest`: somebody asked for it by name (``AST_SOFTHANGUP_EXPLICIT``)."""


class Story:
    """All calls of one Asterisk."""

    def __init__(self, application: str) -> None:
        self.application = application
        self.control = Control(application)
        self.memory = Memory()
        self.up = False
        """Whether the gateway has been told what is up."""
        self.news: list[PbxEvent] = []
        self.says: list[Say] = []

    def say(self, says: Sequence[Say]) -> None:
        """Have something said."""
        self.says += says

    # ---- which leg is whose

    def offer(self, channel: Channel, arguments: tuple[str, ...], at: datetime) -> None:
        """A customer enters."""
        if self.memory.is_full():
            raise Malformed("too many calls")
        plain = [argument for argument in arguments if "=" not in argument]
        named = {name: value for name, _, value in (a.partition("=") for a in arguments) if value}
        own = {name.removeprefix(VARIABLE_PREFIX): v for name, v in channel.variables.items() if v and is_ours(name)}
        dialled = plain[1] if plain[:1] == [INBOUND] and len(plain) > 1 else channel.exten
        diverted_from = named.pop(DIVERTED_FROM, "") or None
        call = Call(
            channel.channel_id,
            Direction.INBOUND,
            at,
            dialled=dialled,
            number=channel.number,
            caller_name=channel.caller_name,
            trunk=channel.peer,
            diverted_from=diverted_from,
            attributes={**own, **named},
            customer=Party(channel.channel_id),
        )
        self.memory.add_call(call)
        if self.up:
            self.tell_offered(call)
            self.say(self.control.receive(call, answered=channel.is_up))
        assert call.customer is not None
        self.observe(call.customer, channel, at)

    def outgoing(
        self, channel: str, dialled: str, arguments: tuple[str, ...], shown: str, originator: str, at: datetime
    ) -> None:
        """A channel that an application called. Somebody beyond a trunk is a customer, a phone is an agent's."""
        if self.memory.find(channel) is not None or self.memory.is_over(channel):
            return
        if self.memory.is_full():
            raise Malformed("too many calls")
        alias = arguments[1] if len(arguments) > 1 and arguments[0] in (AGENT, CUSTOMER) else ""
        if "@" in dialled or arguments[:1] == (CUSTOMER,):
            self._customer_called(channel, dialled.partition("@"), alias, at)
            return
        named = our_names(channel)
        leg = Leg(
            channel=channel,
            leg=named[2] if named is not None else channel,
            device=dialled.rpartition("/")[2],
            alias=alias,
            presented=shown,
            originator=originator,
            initiated_at=at,
        )
        if named is not None and len(arguments) > 2:
            self.of_ours(leg, arguments, at)
        self.memory.add_leg(leg)
        self._bind(leg, at)

    def of_ours(self, leg: Leg, arguments: tuple[str, ...], at: datetime) -> None:
        """A leg that a gateway of ours called says what it is for."""
        match arguments:
            case [_, call, "dial", number, trunk, timeout_s] if timeout_s.isdecimal() and len(timeout_s) < 6:
                leg.purpose = Purpose.DIAL
                known = self.memory.calls.get(call)
                if known is None:
                    known = Call(call, Direction.OUTBOUND, at, dialled=number, trunk=trunk)
                    self.memory.add_call(known)
                known.outgoing = Outgoing(number, trunk, int(timeout_s))
            case [_, _, purpose, other] if purpose in set(Purpose):
                leg.purpose = Purpose(purpose)
                leg.consults = other if leg.purpose is Purpose.CONSULT else None
            case [_, _, purpose] if purpose in set(Purpose):
                leg.purpose = Purpose(purpose)

    def _customer_called(self, channel: str, dialled: tuple[str, str, str], alias: str, at: datetime) -> None:
        """We dial out: the agent is there already."""
        number, _, trunk = dialled
        call = self.memory.by_alias(alias) if alias else None
        agents = [leg for leg in self.memory.orphans() if alias and leg.alias == alias]
        if call is None:
            since = min((leg.initiated_at for leg in agents if leg.initiated_at is not None), default=at)
            call = Call(alias or channel, Direction.OUTBOUND, since, dialled=number, trunk=trunk)
            self.memory.add_call(call)
            self.tell_offered(call)
        self.memory.set_customer(call, Party(channel))
        self.memory.name(call, alias)
        self.bind_orphans(at)
        self.review(call, at)

    def bind_orphans(self, at: datetime) -> None:
        """Look again whether it can be known whose legs these are."""
        for leg in self.memory.orphans():
            self._bind(leg, at)

    def _bind(self, leg: Leg, at: datetime) -> None:
        call = leg.call or self.memory.call_of(leg)
        if call is not None:
            self.bind_to(leg, call, at)

    def bind_to(self, leg: Leg, call: Call, at: datetime) -> None:
        """The leg is one of this call."""
        self.memory.bind(leg, call)
        if call.gives is not None and leg.purpose is Purpose.TRANSFER and call.gives[0] == leg.leg:
            self.tell_leg(call, leg)
            self._give(call, leg, call.leg(call.gives[1]), at, Who.GATEWAY)
        if leg.purpose is None and leg.consults is None:
            asking = next(
                (o for o in call.legs.values() if o.device == leg.presented and o.joined_at is not None), None
            )
            leg.consults = asking.leg if asking is not None and asking is not leg else None
            self._inferred_transfer(call, leg, at)
        self.review(call, at)

    def _inferred_transfer(self, call: Call, leg: Leg, at: datetime) -> None:
        """Somebody else's gateway took one agent away and at once called another: it gave the customer away."""
        gone = call.left_by
        if gone is None or call.left_at is None or gone.hung_up_itself or not gone.ended_by_us:
            return
        if at - call.left_at <= AT_ONCE and call.direction is Direction.INBOUND:
            self.tell_leg(call, leg)
            self._give(call, leg, gone, at, Who.GATEWAY)

    def adopt_failed(self, leg: Leg, at: datetime) -> None:
        """A leg ends and nothing said to which call it belonged: somebody was called for a customer not yet dialled."""
        self._bind(leg, at)
        known = leg.call is not None or our_names(leg.channel) is not None
        if known or leg.up_at is not None or not leg.presented:
            return
        call = Call(leg.alias or leg.channel, Direction.OUTBOUND, leg.initiated_at or at, dialled=leg.presented)
        self.memory.add_call(call)
        self.tell_offered(call)
        self.bind_to(leg, call, at)

    # ---- what follows from the facts

    def seen(self, channel: Channel, at: datetime) -> None:
        """A channel was described: learn from it, and tell what follows."""
        found = self.memory.find(channel.channel_id)
        if found is None:
            return
        call, party = found
        self.observe(party, channel, at)
        if call is None and isinstance(party, Leg):
            self._bind(party, at)
        elif call is not None:
            self.review(call, at)

    def observe(self, party: Party, channel: Channel, at: datetime) -> None:
        """Learn from how a channel is described."""
        if channel.rings:
            party.ringing_at = at if party.ringing_at is None else min(party.ringing_at, at)
        elif channel.is_up:
            party.up_at = at if party.up_at is None else min(party.up_at, at)

    def with_customer(self, call: Call, leg: Leg) -> bool:
        """Whether this agent and the customer are connected just now."""
        customer = call.customer
        return (
            customer is not None
            and customer.up_at is not None
            and customer.bridge is not None
            and leg.up_at is not None
            and leg.bridge == customer.bridge
            and not self.memory.is_holding(leg.bridge)
        )

    def is_put_on_hold(self, call: Call, leg: Leg) -> bool:
        """The gateway lets the customer wait while the agent stays where they talked."""
        customer = call.customer
        return (
            leg.joined_at is not None
            and leg.bridge is not None
            and leg.gave_to is None
            and customer is not None
            and self.memory.is_holding(customer.bridge)
        )

    def review(self, call: Call, at: datetime) -> None:
        """Tell what has become true and was not told."""
        if call.direction is Direction.OUTBOUND and call.customer is not None:
            self._tell_customer(call, call.customer)
        for leg in list(call.legs.values()):
            self.tell_leg(call, leg)
            if leg.up_at is None or not leg.device:
                continue
            if self.with_customer(call, leg):
                self._joined(call, leg, at)
            elif leg.joined_at is None:
                self._talks_elsewhere(call, leg)
            elif leg.held_at is None and self.is_put_on_hold(call, leg):
                leg.held_at, leg.hold_told, leg.retrieved_at = at, False, None
            self.tell_hold(call, leg, at)
        customer = call.customer
        if (
            customer is not None
            and call.left_by is not None
            and self.memory.is_holding(customer.bridge)
            and "waiting" not in call.left_by.told
            and not any(leg.joined_at and leg.gave_to is None for leg in call.legs.values())
        ):
            call.left_by.told.add("waiting")
            self.tell(CustomerWaits(at=at, call=call.name))

    def _joined(self, call: Call, leg: Leg, at: datetime) -> None:
        assert leg.up_at is not None
        if leg.joined_at is None:
            others = [other for other in call.legs.values() if other is not leg and self.with_customer(call, other)]
            leg.joined_at = at
            call.left_by = None
            self.tell_answered(call, leg, leg.up_at if at - leg.up_at <= AT_ONCE or leg.consults else at)
            if call.gives is not None and call.gives[0] == leg.leg:
                giver = call.leg(call.gives[1])
                self._give(call, leg, giver, at, Who.GATEWAY)
            elif leg.consults is not None or others:
                self.tell(CallConferenced(at=at, call=call.name, leg=leg.leg, device=leg.device))
        elif not leg.answered:
            self.tell_answered(call, leg, leg.up_at)
        if leg.held_at is not None and leg.retrieved_at is None:
            leg.retrieved_at = at

    def _talks_elsewhere(self, call: Call, leg: Leg) -> None:
        """Picked up, and not with the customer: another agent's consultation, or the one for whom we dial."""
        assert leg.up_at is not None
        asking = next(
            (
                other
                for other in call.legs.values()
                if other.joined_at is not None and other.bridge is not None and other.bridge == leg.bridge
            ),
            None,
        )
        if asking is not None and leg.purpose in (None, Purpose.CONSULT):
            if leg.consults is None:
                leg.consults = asking.leg
                leg.told.discard("initiated")
                self.tell_leg(call, leg)
            self.tell_answered(call, leg, leg.up_at)
        elif call.direction is Direction.OUTBOUND and leg.purpose in (None, Purpose.DIAL):
            self.tell_answered(call, leg, leg.up_at)

    def _give(self, call: Call, leg: Leg, giver: Leg | None, at: datetime, by: Who) -> None:
        call.gives = None
        if giver is not None:
            giver.gave_to = leg.leg
        from_leg = giver.leg if giver is not None else None
        self.tell(CallTransferred(at=at, call=call.name, leg=leg.leg, device=leg.device, from_leg=from_leg, by=by))

    def picked_up(self, call: Call, leg: Leg) -> None:
        """An agent whom we called is there: do what they were called for."""
        customer = call.customer
        match leg.purpose:
            case None:
                return  # somebody else's
            case Purpose.DIAL if customer is None:
                self.say(self.control.dial_customer(call, leg))
            case Purpose.DIAL if customer is not None and customer.up_at is not None and leg.joined_at is None:
                self.say(self.control.customer_answered(call))
            case Purpose.DIAL:
                return  # the customer rings
            case Purpose.CONSULT if call.leg(leg.consults or "") is not None:
                self.say(self.control.talk(call, leg))
            case Purpose.CONNECT | Purpose.TRANSFER if self._is_taken(call, leg):
                self.say(self.control.end(call, leg))
            case _ if customer is not None:
                self.say(self.control.talk(call, customer, leg))

    def _is_taken(self, call: Call, leg: Leg) -> bool:
        """Two agents never get one call, whatever crosses."""
        return any(other is not leg and self.with_customer(call, other) for other in call.legs.values())

    # ---- ends

    def end_party(self, call: Call, party: Party, at: datetime) -> None:
        """A channel of a call is over."""
        if isinstance(party, Leg):
            self._end_leg(call, party, at)
        else:
            self._end_customer(call, party, at)

    def _end_leg(self, call: Call, leg: Leg, at: datetime) -> None:
        leg.device = leg.device or UNKNOWN
        self.tell_leg(call, leg)
        self.memory.end(leg.channel)
        cause = cause_of(leg)
        if leg.answered:
            self.tell_hold(call, leg, at)
            self.tell(LegCleared(at=at, call=call.name, leg=leg.leg, device=leg.device, cause=cause))
        else:
            reason = failure_of(leg)
            if reason in (FailureReason.BUSY, FailureReason.DECLINED) and leg.ringing_at is None:
                # The phone itself said so: it was reached.
                leg.ringing_at = leg.initiated_at
                self.tell_leg(call, leg)
            self.tell(LegFailed(at=at, call=call.name, leg=leg.leg, device=leg.device, reason=reason, cause=cause))
        if call.customer is None:
            if not call.legs:
                timed_out = not leg.answered and failure_of(leg) is FailureReason.NO_ANSWER
                by = Who.GATEWAY if timed_out or leg.ended_by_us else Who.AGENT if leg.hung_up_itself else Who.PBX
                self._clear(call, at, by, leg if by is Who.AGENT else None, TIME_OUT if timed_out else cause)
            return
        self._left_alone(call, leg, at)

    def _left_alone(self, call: Call, leg: Leg, at: datetime) -> None:
        """An agent is gone. If others talk on, or the customer was given to somebody, there is nothing to do."""
        customer = call.customer
        assert customer is not None
        if leg.gave_to is not None or customer.hung_up_itself:
            return
        heir = self._heir(call, leg, at)
        if heir is not None:
            by = Who.AGENT if leg.hung_up_itself else Who.GATEWAY
            self._give(call, heir, leg, heir.joined_at or at, by)
            if not self.with_customer(call, heir) and heir.up_at is not None:
                self.say(self.control.talk(call, customer, heir))
            return
        if any(other.joined_at is not None and other.gave_to is None for other in call.legs.values()):
            return
        if not leg.answered:
            if call.direction is Direction.INBOUND:
                self.tell(CustomerWaits(at=at, call=call.name))
                if customer.bridge is not None and not self.memory.is_holding(customer.bridge):
                    self.say(self.control.wait(call))
            return
        call.left_by, call.left_at = leg, at
        if call.gives is not None and call.gives[1] == leg.leg:
            return
        if leg.hung_up_itself or call.direction is Direction.OUTBOUND:
            # The agent hangs up: the conversation is over.
            self.say(self.control.end(call, customer))
        elif not self.memory.is_holding(customer.bridge):
            self.say(self.control.wait(call))

    def _heir(self, call: Call, leg: Leg, at: datetime) -> Leg | None:
        """Who has the customer because this agent left: whom they consulted, if both were together just now."""
        for other in call.legs.values():
            if other.consults != leg.leg:
                continue
            if other.joined_at is not None and at - other.joined_at <= AT_ONCE:
                return other
            if other.joined_at is None and leg.hung_up_itself and leg.purpose is not None:
                return other  # who hangs up while consulting hands over
        return None

    def _end_customer(self, call: Call, customer: Party, at: datetime) -> None:
        if call.direction is Direction.OUTBOUND and customer.up_at is None:
            reason = failure_of(customer)
            self._tell_customer(call, customer)
            self.tell(CustomerFailed(at=at, call=call.name, reason=reason, cause=cause_of(customer)))
            if customer.ended_by_us or call.left_by is not None:
                agent = call.left_by if call.left_by is not None and call.left_by.hung_up_itself else None
                self._clear(call, at, Who.AGENT if agent else Who.GATEWAY, agent, cause_of(customer))
            elif reason is FailureReason.NO_ANSWER:
                self._clear(call, at, Who.GATEWAY, None, TIME_OUT)
            else:
                self._clear(call, at, Who.PBX, None, cause_of(customer))
            return
        by, agent = self._who_ended(call, customer, at)
        self._clear(call, at, by, agent, cause_of(customer))

    def _who_ended(self, call: Call, customer: Party, at: datetime) -> tuple[Who, Leg | None]:
        if customer.hung_up_itself:
            return Who.CUSTOMER, None
        leaver = call.left_by
        if leaver is not None and call.left_at is not None and leaver.hung_up_itself and at - call.left_at <= AT_ONCE:
            return Who.AGENT, leaver
        hung_up = [leg for leg in call.legs.values() if leg.hung_up_itself and leg.joined_at and leg.gave_to is None]
        if hung_up and not customer.ended_by_us:
            return Who.AGENT, hung_up[0]
        if customer.ended_by_us or customer.hung_up_cause == EXPLICIT:
            return Who.GATEWAY, None
        return Who.PBX, None

    def _clear(self, call: Call, at: datetime, by: Who, agent: Leg | None, cause: str) -> None:
        for leg in self.memory.orphans():
            # Somebody who was called for this customer, if anything says so.
            if leg.presented and leg.presented == call.number:
                self.bind_to(leg, call, at)
        for leg in call.legs.values():
            self.tell_leg(call, leg)
        leg_name = agent.leg if agent is not None else None
        self.tell(CallCleared(at=at, call=call.name, by=by, leg=leg_name, cause=cause))
        self.say(self.control.clean_up(call))
        self.memory.end_call(call)

    # ---- telling

    def tell(self, event: PbxEvent) -> None:
        """What is found out while it is looked at what is up is part of `ConnectionUp`."""
        if self.up or not isinstance(event, CallEvent):
            self.news.append(event)

    def tell_offered(self, call: Call) -> None:
        """That there is a new call."""
        self.tell(
            CallOffered(
                at=call.offered_at,
                call=call.name,
                direction=call.direction,
                dialled=call.dialled,
                from_number=call.number or None,
                from_name=call.caller_name,
                trunk=call.trunk,
                diverted_from=call.diverted_from,
                attributes=dict(call.attributes),
            )
        )

    def _tell_customer(self, call: Call, customer: Party) -> None:
        if customer.ringing_at is not None and "alerting" not in customer.told:
            customer.told.add("alerting")
            self.tell(CustomerAlerting(at=customer.ringing_at, call=call.name))
        if customer.up_at is not None and "answered" not in customer.told:
            customer.told.add("answered")
            self.tell(CustomerAnswered(at=customer.up_at, call=call.name))

    def tell_leg(self, call: Call, leg: Leg) -> None:
        """That it is called, and that it rings."""
        if not leg.device:
            return
        if "initiated" not in leg.told and leg.initiated_at is not None:
            leg.told.add("initiated")
            self.tell(
                LegInitiated(at=leg.initiated_at, call=call.name, leg=leg.leg, device=leg.device, consults=leg.consults)
            )
        if "alerting" not in leg.told and leg.ringing_at is not None:
            leg.told.add("alerting")
            self.tell(LegAlerting(at=leg.ringing_at, call=call.name, leg=leg.leg, device=leg.device))

    def tell_answered(self, call: Call, leg: Leg, at: datetime) -> None:
        """That the agent picked up, and is connected."""
        if not leg.answered:
            leg.told.add("answered")
            self.tell(LegAnswered(at=at, call=call.name, leg=leg.leg, device=leg.device))

    def tell_hold(self, call: Call, leg: Leg, at: datetime) -> None:
        """Of somebody else's leg later: who is taken out of a conversation, or brought back, for a moment only is given
        away. Of our own we know what is meant.
        """
        patience = HOLD_AFTER if leg.purpose is None else timedelta(0)
        if leg.held_at is None or (call.gives is not None and call.gives[1] == leg.leg):
            return
        if not leg.hold_told and (leg.retrieved_at or at) - leg.held_at >= patience:
            leg.hold_told = True
            if not leg.holds_itself:
                held = LegHeld(at=leg.held_at, call=call.name, leg=leg.leg, device=leg.device, by=Who.GATEWAY)
                self.tell(held)
        if leg.retrieved_at is not None and at - leg.retrieved_at >= patience:
            if leg.hold_told and not leg.holds_itself:
                self.tell(LegRetrieved(at=leg.retrieved_at, call=call.name, leg=leg.leg, device=leg.device))
            leg.held_at, leg.hold_told, leg.retrieved_at = None, False, None


def is_ours(variable: str) -> bool:
    """Whether a channel variable is an attribute."""
    return variable.startswith(VARIABLE_PREFIX) and variable != "CC_CALL_ID"


def failure_of(party: Party) -> FailureReason:
    """Why a channel was not answered."""
    cause = party.hung_up_cause
    if cause == BUSY or party.dial_status == "BUSY":
        return FailureReason.BUSY
    if cause == REJECTED:
        return FailureReason.DECLINED
    if party.ended_by_us or (party.hung_up_at is not None and not party.hung_up_itself):
        return FailureReason.CANCELLED
    if cause in _NOT_REACHED or party.ringing_at is None:
        return FailureReason.UNREACHABLE
    return FailureReason.NO_ANSWER


def cause_of(party: Party) -> str:
    """Asterisk's word for why a channel ended: a number of Q.850."""
    return "" if party.hung_up_cause is None else str(party.hung_up_cause)
