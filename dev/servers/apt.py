"""Installs servers with apt-get, where we are root on Debian or Ubuntu; nothing that it installs starts by itself."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dev.servers.server import CannotProvide, Say

_POLICY = Path("/usr/sbin/policy-rc.d")


def check_possible() -> None:
    """Whether packages can be installed.

    Raises:
        CannotProvide: not Debian's family, or not root.
    """
    if shutil.which("apt-get") is None:
        raise CannotProvide("there is no apt-get")
    if os.geteuid() != 0:
        raise CannotProvide("apt-get needs root")


def install(packages: Sequence[str], say: Say) -> None:
    """Install packages without starting or enabling the servers in them.

    Raises:
        CannotProvide: apt-get failed.
    """
    check_possible()
    say(f"installing {' '.join(packages)} with apt-get; takes a minute or two")
    with _nothing_starts():
        arguments = ["install", "--yes", "--no-install-recommends", *packages]
        if _apt_get(arguments) is not None:
            # Without package lists, or with old ones, the first try cannot succeed.
            _apt_get(["update"])
            problem = _apt_get(arguments)
            if problem is not None:
                raise CannotProvide(f"apt-get install {' '.join(packages)} failed: {problem}")
    for package in packages:
        # Ours are private instances; the machine's own shall not appear at the next boot because of us.
        subprocess.run(["update-rc.d", package, "disable"], stdin=subprocess.DEVNULL, capture_output=True, check=False)


def _apt_get(arguments: Sequence[str]) -> str | None:
    done = subprocess.run(
        ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=300", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else (done.stderr or done.stdout).strip()[-800:]


@contextmanager
def _nothing_starts() -> Iterator[None]:
    """Debian's way to say that packages must not start their servers; an administrator's own rule is left alone."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
