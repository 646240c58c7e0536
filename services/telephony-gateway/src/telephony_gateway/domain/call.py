"""A call and its legs, as facts. Where they are (offered, alerting, held ...) follows from the facts.

Each fact is a time that is set once, the earliest that was told; so events that come late, twice or in another
order lead to the same call, and nothing has to be undone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

from telephony_gateway.domain.pbx_commands import Command
from telephony_gateway.domain.words import CallState, Direction, FailureReason, LegState, Party

MAX_LEGS = 200
MAX_HOLD_MARKS = 1000
MAX_ATTRIBUTES = 49
"""One less than a contract allows: ``digits`` is the fiftieth."""
MAX_DIGITS = 200
MAX_SETTLED_ORDERS = 20
DIGITS = "digits"

_NAMES = UUID("5f3c1f0e-3c3b-5a55-9d5a-6b1d0a6f7c11")


def call_id_of(pbx_id: str, pbx_call: str) -> UUID:
    """The id of a call: the same whenever, and by whomever, the PBX's name for it is seen."""
    return uuid5(_NAMES, f"{pbx_id}/{pbx_call}")


def connection_id_of(call_id: UUID, leg: str) -> UUID:
    """The id of a leg of a call."""
    return uuid5(call_id, leg)


@dataclass(frozen=True)
class Span:
    """A stretch of time; not over when ``ended_at`` is missing."""

    started_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True)
class Hold(Span):
    """A stretch of time on hold."""

    by: Party = Party.AGENT
    """GATEWAY: it took the customer out of the conversation."""
    retrieved: bool = False
    """Whether it ended by coming back."""


@dataclass(frozen=True, order=True)
class HoldMark:
    """The agent put the customer on hold, or came back."""

    at: datetime
    retrieved: bool
    by: Party = Party.AGENT
    """GATEWAY: it took the customer out of the conversation and back."""


class Joining(StrEnum):
    """How a leg that no queue asked for comes to the customer."""

    TRANSFER = "transfer"
    CONFERENCE = "conference"


@dataclass(frozen=True)
class Connection:
    """One agent's leg."""

    connection_id: UUID
    leg: str
    """The PBX's name for it."""
    device_id: str
    agent_id: str | None
    initiated_at: datetime
    assignment_id: UUID | None = None
    token: int | None = None
    consults: str | None = None
    """The leg for whose agent this one was called."""
    alerting_at: datetime | None = None
    answered_at: datetime | None = None
    moved_at: datetime | None = None
    """When the customer was given to this leg by a transfer, or this leg joined a conference."""
    moved_by: Joining | None = None
    moved_from: str | None = None
    """The leg that gave the customer to this one."""
    given_by: Party | None = None
    """Of a transfer: AGENT, who did it on the phone, or GATEWAY, by command."""
    diverted_to: str | None = None
    """The device or number to which this one passed the call on."""
    leaving_at: datetime | None = None
    """When the agent left, while it is not known yet what became of the customer."""
    failure: FailureReason | None = None
    ended_at: datetime | None = None
    hold_marks: tuple[HoldMark, ...] = ()

    @property
    def state(self) -> LegState:
        """Where it is, by its facts."""
        if self.failure is not None:
            return LegState.FAILED
        if self.ended_at is not None:
            return LegState.CLEARED
        if self.answered_at is not None:
            return LegState.HELD if self.on_hold else LegState.CONNECTED
        return LegState.INITIATED if self.alerting_at is None else LegState.ALERTING

    @property
    def is_live(self) -> bool:
        """Whether it is not over."""
        return self.failure is None and self.ended_at is None

    @property
    def is_consultation(self) -> bool:
        """Whether it is there for another agent and not (yet) for the customer."""
        return self.consults is not None and self.moved_at is None

    @property
    def on_hold(self) -> bool:
        """Whether the customer waits on hold for this agent."""
        return any(span.ended_at is None for span in self._hold_spans())

    @property
    def holds(self) -> tuple[Hold, ...]:
        """When this agent had the customer on hold; a hold ends with the leg at the latest."""
        spans = []
        for span in self._hold_spans():
            ended_at = self.ended_at if span.ended_at is None else span.ended_at
            if ended_at is not None:
                ended_at = max(ended_at, span.started_at)
            spans.append(replace(span, ended_at=ended_at))
        return tuple(spans)

    def _hold_spans(self) -> Iterator[Hold]:
        began: HoldMark | None = None
        for mark in self.hold_marks:
            if not mark.retrieved and began is None:
                began = mark
            elif mark.retrieved and began is not None:
                yield Hold(began.at, mark.at, began.by, retrieved=True)
                began = None
        if began is not None:
            yield Hold(began.at, by=began.by)


class OrderState(StrEnum):
    """What the PBX said to a command."""

    PENDING = "pending"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True)
