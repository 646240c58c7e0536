"""Which drivers' traces can be replayed, and how."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from telephony_gateway.drivers.asterisk_ari_interpreter import AsteriskAriInterpreter
from telephony_gateway.drivers.interpreter import InterpreterFactory


@dataclass(frozen=True)
class Replayable:
    """A driver's pure part, and how its traces are called in a recorded scenario."""

    interpreter: InterpreterFactory
    trace: str
    """The driver's own connection."""
    others: tuple[str, ...] = ()
    """Other views of the same scenario from which the same must be concluded."""
    sees: Callable[[dict[str, Any]], bool] = lambda _call: True
    """Whether a call of ``expected.json`` is one that such a driver is told of."""

    def expected(self, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The calls of ``expected.json`` that have to be concluded."""
        return [call for call in calls if self.sees(call)]


REPLAYABLE: Mapping[str, Replayable] = {
    "asterisk-ari": Replayable(
        AsteriskAriInterpreter,
        "ari.jsonl",
        ("ari-all.jsonl",),
        # An application is told of its own channels; what the PBX's own queue does is no business of it.
        sees=lambda call: "queue" not in call,
    ),
}
