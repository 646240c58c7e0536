"""What the demo has to know of the system that it drives: the launcher's own, or the one of ``docker-compose.yml``."""

import os
import socket
from typing import Any, Protocol

from cordboard_chassis.auth.development import DevelopmentIssuer
from cordboard_chassis.auth.principal import Role


class Running(Protocol):
    """A system that runs somewhere."""

    pbx_host: str
    pbx_port: int
    pbx_control_port: int

    def urls(self, service: str) -> list[str]:
        """Where a service answers its clients."""

    def metrics_urls(self, service: str) -> list[str]:
        """Where each of its processes answers, workers too."""

    def owner_url(self, service: str) -> str:
        """Its database, as the owner of the tables."""

    def token(self, role: Role | str, org_path: str = "/", **claims: Any) -> str:
        """A token that the services accept."""


class Composed:
    """The composed system, seen from a container beside it: ``docker compose run --rm demo``."""

    pbx_host = "virtual-pbx"
    pbx_port = 5099
    pbx_control_port = 5098

    def __init__(self) -> None:
        self._issuer = DevelopmentIssuer("/issuer")

    def urls(self, service: str) -> list[str]:
        """See `Running.urls`; the name leads to all replicas."""
        return [f"http://{service}-api:8000"]

    def metrics_urls(self, service: str) -> list[str]:
        """See `Running.metrics_urls`."""
        found = {
            address[4][0]
            for role in ("api", "worker")
            for address in socket.getaddrinfo(f"{service}-{role}", 8000, socket.AF_INET, socket.SOCK_STREAM)
        }
        return [f"http://{address}:8000" for address in sorted(found)]

    def owner_url(self, service: str) -> str:
        """See `Running.owner_url`; the container is told that of routing only, where doubles would show."""
        return os.environ[f"CORDBOARD_{service.upper()}_OWNER_URL"]

    def token(self, role: Role | str, org_path: str = "/", **claims: Any) -> str:
        """See `Running.token`."""
        return self._issuer.token(role, org_path, **{"lifetime_s": 86_400, **claims})
