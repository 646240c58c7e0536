"""Everything that can be wrong with the contracts as they lie in the working tree."""

import json
from collections.abc import Mapping
from pathlib import Path

from dev.contracts import changes, examples, history
from dev.contracts.schemas import message_types

SCHEMAS = "contracts/schemas"
EXAMPLES = "contracts/examples"


def generated_differences(root: Path, rendered: Mapping[str, str], folders: tuple[str, ...]) -> list[str]:
    """Generated files that are missing, outdated, or belong to nothing any more."""
    found = []
    for path, content in rendered.items():
        file = root / path
        if not file.is_file():
            found.append(f"{path}: is missing; run script/contracts generate")
        elif file.read_text(encoding="utf-8") != content:
            found.append(f"{path}: is not what the code says; run script/contracts generate")
    for folder in folders:
        for file in sorted((root / folder).glob("*")):
            path = file.relative_to(root).as_posix()
            if path not in rendered:
                found.append(f"{path}: belongs to nothing; run script/contracts generate")
    return found


def example_problems(root: Path) -> list[str]:
    """Examples that are missing, do not parse or do not survive a round trip."""
    return [f"{EXAMPLES}/{problem}" for problem in examples.problems(root / EXAMPLES, list(message_types()))]


def compared_with(root: Path, revision: str, rendered: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What breaks those who rely on the contracts of a revision, and what needs readers to be deployed first.

    Raises:
        NoHistory: there is no such revision.
    """
    breaking: list[str] = []
    readers_first: list[str] = []
    for path, content in history.files_at(root, revision, (SCHEMAS, EXAMPLES)).items():
        if path.startswith(EXAMPLES):
            if problem := _rewritten(root / path, content):
                breaking.append(f"{path}: {problem}")
            continue
        message_type = Path(path).stem
        if path not in rendered:
            breaking.append(f"{message_type}: the type was removed")
            continue
        for change in changes.compare(json.loads(content), json.loads(rendered[path])):
            line = f"{message_type}: {change.field or 'the message'}: {change.reason}"
            (breaking if change.breaking else readers_first).append(line)
    return breaking, readers_first


def _rewritten(file: Path, before: bytes) -> str | None:
    if file.name == examples.FILL_IN:
        return None
    if not file.is_file():
        return "was removed; examples are kept for ever"
    return "was changed; add another example instead" if file.read_bytes() != before else None
