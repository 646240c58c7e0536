"""A private Redis from installed binaries."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

from dev.ledger import Ledger
from dev.places import write_whole
from dev.ports import free_port, wait_until_free
from dev.servers.server import CannotProvide, kept_secret, wait_until

OLDEST = 7


def binary() -> tuple[str, str]:
    """The program and its version; Valkey does as well.

    Raises:
        CannotProvide: not installed, or too old.
    """
    for name in ("redis-server", "valkey-server"):
        program = shutil.which(name) or shutil.which(name, path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
        if program is None:
            continue
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"v=(\d+)([.\d]*)", said)
        if version is None or int(version[1]) < OLDEST:
            raise CannotProvide(f"{name} is too old, {OLDEST} is needed: {said.strip()}")
        return program, version[1] + version[2]
    raise CannotProvide("Redis is not installed")


class PrivateRedis:
    """Redis of our own on a free port. It keeps nothing: whatever is in Redis may be lost at any time."""

    def __init__(self, home: Path, ledger: Ledger) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._program, version = binary()
        self._home = home
        self._log = home / "redis.log"
        self._ledger = ledger
        self._password = kept_secret(home)
        self._port = free_port()
        self.url = f"redis://:{self._password}@127.0.0.1:{self._port}/0"
        self.source = f"installed Redis {version}"

    def start(self) -> None:
        """See `Server.start`."""
        if self._alive():
            return
        settings = {
            "port": str(self._port),
            "bind": "127.0.0.1",
            "requirepass": self._password,
            "save": '""',
            "appendonly": "no",
            "daemonize": "no",
        }
        lines = [f"{name} {value}\n" for name, value in settings.items()]
        write_whole(self._home / "redis.conf", "".join(lines), mode=0o600)
        with self._log.open("ab") as log:
            self._ledger.spawn(
                "redis",
                [self._program, str(self._home / "redis.conf")],
                environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
                log=log,
                cwd=self._home,
            )
        wait_until("Redis", self._missing, self._alive, self._log)

    def stop(self) -> None:
        """See `Server.stop`."""
        self._ledger.stop("redis")
        wait_until_free(self._port)

    def _alive(self) -> bool:
        child = self._ledger.child("redis")
        return child is not None and child.alive()

    def _missing(self) -> str | None:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                said = connection.recv(100)
        except OSError as error:
            return str(error)
        return None if b"+OK" in said or b"+PONG" in said else said.decode(errors="replace").strip()
