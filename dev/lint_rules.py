"""Rules of the house that no linter knows, as small checks of the syntax tree.

A rule can be waived for one line by a comment that names it and says why:
``# rule: clock (a default for people, not a decision)``.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.places import ROOT

SERVICES = ("accounts", "leads", "notifications", "routing", "telephony")
_WAIVER = re.compile(r"#.*\brule: ([a-z-]+) \(\S.*\)")
_BUS_NAME = re.compile(rf"^({'|'.join(SERVICES)})\.(events|commands)$|^[a-z.-]+\.(parked|retry\..*)$")
_BUS_NAME_END = re.compile(r"\.(events|commands|parked)$|\.retry\.")
_CLOCKS = frozenset({"now", "utcnow", "today", "uuid1", "uuid4", "uuid7", "token_hex", "token_urlsafe"})
_VAGUE = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"})


@dataclass(frozen=True)
class Source:
    """A Python file, by its path in the checkout."""

    path: Path
    tree: ast.Module

    @property
    def parts(self) -> tuple[str, ...]:
        """The path's parts below ``src``; all of them elsewhere."""
        parts = self.path.parts
        return parts[parts.index("src") + 1 :] if "src" in parts else parts

    @property
    def of_service(self) -> bool:
        """Whether it is product code of a service."""
        return self.path.parts[0] == "services" and "src" in self.path.parts

    @property
    def layer(self) -> str:
        """The folder or module within its package: ``usecases``, ``consumers``."""
        return self.parts[1].removesuffix(".py") if len(self.parts) > 1 else ""


@dataclass(frozen=True)
class Finding:
    """A line that breaks a rule."""

    path: Path
    line: int
    rule: str
    why: str


Violations = Iterator[tuple[ast.AST, str]]


def _calls(source: Source) -> Iterator[tuple[ast.Call, str]]:
    """Every call and the last part of what is called."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute):
                yield node, called.attr
            elif isinstance(called, ast.Name):
                yield node, called.id


def broker(source: Source) -> Violations:
    """Every default of the library would lose messages; the chassis' factory sets them."""
    if source.path.as_posix() == "chassis/src/cordboard_chassis/messaging/broker.py":
        return
    for call, name in _calls(source):
        if name == "RabbitBroker":
            yield call, "make connections with cordboard_chassis.messaging, not a RabbitBroker of your own"


def commit(source: Source) -> Violations:
    """The edge commits (HTTP route's transaction, consumer's group), so that effects, inbox and outbox go together."""
    if source.of_service and source.layer in {"usecases", "api", "consumers"}:
        for call, name in _calls(source):
            if name == "commit":
                yield call, "the unit of work commits at its end; nothing else does"


def sleep(source: Source) -> Violations:
    """A timer that lives in memory is lost with its process: business time is a row with a due time.

    A pace (how often to look, how long to wait for a server) is a constant or a setting; what comes from data is not.
    Drivers and channels speak protocols, whose pauses are no business of ours.
    """
    if source.of_service and source.layer not in {"drivers", "channels", "virtual_pbx"}:
        for call, name in _calls(source):
            if name == "sleep" and not (call.args and _is_pace(call.args[0])):
                yield call, "business time is a row (or the engine's heap); only a constant or a setting may be slept"


def _is_pace(length: ast.expr) -> bool:
    if isinstance(length, ast.Name):
        return length.id.isupper()
    if isinstance(length, ast.Attribute):
        return "settings" in ast.unparse(length.value)
    return isinstance(length, ast.Constant)


def names(source: Source) -> Violations:
    """Only cordboard_contracts.names builds names of exchanges and queues."""
    if source.path.parts[0] == "contracts" or "tests" in source.path.parts:
        return
    product = source.of_service or source.path.parts[0] == "chassis"
    for node in ast.walk(source.tree) if product else ():
        if isinstance(node, ast.Constant) and _BUS_NAME.search(str(node.value)):
            yield node, f"build {node.value!r} with cordboard_contracts.names"
        if isinstance(node, ast.JoinedStr) and node.values:
            last = node.values[-1]
            if isinstance(last, ast.Constant) and _BUS_NAME_END.search(str(last.value)):
                yield node, "build names on the bus with cordboard_contracts.names"
    for call, name in _calls(source):
        if (
            source.of_service
            and name == "Queue"
            and call.args
            and isinstance(call.args[0], ast.Constant | ast.JoinedStr)
        ):
            yield call, "name a queue with cordboard_contracts.names.queue"


def clock(source: Source) -> Violations:
    """Decisions are pure: time and ids come in. (That modules like ``random`` stay out, import-linter checks.)"""
    if source.of_service and source.layer in {"domain", "engine"}:
        for call, name in _calls(source):
            if name in _CLOCKS:
                yield call, f"{name}() makes the decision depend on more than its input; pass it in"


def vague(source: Source) -> Violations:
    """A module is named for what it does."""
    found = _VAGUE.intersection(part.removesuffix(".py") for part in source.path.parts)
    if found:
        yield source.tree, f"name the module for what it does, not {', '.join(found)}"


RULES: tuple[Callable[[Source], Violations], ...] = (broker, commit, sleep, names, clock, vague)


def findings(path: Path, content: str) -> Iterator[Finding]:
    """What is wrong in a file; ``path`` is relative to the checkout."""
    source = Source(path, ast.parse(content, filename=str(path)))
    lines = content.splitlines()
    for rule in RULES:
        for node, why in rule(source):
            line: int = getattr(node, "lineno", 1)
            waived = _WAIVER.search(lines[line - 1]) if line <= len(lines) else None
            if waived is None or waived[1] != rule.__name__:
                yield Finding(path, line, rule.__name__, why)


def sources() -> Iterator[Path]:
    """Every Python file that is ours."""
    for folder in ("contracts", "chassis", "services", "dev", "bench", "tests"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def main() -> int:
    """Print what is found; 1 when there is something."""
    found = [
        finding for path in sources() for finding in findings(path.relative_to(ROOT), path.read_text(encoding="utf-8"))
    ]
    for finding in found:
        print(f"{finding.path}:{finding.line}: {finding.rule}: {finding.why}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
