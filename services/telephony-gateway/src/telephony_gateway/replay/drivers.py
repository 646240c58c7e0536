"""Which drivers' traces can be replayed, and how."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telephony_gateway.drivers.asterisk_ami import AsteriskAmi
from telephony_gateway.drivers.asterisk_ari_interpreter import AsteriskAriInterpreter
from telephony_gateway.drivers.freeswitch_esl import FreeswitchEsl
from telephony_gateway.drivers.interpreter import InterpreterFactory
from telephony_gateway.replay.trace import Kind, Trace, read


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

    commands: str | None = None
    """Where the commands of the gateway are, of which the other views are passive onlookers."""

    def load(self, file: Path) -> Trace:
        """The trace in a file; an onlooker's with the commands of the gateway, as if it were one itself.

        Raises:
            NoTrace: a line makes no sense.
        """
        trace = read(file)
        beside = file.with_name(self.commands or file.name)
        if beside == file or not beside.is_file():
            return trace
        interpreter = self.interpreter()
        commands = [
            line
            for line in read(beside).lines
            if line.kind is Kind.SAID and not interpreter.asks_for_snapshot(line.wire)
        ]
        return trace.with_lines(sorted([*trace.lines, *commands], key=lambda line: line.t))

    def expected(self, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The calls of ``expected.json`` that have to be concluded."""
        return [call for call in calls if self.sees(call)]


REPLAYABLE: Mapping[str, Replayable] = {
    "asterisk-ami": Replayable(AsteriskAmi, "ami.jsonl", ("ami-narrow.jsonl",), commands="ami.jsonl"),
    "asterisk-ari": Replayable(
        AsteriskAriInterpreter,
        "ari.jsonl",
        ("ari-all.jsonl",),
        # An application is told of its own channels; what the PBX's own queue does is no business of it.
        sees=lambda call: "queue" not in call,
    ),
    "freeswitch-esl": Replayable(FreeswitchEsl, "esl.jsonl", ("esl-json.jsonl", "esl-all.jsonl"), commands="esl.jsonl"),
}
