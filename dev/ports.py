"""Free TCP ports on the loopback address."""

import contextlib
import random
import socket
import time

# Below the range that Linux and macOS take for outgoing connections, so that nobody gets the port between our look
# and the server's bind, or while the server restarts.
_RANGE = range(20_000, 32_000)
_given: set[int] = set()


def free_port(preferred: int | None = None) -> int:
    """A port that nobody listens on and that was not handed out before; ``preferred`` when it is one."""
    candidates = random.sample(_RANGE, 200)
    for port in candidates if preferred is None else [preferred, *candidates]:
        if port not in _given and _bindable(port):
            _given.add(port)
            return port
    raise RuntimeError(f"no free port on 127.0.0.1 among 200 between {_RANGE.start} and {_RANGE.stop}")


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(host: str, port: int, timeout_s: float = 1.0) -> bool:
    """Whether something accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=timeout_s):
        return True
    return False


def wait_until_free(port: int, timeout_s: float = 10.0) -> None:
    """After a server's end, until its port can be bound again."""
    deadline = time.monotonic() + timeout_s
    while not _bindable(port) and time.monotonic() < deadline:
        time.sleep(0.05)