class Order:
    """A command to the PBX. It belongs to the call, so it is stored with it and can be sent again after a crash."""

    command: Command
    ordered_at: datetime
    requested: bool = False
    """Whether somebody asked for it by hand and may want to know what came of it."""
    state: OrderState = OrderState.PENDING
    settled_at: datetime | None = None
    refusal: str | None = None
    detail: str = ""

    @property
    def order_id(self) -> UUID:
        """Id of the command."""
        return self.command.command_id


@dataclass(frozen=True)
class Attribute:
    """A value and when it was set; of two values the later one counts."""

    at: datetime
    value: str


@dataclass(frozen=True)
class Digit:
    """A key that the customer pressed."""

    at: datetime
    key: str


@dataclass(frozen=True)
class Call:
    """A call. ``version`` is the sequence of the newest event that was published about it."""

    call_id: UUID
    pbx_id: str
    pbx_call: str
    workspace: str
    org_path: str
    direction: Direction
    from_number: str | None
    """The customer's number in E.164."""
    from_raw: str
    from_name: str
    dialled: str
    offered_at: datetime
    waits: bool = True
    """Whether it is, or ever was, for the gateway to find an agent; else the PBX's own dialplan or queue does."""
    trunk: str | None = None
    territory: str | None = None
    diverted_from: str | None = None
    facts: Mapping[str, Attribute] = field(default_factory=dict)
    """Attributes by name, but for ``digits``."""
    digits: tuple[Digit, ...] = ()
    connections: tuple[Connection, ...] = ()
    customer_alerting_at: datetime | None = None
    """Outbound calls only."""
    customer_answered_at: datetime | None = None
    """Outbound calls only."""
    customer_failure: FailureReason | None = None
    """Outbound calls only: why the customer was not reached."""
    customer_left_at: datetime | None = None
    """When the customer was gone, while agents may have stayed a little longer."""
    cleared_at: datetime | None = None
    cleared_by: Party | None = None
    """Who hung up first; known from when the customer left."""
    cleared_by_leg: str | None = None
    """By an agent: whose leg."""
    cause: str | None = None
    newest_token: int = 0
    orders: tuple[Order, ...] = ()
    version: int = 0

    @property
    def state(self) -> CallState:
        """Where it is from the customer's point of view, by its facts."""
        if self.cleared_at is not None:
            return CallState.CLEARED
        live = [c for c in self.connections if c.is_live and not c.is_consultation]
        if any(self.joined_at(c) is not None for c in live):
            return CallState.ESTABLISHED
        # A blind transfer's target counts as ringing at once: the caller is on the way, nobody else shall be found.
        if any(c.alerting_at or c.answered_at or c.moved_at for c in live):
            return CallState.ALERTING
        return CallState.OFFERED

    @property
    def is_cleared(self) -> bool:
        """Whether it is over, for ever."""
        return self.cleared_at is not None

    @property
    def customer_since(self) -> datetime | None:
        """Since when there is somebody for an agent to talk to."""
        match self.direction:
            case Direction.INBOUND:
                return self.offered_at
            case Direction.OUTBOUND:
                return self.customer_answered_at
            case Direction.INTERNAL:
                # Two agents: the second to pick up finds the first.
                answered = sorted(c.answered_at for c in self.connections if c.answered_at is not None)
                return answered[1] if len(answered) > 1 else None

    def joined_at(self, connection: Connection) -> datetime | None:
        """When this agent was first connected with the customer."""
        customer_since = self.customer_since
        if connection.answered_at is None or connection.is_consultation or customer_since is None:
            return None
        joined_at = max(connection.answered_at, customer_since)
        if connection.consults is not None and connection.moved_at is not None:
            joined_at = max(joined_at, connection.moved_at)
        over_at = [at for at in (connection.ended_at, self.customer_left_at) if at is not None]
        if over_at and joined_at > min(over_at):
            return None
        return joined_at

    def given_away_at(self, connection: Connection) -> datetime | None:
        """When this agent's customer was given to another by a transfer."""
        moved_at = (c.moved_at for c in self.connections if c.moved_from == connection.leg)
        return min((at for at in moved_at if at is not None), default=None)

    def parted_at(self, connection: Connection) -> datetime | None:
        """When this agent and the customer were connected no more: one left, or the customer was given to another.

        Who is held counts as connected, unless the gateway took the customer away and never brought them back.
        """
        given_at = self.given_away_at(connection)
        over_at = [at for at in (connection.ended_at, self.customer_left_at, given_at) if at is not None]
        last_hold = max(connection.holds, key=lambda hold: hold.started_at, default=None)
        taken_away = last_hold is not None and last_hold.by is Party.GATEWAY and not last_hold.retrieved
        if given_at is not None and last_hold is not None and taken_away:
            over_at.append(last_hold.started_at)
        return min(over_at, default=None)

    @property
    def answered_at(self) -> datetime | None:
        """When customer and agent were first connected."""
        return min((at for c in self.connections if (at := self.joined_at(c)) is not None), default=None)

    @property
    def attributes(self) -> dict[str, str]:
        """Attributes and, as ``digits``, the keys pressed before the first agent was there."""
        attributes = {name: attribute.value for name, attribute in sorted(self.facts.items())}
        answered_at = self.answered_at
        keys = "".join(d.key for d in self.digits if answered_at is None or d.at <= answered_at)
        if keys:
            attributes[DIGITS] = keys
        return attributes

    @property
    def talk(self) -> tuple[Span, ...]:
        """When the customer was connected with at least one agent; time on hold counts."""
        spans = sorted(
            (joined_at, max(joined_at, parted_at))
            for c in self.connections
            if (joined_at := self.joined_at(c)) is not None and (parted_at := self.parted_at(c)) is not None
        )
        open_since = min(
            (at for c in self.connections if self.parted_at(c) is None and (at := self.joined_at(c)) is not None),
            default=None,
        )
        return tuple(_merged(spans, open_since))

    @property
    def agent_ids(self) -> tuple[str, ...]:
        """Everybody who was tried."""
        return tuple(sorted({c.agent_id for c in self.connections if c.agent_id is not None}))

    @property
    def pending(self) -> tuple[Order, ...]:
        """Commands that the PBX has not answered."""
        return tuple(order for order in self.orders if order.state is OrderState.PENDING)

    def leg(self, name: str) -> Connection | None:
        """The leg that the PBX calls so."""
        return next((c for c in self.connections if c.leg == name), None)

    def connection(self, connection_id: UUID) -> Connection | None:
        """The leg with this id."""
        return next((c for c in self.connections if c.connection_id == connection_id), None)

    def joined(self) -> tuple[Connection, ...]:
        """The agents who are connected with the customer just now, as far as the customer is known to be there."""
        return tuple(c for c in self.connections if c.is_live and self.joined_at(c) is not None)

    def leaving(self) -> tuple[Connection, ...]:
        """Agents who have left, while it is not known yet whether the customer has, too."""
        return tuple(c for c in self.connections if c.is_live and c.leaving_at is not None)

    def live(self) -> tuple[Connection, ...]:
        """The legs that are not over."""
        return tuple(c for c in self.connections if c.is_live)


