"""A real Asterisk, and phones and callers played by SIPp; all on loopback.

``../shared/pbx-lab/asterisk/up [22|16]`` brings one up. Another one is named by ``CORDBOARD_LIVE_ASTERISK`` (host:port
of its HTTP server) and ``CORDBOARD_LIVE_ASTERISK_USER``, ``_SECRET``; it has to have the lab's phones, trunk, dialplan.
"""

import base64
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_REPOSITORY = Path(__file__).parents[4]
SHARED = Path(os.environ.get("CORDBOARD_SHARED", _REPOSITORY.parent / "shared"))
LAB = SHARED / "pbx-lab" / "asterisk"
SCENARIOS = SHARED / "pbx-lab" / "sipp"
NAMED = os.environ.get("CORDBOARD_LIVE_ASTERISK")
HOST, _, _PORT = (NAMED or "127.0.0.1:8088").rpartition(":")
PORT = int(_PORT)
USER = os.environ.get("CORDBOARD_LIVE_ASTERISK_USER", "gateway")
SECRET = os.environ.get("CORDBOARD_LIVE_ASTERISK_SECRET", "lab-ari")
SIP = 5060
CUSTOMER_PORT = 5070
CALLER_PORTS = range(7501, 7600)
MEDIA_PORTS = range(30_000, 40_000, 10)


def absent() -> str | None:
    """Why there is nothing to test with; None if there is."""
    if shutil.which("sipp") is None or not SCENARIOS.is_dir():
        return f"NO LIVE PBX: SIPp (Debian: sip-tester) and {SCENARIOS} are needed"
    try:
        ask("asterisk/info?only=system")
    except OSError as error:
        return f"NO LIVE PBX at {HOST}:{PORT} ({error}): {LAB}/up, or name one by CORDBOARD_LIVE_ASTERISK"
    return None


def ask(path: str) -> Any:
    """What Asterisk answers to ``GET /ari/...``."""
    asked = urllib.request.Request(f"http://{HOST}:{PORT}/ari/{path}")
    asked.add_header("Authorization", "Basic " + base64.b64encode(f"{USER}:{SECRET}".encode()).decode())
    with urllib.request.urlopen(asked, timeout=5) as answer:
        return json.load(answer)


def left_over() -> list[str]:
    """Channels and bridges of the application that are there."""
    channels = [f"channel {channel}" for row in ask("applications") for channel in row["channel_ids"]]
    bridges = [f"bridge {bridge['id']}" for bridge in ask("bridges") if bridge["id"].startswith(("talk~", "wait~"))]
    return [*channels, *bridges]


@dataclass
class Phones:
    """SIPp processes; ended with the test."""

    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    callers: Iterator[int] = field(default_factory=lambda: iter(CALLER_PORTS))

    def start(self, scenario: str, port: int, *more: str, **keys: str | int) -> subprocess.Popen[bytes]:
        """A phone at ``port`` that does what the scenario says. Names ending in ``_ms`` are times."""
        command = ["sipp", f"{HOST}:{SIP}", "-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", str(port), "-m", "1"]
        command += ["-mp", str(MEDIA_PORTS[len(self.running)])]
        command += ["-nostdin", "-aa", "-timeout", "60", "-sf", str(SCENARIOS / f"{scenario}.xml"), *more]
        for key, value in keys.items():
            command += ["-set" if key.endswith("_ms") else "-key", key, str(value)]
        phone = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.running.append(phone)
        _wait_for(port, phone)
        return phone

    def agent(self, device: str, scenario: str = "agent", **keys: str | int) -> subprocess.Popen[bytes]:
        """An agent's phone: by default it rings half a second, answers, and talks until the other side hangs up."""
        given: dict[str, str | int] = {}
        if scenario in ("agent", "agent-hold", "agent-transfer", "agent-attended-transfer"):
            given = {"ring_ms": 500, "talk_ms": 60_000}
        return self.start(scenario, 6000 + int(device), **{**given, **keys})

    def customer(self, **keys: str | int) -> subprocess.Popen[bytes]:
        """Who is called through the trunk."""
        return self.start("agent", CUSTOMER_PORT, **{"ring_ms": 500, "talk_ms": 60_000, **keys})

    def caller(self, scenario: str = "caller", **keys: str | int) -> subprocess.Popen[bytes]:
        """Somebody calls."""
        given: dict[str, str | int] = {"did": "4008100", "caller": "+8613082856110", "name": "", "talk_ms": 60_000}
        if scenario == "caller-abandons":
            del given["talk_ms"]
        return self.start(scenario, next(self.callers), **{**given, **keys})

    def sign_in(self, device: str, expires_s: int) -> subprocess.Popen[bytes]:
        """A phone registers; with 0 s it signs out."""
        more = ("-au", device, "-ap", f"lab-{device}")
        return self.start("register", 6000 + int(device), *more, agent=device, expires=expires_s)

    def stop(self) -> None:
        """End them all."""
        for phone in self.running:
            with contextlib.suppress(ProcessLookupError):
                phone.terminate()
        for phone in self.running:
            phone.wait(10)


@contextlib.contextmanager
def claimed() -> Iterator[Phones]:
    """Phones, and the PBX for oneself: there is one, whoever else tests with it waits."""
    phones = Phones()
    with (Path(tempfile.gettempdir()) / "cordboard-live-pbx.lock").open("w") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        try:
            yield phones
        finally:
            phones.stop()


def _wait_for(port: int, phone: subprocess.Popen[bytes]) -> None:
    """Until the phone listens: an INVITE that comes before that is lost for half a second, or for good."""
    wanted = f":{port:04X} "
    deadline = time.monotonic() + 10
    while wanted not in Path("/proc/net/udp").read_text() and phone.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def crash() -> None:
    """Kill the lab's Asterisk."""
    script = '. "$0/common.sh" && kill -9 "$(running_pid)"'
    subprocess.run(["bash", "-c", script, LAB], check=True, timeout=20)


def stop_orderly() -> None:
    """Stop the lab's Asterisk as its administrator would."""
    subprocess.run([LAB / "down"], check=True, capture_output=True, timeout=30)


def start() -> None:
    """Start the lab's Asterisk again, of the same version."""
    script = '. "$0/common.sh" && exec "$0/start" "$(cat "$PBX/asterisk.version")"'
    subprocess.run(["bash", "-c", script, LAB], check=True, capture_output=True, timeout=90)
