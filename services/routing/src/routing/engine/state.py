"""What the engine keeps in memory about one agent and one open item, with their places in the indexes."""

from typing import TYPE_CHECKING, Any

from routing.engine.model import (
    AgentProfile,
    AgentState,
    AgentStatus,
    Assignment,
    DeviceState,
    Item,
    ItemState,
    Mode,
    WorkKind,
    WrapUp,
)

if TYPE_CHECKING:
    from routing.engine.idle import Pool
    from routing.engine.matching import AgentClass, Demand
    from routing.engine.waiting import Line

KINDS = tuple(WorkKind)
"""Inside of the engine a kind is its index here: enums are slow keys."""

KIND_INDEX = {kind: index for index, kind in enumerate(KINDS)}
CALL = KIND_INDEX[WorkKind.CALL]

Kinds = tuple[int, ...]
"""Some of them, ascending."""

Seat = tuple[Any, ...]
"""An agent's place among the available ones of its class: the parts of its order key, then the agent.

Flat, because the tuples in a heap are compared all the time; no two agents have equal keys."""

NO_SEATS: tuple[None, ...] = (None,) * 16
"""Of an agent who is not available: none in any of the lanes, of which there are as many as keys of orders in use."""

Place = tuple[int, str, "WorkEntry"]
"""An item's place in its line: work key, item id, the item."""


class AgentEntry:
    """An agent."""

    __slots__ = (
        "agent_class",
        "agent_id",
        "counts",
        "desktop_lost_at",
        "device",
        "device_lost_at",
        "exclusive",
        "held",
        "idle_since",
        "last_token",
        "misses",
        "mode",
        "mode_reason",
        "offers",
        "own_lines",
        "pool",
        "profile",
        "seats",
        "status",
        "weight",
        "wrap_up",
    )

    def __lt__(self, _other: "AgentEntry") -> bool:
        """Seats are compared down to here only if an agent was removed and made again within a millisecond, while the
        old seat is still in a heap. That one is stale, so either may come first.
        """
        return False

    def __init__(self, agent_id: str, profile: AgentProfile, status: AgentStatus) -> None:
        self.agent_id = agent_id
        self.profile = profile
        self.status = status
        """As last told to storage; the fields below may be ahead of it within a step."""
        self.mode: Mode = status.mode
        self.mode_reason: str | None = status.mode_reason
        self.device: DeviceState = status.device
        self.idle_since: int = status.idle_since
        self.wrap_up: WrapUp | None = status.wrap_up
        self.misses: int = status.misses
        self.offers: int = status.offers
        self.last_token: int = status.last_token
        self.device_lost_at: int | None = status.device_lost_at
        self.desktop_lost_at: int | None = status.desktop_lost_at
        self.agent_class: AgentClass | None = None
        """None while offline."""
        self.held: dict[str, WorkEntry] = {}
        """Offered and accepted items by id, in the order of their tokens."""
        self.counts: list[int] = [0] * len(KINDS)
        self.weight = 0
        self.own_lines: dict[tuple[int, int], Line] = {}
        """What waits for this agent alone, by kind and acceleration."""
        self.exclusive = 0
        """How many of the held items allow nothing beside them."""
        self.pool: Pool | None = None
        self.seats: tuple[Seat | None, ...] = NO_SEATS
        """Where the agent can be found while available: one for each order of agents in use."""

    @property
    def spare(self) -> int:
        """How much more the agent could have."""
        capacity = self.profile.capacity
        if capacity.total is not None:
            return capacity.total - self.weight
        return sum(capacity.items.values()) - len(self.held)


class WorkEntry:
    """An open item."""

    __slots__ = (
        "assignment",
        "avoid",
        "avoid_until",
        "demand",
        "item",
        "kind",
        "line",
        "place",
        "queue",
        "state",
    )

    def __lt__(self, _other: "WorkEntry") -> bool:
        """As with agents: only a stale place of an earlier item of this id has the same key; either may come first."""
        return False

    def __init__(self, item: Item, demand: "Demand") -> None:
        self.item = item
        self.kind: int = demand.kind
        self.demand = demand
        self.state: ItemState = ItemState.WAITING
        self.assignment: Assignment | None = None
        self.place: Place | None = None
        """Where it waits, in ``line``."""
        self.line: Line | None = None
        self.avoid: str | None = None
        self.avoid_until = 0


def new_status(now: int) -> AgentStatus:
    """The status of an agent of whom nothing was heard yet."""
    return AgentStatus(
        state=AgentState.OFFLINE,
        reason=None,
        since=now,
        mode=Mode.OFFLINE,
        mode_reason=None,
        device=DeviceState.IDLE,
        idle_since=now,
        wrap_up=None,
        misses=0,
    )