def with_connection(call: Call, connection: Connection) -> Call:
    """The call with this leg new or changed; when there are too many, the first that failed is forgotten."""
    connection = consistent(connection)
    kept = [c for c in call.connections if c.leg != connection.leg]
    if len(kept) >= MAX_LEGS:
        over = [c for c in kept if not c.is_live] or kept
        kept.remove(next((c for c in over if c.failure is not None), over[0]))
    # The order in which they were told must not matter.
    return replace(call, connections=tuple(sorted((*kept, connection), key=lambda c: (c.initiated_at, c.leg))))


def consistent(connection: Connection) -> Connection:
    """The leg with its times in order, whatever the clocks of PBX and gateway say."""
    answered_at = connection.answered_at
    alerting_at = connection.alerting_at
    if alerting_at is not None and answered_at is not None:
        alerting_at = min(alerting_at, answered_at)
    known = [at for at in (connection.initiated_at, alerting_at, answered_at) if at is not None]
    ended_at = connection.ended_at
    if ended_at is not None:
        ended_at = max(ended_at, *known)
    return replace(
        connection, initiated_at=min(known), alerting_at=alerting_at, answered_at=answered_at, ended_at=ended_at
    )


def with_order(call: Call, order: Order) -> Call:
    """The call with one more command for the PBX; the same id again changes nothing."""
    if any(known.order_id == order.order_id for known in call.orders):
        return call
    return replace(call, orders=_bounded((*call.orders, order)))


def with_settled_order(
    call: Call, order_id: UUID, state: OrderState, at: datetime, refusal: str | None = None, detail: str = ""
) -> Call:
    """The call with what the PBX said to a command. Nobody waits for the gateway's own ones: they are forgotten."""
    orders = []
    for order in call.orders:
        if order.order_id != order_id or order.state is not OrderState.PENDING:
            orders.append(order)
        elif order.requested:
            orders.append(replace(order, state=state, settled_at=at, refusal=refusal, detail=detail[:200]))
    return replace(call, orders=_bounded(orders))


def _bounded(orders: Iterable[Order]) -> tuple[Order, ...]:
    kept = list(orders)
    settled = [order for order in kept if order.state is not OrderState.PENDING]
    for order in settled[: max(0, len(settled) - MAX_SETTLED_ORDERS)]:
        kept.remove(order)
    return tuple(kept)


def _merged(spans: list[tuple[datetime, datetime]], open_since: datetime | None) -> Iterator[Span]:
    current: tuple[datetime, datetime] | None = None
    for started_at, ended_at in spans:
        if open_since is not None and ended_at >= open_since:
            open_since = min(open_since, started_at)
        elif current is None:
            current = (started_at, ended_at)
        elif started_at <= current[1]:
            current = (current[0], max(current[1], ended_at))
        else:
            yield Span(*current)
            current = (started_at, ended_at)
    if current is not None:
        if open_since is not None and open_since <= current[1]:
            yield Span(min(current[0], open_since))
            return
        yield Span(*current)
    if open_since is not None:
        yield Span(open_since)
