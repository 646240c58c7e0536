"""What the tests of faults counted: a table at the end of the run, and JSON with ``--faults-report FILE``."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.faults.account import Finding, Verdict

if TYPE_CHECKING:
    from tests.faults.centre import Fault

PROPERTY = "account"


@dataclass(frozen=True)
class Entry:
    """The account of one test."""

    test: str
    seed: int
    attempted: int
    """Calls that were placed, leads and service requests that clients asked for."""
    acknowledged: int
    """Those of them that the system took over: calls that the gateway knows, requests answered with success."""
    lost: int
    duplicated: int
    recovered: int
    """Calls that were up while something was broken, and requests that were asked more than once."""
    unexpected: int
    back_s: float
    """The longest that consumers took to be back."""
    faults: tuple[str, ...]

    @classmethod
    def of(
        cls,
        test: str,
        *,
        seed: int,
        attempted: int,
        acknowledged: int,
        recovered: int,
        findings: Iterable[Finding],
        faults: Sequence["Fault"],
    ) -> Self:
        """Count."""
        verdicts = [finding.verdict for finding in findings]
        return cls(
            test,
            seed,
            attempted,
            acknowledged,
            lost=verdicts.count(Verdict.LOST),
            duplicated=verdicts.count(Verdict.DUPLICATED),
            recovered=recovered,
            unexpected=verdicts.count(Verdict.UNEXPECTED),
            back_s=round(max((fault.back_s for fault in faults), default=0.0), 2),
            faults=tuple(f"{fault.name}: {fault.back_s:.1f} s" for fault in faults),
        )


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--faults-report``."""
    parser.addoption(
        "--faults-report", type=Path, metavar="FILE", help="write what the tests of faults counted as JSON"
    )


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table."""
    entries = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    file: Path | None = config.getoption("--faults-report", None)
    if file is not None:
        file.write_text(json.dumps(entries, indent=2) + "\n")
    if entries:
        terminalreporter.section("accounts of the faults")
        for line in table(entries):
            terminalreporter.line(line)


_COLUMNS = ("attempted", "acknowledged", "lost", "duplicated", "recovered", "unexpected", "back_s")


def table(entries: Sequence[dict[str, Any]]) -> list[str]:
    """For people; the last line sums up."""
    width = max(len(entry["test"]) for entry in entries)
    total = {name: sum(entry[name] for entry in entries) for name in _COLUMNS}
    total["back_s"] = max(entry["back_s"] for entry in entries)
    heads = "".join(f"{name:>14}" for name in _COLUMNS)
    lines = [f"{'':<{width}}{heads}   (back_s: seconds until all consumers were back)"]
    for entry in [*entries, {"test": "together", **total}]:
        lines.append(f"{entry['test']:<{width}}" + "".join(f"{entry[name]:>14}" for name in _COLUMNS))
    return lines


def as_property(entry: Entry) -> tuple[str, object]:
    """As pytest carries it from the process that ran the test to the one that reports."""
    return PROPERTY, asdict(entry)
