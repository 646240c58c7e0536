"""Where things are on this machine."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""
STATE = ROOT / ".dev"
"""Everything that the launcher keeps; may be deleted whenever nothing runs."""


def state_directory(name: str) -> Path:
    """The folder of one instance of the system (``serve``, ``demo``, ``test``)."""
    directory = STATE / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def shown(path: Path) -> str:
    """A path as a person at the checkout would type it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def write_whole(path: Path, content: str, mode: int = 0o644) -> None:
    """Write a file that is read while we write: whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    draft.replace(path)
