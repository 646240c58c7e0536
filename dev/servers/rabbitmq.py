"""A private RabbitMQ from installed binaries, and what its management API says."""

import base64
import http.client
import json
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from dev.ledger import Ledger
from dev.places import shown, write_whole
from dev.ports import answers, free_port, wait_until_free
from dev.servers.server import CannotProvide, kept_secret, wait_until

OLDEST = (3, 10)
_SERVERS = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",  # Debian's in /usr/sbin insists on being root or rabbitmq
    "/opt/homebrew/sbin/rabbitmq-server",
    "/usr/local/sbin/rabbitmq-server",
)
_EPMDS = (
    "/usr/lib/erlang/erts-*/bin/epmd",
    "/opt/homebrew/lib/erlang/erts-*/bin/epmd",
    "/usr/local/lib/erlang/erts-*/bin/epmd",
)
# Two cores for everything: schedulers that find nothing to do shall sleep, not spin. Nobody else talks to the node.
_EMULATOR = "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"


def management(url: str, method: str, path: str, body: object = None, timeout_s: float = 10.0) -> Any:
    """One request to the management API at ``url`` (with credentials); None when it has nothing to say.

    Raises:
        OSError: not reached, or refused (`urllib.error.HTTPError`).
    """
    parts = urllib.parse.urlsplit(url)
    credentials = f"{urllib.parse.unquote(parts.username or '')}:{urllib.parse.unquote(parts.password or '')}"
    base = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    request = urllib.request.Request(
        f"{base}/api/{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={
            "Authorization": "Basic " + base64.b64encode(credentials.encode()).decode(),
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            said = response.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"{base}: {error!r}") from error
    return json.loads(said) if said else None


def check_version(management_url: str) -> str:
    """The broker's version.

    Raises:
        CannotProvide: it does not answer, or is too old.
    """
    try:
        version: str = management(management_url, "GET", "overview")["rabbitmq_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotProvide(f"RabbitMQ's management API does not answer: {error}") from error
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise CannotProvide(f"RabbitMQ {version} is too old, {OLDEST[0]}.{OLDEST[1]} is needed")
    return version


def binaries() -> tuple[str, str]:
    """``rabbitmq-server`` and ``epmd``.

    Raises:
        CannotProvide: not installed.
    """
    servers = [place for place in _SERVERS if Path(place).exists()]
    server = servers[0] if servers else shutil.which("rabbitmq-server")
    if server is None:
        raise CannotProvide("RabbitMQ is not installed")
    epmds = [str(place) for pattern in _EPMDS for place in sorted(Path("/").glob(pattern.removeprefix("/")))]
    epmd = shutil.which("epmd") or (epmds[-1] if epmds else None)
    if epmd is None:
        raise CannotProvide("RabbitMQ is installed, but Erlang's epmd is not to be found")
    return server, epmd


class PrivateRabbitMQ:
    """RabbitMQ of our own on free ports, with the management plugin; data stay in ``home``.

    It has its own node name, cookie and port mapper (``epmd``), so that it meets no other node of this machine and
    leaves no port mapper behind.
    """

    def __init__(self, home: Path, ledger: Ledger) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._server, self._epmd = binaries()
        self._home = home
        self._log = home / "rabbitmq.log"
        self._ledger = ledger
        self._password = kept_secret(home)
        self._port, self._management_port = free_port(), free_port()
        self._distribution_port, self._epmd_port = free_port(), free_port()
        credentials = f"cordboard:{self._password}"
        self.url = f"amqp://{credentials}@127.0.0.1:{self._port}/"
        self.management_url = f"http://{credentials}@127.0.0.1:{self._management_port}"
        self.source = f"installed RabbitMQ, data in {shown(home)}"

    def start(self) -> None:
        """See `Server.start`."""
        if self._alive("rabbitmq"):
            return
        self._configure()
        environment = self._environment()
        with self._log.open("ab") as log:
            if not self._alive("epmd"):
                self._ledger.spawn(
                    "epmd", [self._epmd, "-port", str(self._epmd_port)], environment=environment, log=log
                )
            wait_until("epmd", self._epmd_missing, lambda: self._alive("epmd"), self._log)
            self._ledger.spawn("rabbitmq", [self._server], environment=environment, log=log, cwd=self._home, grace_s=30)
        wait_until("RabbitMQ", self._missing, lambda: self._alive("rabbitmq"), self._log)
        self.source = f"installed RabbitMQ {check_version(self.management_url)}, data in {shown(self._home)}"

    def stop(self) -> None:
        """See `Server.stop`."""
        self._ledger.stop("rabbitmq")
        self._ledger.stop("epmd")
        wait_until_free(self._port)

    def forget(self) -> None:
        """Delete all data; only while it does not run."""
        shutil.rmtree(self._home / "mnesia", ignore_errors=True)

    def _alive(self, label: str) -> bool:
        child = self._ledger.child(label)
        return child is not None and child.alive()

    def _epmd_missing(self) -> str | None:
        return None if answers("127.0.0.1", self._epmd_port) else "its port is closed"

    def _missing(self) -> str | None:
        try:
            management(self.management_url, "GET", "overview", timeout_s=2)
        except (OSError, ValueError) as error:
            return str(error)
        return None if answers("127.0.0.1", self._port) else "the AMQP port is closed"

    def _configure(self) -> None:
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{self._port}",
            "management.tcp.ip": "127.0.0.1",
            "management.tcp.port": str(self._management_port),
            "default_user": "cordboard",
            "default_pass": self._password,
            "default_user_tags.administrator": "true",
        }
        lines = [f"{name} = {value}\n" for name, value in settings.items()]
        write_whole(self._home / "rabbitmq.conf", "".join(lines), mode=0o600)
        write_whole(self._home / "enabled_plugins", "[rabbitmq_management].\n")
        # In place of the machine's own, which are for the machine's own broker.
        write_whole(self._home / "rabbitmq-env.conf", "")
        write_whole(self._home / "advanced.config", "[].\n")

    def _environment(self) -> dict[str, str]:
        home = self._home
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "HOME": str(home),
            "RABBITMQ_NODENAME": "cordboard@localhost",
            "RABBITMQ_BASE": str(home),
            "RABBITMQ_HOME": "",
            "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _EMULATOR,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
