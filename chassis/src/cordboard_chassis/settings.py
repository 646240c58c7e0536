"""What a process is told from outside: environment variables that begin with ``CORDBOARD_``."""

import os
import socket
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cordboard_chassis.auth.development import ISSUER

LogLevel = Literal["debug", "info", "warning", "error"]


def _instance() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class ServiceSettings(BaseSettings):
    """Settings of every service. A service's own settings extend this class.

    ``CORDBOARD_DATABASE_URL=postgresql+psycopg://routing_app@db/routing`` sets ``database_url``. What is
    added by a subclass needs a default, so that ``openapi`` can be printed without an environment.
    """

    model_config = SettingsConfigDict(env_prefix="CORDBOARD_", frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: str
    """The service's own database, as the role that row-level security applies to."""
    migration_url: str | None = None
    """The same database as its owner; only ``migrate`` uses it. ``database_url`` when not set."""
    amqp_url: str
    redis_url: str

    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0 takes a free port, which the log line ``listening`` names."""

    jwks: str
    """Public keys of whoever issues our tokens: an ``https://`` URL or the path of a ``jwks.json``."""
    jwt_issuer: Annotated[str, StringConstraints(min_length=1)]
    jwt_audience: Annotated[str, StringConstraints(min_length=1)] = "cordboard"

    requests_per_minute: Annotated[int, Field(ge=0, le=10_000_000)] = 12_000
    """How many HTTP requests a caller may make to this service; 0 is no limit."""

    otlp_endpoint: str | None = None
    """Base URL of an OpenTelemetry collector (``http://collector:4318``); no traces when not set."""
    log_level: LogLevel = "info"
    access_log: bool = False
    """One log line per HTTP request; refusals and failures are logged in any case."""
    instance: str = Field(default_factory=_instance)
    """Name of this process among the replicas of its service; in every log line and metric."""
    niceness: Annotated[int, Field(ge=0, le=19)] = 0
    """By how much it gives way to other processes of the machine (``nice``): where all services share a machine, those
    that no caller waits for leave the processor to those that a caller does."""
    shutdown_s: Annotated[float, Field(gt=0, le=300)] = 10.0
    """How long what is in flight may take to finish after SIGTERM."""

    @field_validator("database_url", "migration_url")
    @classmethod
    def _speak_psycopg(cls, url: str | None) -> str | None:
        if url is None:
            return None
        for scheme in ("postgresql+psycopg://", "postgresql://", "postgres://"):
            if url.startswith(scheme):
                return "postgresql+psycopg://" + url.removeprefix(scheme)
        raise ValueError("must begin with postgresql+psycopg:// or postgresql://")

    @field_validator("amqp_url")
    @classmethod
    def _speak_amqp(cls, url: str) -> str:
        if not url.startswith(("amqp://", "amqps://")):
            raise ValueError("must begin with amqp:// or amqps://")
        return url

    @field_validator("jwks")
    @classmethod
    def _name_keys(cls, jwks: str) -> str:
        if "://" in jwks and not jwks.startswith(("https://", "http://")):
            raise ValueError("must be an http(s) URL or the path of a file")
        return jwks if "://" in jwks else str(Path(jwks))

    @classmethod
    def from_environment(cls) -> Self:
        """Settings from ``CORDBOARD_*``.

        Raises:
            ValidationError: one is missing or wrong.
        """
        return cls()  # type: ignore[call-arg] # the environment has the arguments

    @classmethod
    def detached(cls) -> Self:
        """Settings that lead nowhere, for roles that talk to no server, such as ``openapi``."""
        return cls(
            database_url="postgresql+psycopg://nobody@localhost/none",
            amqp_url="amqp://localhost",
            redis_url="redis://localhost",
            jwks="none.json",
            jwt_issuer=ISSUER,
        )
