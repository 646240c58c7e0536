"""Why the engine says no. Nothing was changed, and asking again the same way will not help."""


class EngineRefusal(Exception):
    """What was asked cannot be done. ``code`` is a stable word for programs, ``str()`` a sentence for people."""

    code = "refused"


class UnknownAgent(EngineRefusal):
    """There is no such agent."""

    code = "unknown-agent"


class UnknownQueue(EngineRefusal):
    """There is no such queue."""

    code = "unknown-queue"


class ItemNotOpen(EngineRefusal):
    """The item is over, or never was."""

    code = "item-not-open"


class ItemAlreadyOpen(EngineRefusal):
    """An item of this id waits, or is in an agent's hands."""

    code = "item-already-open"


class CyclicOverflow(EngineRefusal):
    """Queues overflow to each other, so that an item would never come to rest."""

    code = "cyclic-overflow"


class AssignmentNotOpen(EngineRefusal):
    """The assignment is over, or never was: whoever speaks of it is late."""

    code = "assignment-not-open"


class WrongState(EngineRefusal):
    """The thing is in a state in which this cannot be done."""

    code = "wrong-state"


class StillInUse(EngineRefusal):
    """It cannot be removed: an agent has accepted work, a queue has open items."""

    code = "still-in-use"
