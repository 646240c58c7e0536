"""A private PostgreSQL from installed binaries."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from dev.ledger import Ledger
from dev.places import shown, write_whole
from dev.ports import free_port, wait_until_free
from dev.servers.server import CannotProvide, kept_secret, wait_until

OLDEST = 15
MAX_CONNECTIONS = 400
"""Two replicas of five services, each with a pool, and the tests' databases."""
_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


def binaries() -> Path:
    """The folder with the newest ``initdb`` and ``postgres`` that are installed.

    Raises:
        CannotProvide: none, or only old ones.
    """
    found = [place for pattern in _PLACES for place in Path("/").glob(pattern.removeprefix("/"))]
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path).resolve().parent)
    versions = {place: _major(place) for place in found if (place / "initdb").exists()}
    if not versions:
        raise CannotProvide("PostgreSQL is not installed")
    newest = max(versions, key=lambda place: versions[place])
    if versions[newest] < OLDEST:
        raise CannotProvide(f"PostgreSQL {versions[newest]} is installed, {OLDEST} is needed")
    return newest


def _major(place: Path) -> int:
    try:
        said = subprocess.run(
            [str(place / "postgres"), "--version"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return 0
    number = re.search(r"\d+", said)
    return int(number[0]) if number else 0


class PrivatePostgres:
    """PostgreSQL of our own on a free port; data stay in ``home``.

    PostgreSQL refuses to run as root: then it runs as the user ``postgres`` (or ``nobody``), and where that user cannot
    get to the checkout, the data lie in the system's folder for temporary files and ``home`` says where.
    """

    def __init__(self, home: Path, ledger: Ledger, *, durable: bool) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._binaries = binaries()
        self._user = _account() if os.geteuid() == 0 else None
        self._home = home
        self._log = home / "postgres.log"
        self._ledger = ledger
        self._durable = durable
        self._password = kept_secret(home)
        self._port = free_port()
        self._data = self._place() / f"postgres-{_major(self._binaries)}"
        self.url = f"postgresql://postgres:{self._password}@127.0.0.1:{self._port}/postgres"
        self.source = f"installed PostgreSQL {_major(self._binaries)}, data in {shown(self._data)}"

    def start(self) -> None:
        """See `Server.start`."""
        if self._alive():
            return
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        with self._log.open("ab") as log:
            self._ledger.spawn(
                "postgres",
                [str(self._binaries / "postgres"), "-D", str(self._data), *self._settings()],
                environment=_ENVIRONMENT,
                log=log,
                user=self._user,
                ask=signal.SIGINT,  # does not wait for clients to go
                grace_s=30,
            )
        wait_until("PostgreSQL", self._missing, self._alive, self._log)

    def stop(self) -> None:
        """See `Server.stop`."""
        self._ledger.stop("postgres")
        wait_until_free(self._port)

    def forget(self) -> None:
        """Delete all data; only while it does not run."""
        shutil.rmtree(self._data, ignore_errors=True)

    def _settings(self) -> list[str]:
        settings = {
            "port": str(self._port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": str(MAX_CONNECTIONS),
            "shared_buffers": "256MB",
            "password_encryption": "scram-sha-256",
        }
        if not self._durable:
            # Survives the end of every process, not the end of the machine.
            settings |= {"fsync": "off", "full_page_writes": "off"}
        return [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]

    def _alive(self) -> bool:
        child = self._ledger.child("postgres")
        return child is not None and child.alive()

    def _missing(self) -> str | None:
        try:
            with psycopg.connect(self.url, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            return str(error).strip()
        return None

    def _initialise(self) -> None:
        # The password goes through a file that only the server's user can read.
        secret = self._data.with_name("initial-password")
        write_whole(secret, self._password, mode=0o600)
        if self._user:
            shutil.chown(secret, self._user)
        collation = ["--lc-collate=C", "--lc-ctype=UTF-8"] if sys.platform == "darwin" else ["--locale=C.UTF-8"]
        shutil.rmtree(self._data, ignore_errors=True)
        done = subprocess.run(
            [
                str(self._binaries / "initdb"),
                *("-D", str(self._data), "-U", "postgres", "-A", "scram-sha-256", "--encoding=UTF8"),
                *collation,
                f"--pwfile={secret}",
                *([] if self._durable else ["--no-sync"]),
            ],
            **_identity(self._user),
            cwd="/",
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        secret.unlink()
        if done.returncode:
            raise CannotProvide(f"initdb failed: {done.stderr.strip()[-800:]}")

    def _place(self) -> Path:
        """A folder that belongs to the server's user, for its data."""
        inside = self._home / "data"
        if self._user is None:
            inside.mkdir(mode=0o700, exist_ok=True)
            return inside
        if _may_enter(self._home, self._user):
            inside.mkdir(mode=0o700, exist_ok=True)
            shutil.chown(inside, self._user)
            return inside
        marker = self._home / "data-is-elsewhere"
        owner = pwd.getpwnam(self._user).pw_uid
        if marker.exists():
            outside = Path(marker.read_text().strip())
            if outside.is_dir() and not outside.is_symlink() and outside.stat().st_uid == owner:
                return outside
        outside = Path(tempfile.mkdtemp(prefix="cordboard-postgres-"))
        shutil.chown(outside, self._user)
        write_whole(marker, f"{outside}\n")
        return outside


_ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}


def _account() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise CannotProvide("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


def _identity(user: str | None) -> dict[str, Any]:
    """How `subprocess` runs a program as this user; as ourselves for None."""
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}


def _may_enter(directory: Path, user: str) -> bool:
    tried = subprocess.run(
        ["test", "-x", str(directory)],
        **_identity(user),
        cwd="/",
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return tried.returncode == 0
