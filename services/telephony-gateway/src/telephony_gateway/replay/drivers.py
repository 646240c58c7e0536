"""Which drivers' traces can be replayed, and how."""

from collections.abc import Mapping
from dataclasses import dataclass

from telephony_gateway.drivers.interpreter import InterpreterFactory


@dataclass(frozen=True)
class Replayable:
    """A driver's pure part, and how its traces are called in a recorded scenario."""

    interpreter: InterpreterFactory
    trace: str
    """The driver's own connection."""
    others: tuple[str, ...] = ()
    """Other views of the same scenario from which the same must be concluded."""


REPLAYABLE: Mapping[str, Replayable] = {}
