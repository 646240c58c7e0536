"""What is found when a PBX's configuration is looked at: in words, for whoever administers it."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """It works; something is not as good as it could be."""
    MISSING = "missing"
    """Calls will not work as they should."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    verdict: Verdict
    what: str
    remedy: str = ""
    """What to do about it."""


def ok(what: str) -> Finding:
    """It is as it should be."""
    return Finding(Verdict.OK, what)


def note(what: str, remedy: str = "") -> Finding:
    """It could be better."""
    return Finding(Verdict.NOTE, what, remedy)


def missing(what: str, remedy: str) -> Finding:
    """It has to be done."""
    return Finding(Verdict.MISSING, what, remedy)
