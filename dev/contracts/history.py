"""What the contracts were at an earlier revision, from git."""

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

MAIN = "origin/main"


class NoHistory(Exception):
    """There is no git here, or no such revision."""


class NoGit(NoHistory):
    """There is no git here."""


def default_bases(repository: Path, folders: Sequence[str]) -> list[str]:
    """The revisions that a change must not break, as far as they exist.

    The last commit, for what is not committed yet; and what was there before: on a branch the point where it left
    ``origin/main``, on main itself (CI, a clean clone) the state before the contracts were last touched.

    Raises:
        NoHistory: there is no repository or no commit.
    """
    head = _resolve(repository, "HEAD")
    bases = [head]
    fork = _git_or_none(repository, "merge-base", "HEAD", MAIN)
    if fork is not None and fork != head:
        bases.append(fork)
    else:
        touched = _git_or_none(repository, "log", "-1", "--format=%H", "--", *folders)
        before = _git_or_none(repository, "rev-parse", "--verify", "--quiet", f"{touched}^") if touched else None
        if before is not None:
            bases.append(before)
    return list(dict.fromkeys(bases))


def files_at(repository: Path, revision: str, folders: Sequence[str]) -> dict[str, bytes]:
    """Path and content of every file in these folders at a revision.

    Raises:
        NoHistory: there is no such revision.
    """
    commit = _resolve(repository, revision)
    present = [folder for folder in folders if _git(repository, "ls-tree", commit, f"{folder}/").strip()]
    if not present:
        return {}
    archive = _run(repository, "archive", "--format=tar", commit, "--", *present)
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is not None:
                files[member.name] = content.read()
    return files


def _resolve(repository: Path, revision: str) -> str:
    found = _git_or_none(repository, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if found is None:
        raise NoHistory(f"git knows no revision {revision} in {repository}")
    return found


def _git_or_none(repository: Path, *arguments: str) -> str | None:
    try:
        return _git(repository, *arguments).strip() or None
    except NoGit:
        raise
    except NoHistory:
        return None


def _git(repository: Path, *arguments: str) -> str:
    return _run(repository, *arguments).decode()


def _run(repository: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, check=True)
    except FileNotFoundError as error:
        raise NoGit("git is not installed") from error
    except subprocess.CalledProcessError as error:
        raise NoHistory(error.stderr.decode(errors="replace").strip() or f"git {arguments[0]} failed") from error
    return done.stdout
