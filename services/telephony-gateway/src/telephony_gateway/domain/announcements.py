"""What the world is told about a change of a call: found by comparing the call before and after."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from telephony_gateway.domain.call import Call, Connection, Joining
from telephony_gateway.domain.words import Direction, LegState


class Kind(StrEnum):
    """The events of the contract ``telephony.call.*``, in the order in which one change tells them."""

    OFFERED = "offered"
    ATTRIBUTES_CHANGED = "attributes-changed"
    ALERTING = "alerting"
    ORIGINATED = "originated"
    ANSWERED = "answered"
    TRANSFERRED = "transferred"
    CONFERENCED = "conferenced"
    HELD = "held"
    RETRIEVED = "retrieved"
    CONNECTION_FAILED = "connection-failed"
    CONNECTION_CLEARED = "connection-cleared"
    CLEARED = "cleared"


_ORDER = list(Kind)
_JOINED_BY = {None: Kind.ANSWERED, Joining.TRANSFER: Kind.TRANSFERRED, Joining.CONFERENCE: Kind.CONFERENCED}


@dataclass(frozen=True)
class Announcement:
    """One event to publish; ``connection_id`` names the leg that it is about."""

    kind: Kind
    connection_id: UUID | None = None


def announce(before: Call | None, after: Call) -> tuple[Announcement, ...]:
    """The events that lead from ``before`` (None: the call is new) to ``after``.

    A call that ends says only that: its last snapshot tells the rest. *Offered* are inbound calls that wait for us.
    """
    if after.is_cleared and (before is None or not before.is_cleared):
        return (Announcement(Kind.CLEARED),)
    found: list[Announcement] = []
    waited = before is not None and before.waits
    if after.direction is Direction.INBOUND and after.waits and not waited:
        found.append(Announcement(Kind.OFFERED))
    elif before is not None and before.attributes != after.attributes:
        found.append(Announcement(Kind.ATTRIBUTES_CHANGED))
    for connection in after.connections:
        old = before.leg(connection.leg) if before is not None else None
        if old is not connection or before is None or before.customer_since != after.customer_since:
            found.extend(_of_leg(before, old, after, connection))
    return tuple(sorted(found, key=lambda announcement: _ORDER.index(announcement.kind)))


def _of_leg(before: Call | None, old: Connection | None, after: Call, new: Connection) -> list[Announcement]:
    kinds: list[Kind] = []
    was_over = old is not None and not old.is_live
    was_joined = old is not None and before is not None and before.joined_at(old) is not None
    is_joined = after.joined_at(new) is not None
    if new.state is LegState.ALERTING and (old is None or old.state is LegState.INITIATED):
        kinds.append(Kind.ALERTING)
    picked_up = new.answered_at is not None and (old is None or old.answered_at is None)
    if after.direction is Direction.OUTBOUND and picked_up and new.consults is None and after.customer_since is None:
        kinds.append(Kind.ORIGINATED)
    moved_now = old is not None and old.moved_at is None and new.moved_at is not None
    if is_joined and (moved_now or not was_joined):
        kinds.append(_JOINED_BY[new.moved_by])
    if new.is_live and is_joined:
        held_before = was_joined and old is not None and old.on_hold
        if new.on_hold != held_before:
            kinds.append(Kind.HELD if new.on_hold else Kind.RETRIEVED)
    if not new.is_live and not was_over:
        kinds.append(Kind.CONNECTION_FAILED if new.failure is not None else Kind.CONNECTION_CLEARED)
    return [Announcement(kind, new.connection_id) for kind in kinds]
