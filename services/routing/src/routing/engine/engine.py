"""The engine: one workspace's routing as a state machine."""

from collections.abc import Callable

from routing.engine.effects import Effect
from routing.engine.explain import Explanation
from routing.engine.inputs import Input
from routing.engine.model import (
    AgentOrder,
    AgentRecord,
    Assignment,
    ItemRecord,
    Settings,
    Snapshot,
)
from routing.engine.orders import least_loaded


class Engine:
    """The state of one workspace. Same inputs at same times give same effects, also after a restore.

    ``new_assignment_id`` makes an assignment's id from its fencing token; it may be called for several
    tokens in one step. If the transaction that stores the effects of a step fails, throw the engine away
    and restore one from storage.
    """

    def __init__(
        self,
        new_assignment_id: Callable[[int], str],
        settings: Settings | None = None,
        order: AgentOrder = least_loaded,
    ) -> None: ...

    @classmethod
    def restore(
        cls,
        snapshot: Snapshot,
        new_assignment_id: Callable[[int], str],
        settings: Settings | None = None,
        order: AgentOrder = least_loaded,
    ) -> "Engine":
        """An engine that goes on where the one whose effects were stored stopped."""
        raise NotImplementedError

    def step(self, input: Input, now: int) -> list[Effect]:
        """Apply one input at ``now`` (ms). A ``now`` before that of the last step counts as that one.

        Raises:
            EngineRefusal: it cannot be done; nothing has changed.
        """
        raise NotImplementedError

    def next_due(self) -> int | None:
        """When the next :class:`FireTimers` is wanted (ms)."""
        raise NotImplementedError

    def explain(self, item_id: str, now: int) -> Explanation:
        """Every agent's chances for an open item. Looks at every agent: on demand only.

        Raises:
            ItemNotOpen: it is over, or never was.
        """
        raise NotImplementedError

    def snapshot(self) -> Snapshot:
        """All that storage keeps; ``restore(snapshot())`` behaves as this engine does."""
        raise NotImplementedError

    @property
    def token(self) -> int:
        """The greatest fencing token given so far."""
        raise NotImplementedError

    def agent(self, agent_id: str) -> AgentRecord:
        """Raises: UnknownAgent."""
        raise NotImplementedError

    def item(self, item_id: str) -> ItemRecord:
        """Raises: ItemNotOpen."""
        raise NotImplementedError

    def assignment(self, assignment_id: str) -> Assignment:
        """Raises: AssignmentNotOpen."""
        raise NotImplementedError

    def assignment_of(self, item_id: str) -> Assignment | None:
        """The open assignment of an open item; None while it waits. Raises: ItemNotOpen."""
        raise NotImplementedError

    def waiting(self) -> int:
        """How many items wait."""
        raise NotImplementedError
