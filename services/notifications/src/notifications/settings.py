"""What this service is told from outside."""

import base64
import hashlib
from typing import Annotated

from cordboard_chassis.auth.development import ISSUER
from cordboard_chassis.keyring import Keyring
from cordboard_chassis.settings import ServiceSettings
from pydantic import Field, SecretStr, ValidationInfo, field_validator

DAY_S = 86_400.0
_DEVELOPMENT_KEY = base64.b64encode(hashlib.sha256(b"for development, known to everybody").digest()).decode()


class NotificationsSettings(ServiceSettings):
    """Settings of notifications."""

    encryption_keys: Annotated[SecretStr, Field(validate_default=True)] = SecretStr("")
    """What partners' signing secrets are encrypted with: ``2026b:<base64 of 32 bytes>,2026a:<...>``, the newest first;
    ``openssl rand -base64 32`` makes one. With the development issuer a key that everybody knows will do."""

    webhook_timeout_s: Annotated[float, Field(gt=0, le=60)] = 15.0
    """How long one attempt may take, from connecting to the status of the answer."""
    webhook_concurrency: Annotated[int, Field(ge=1, le=1000)] = 64
    """Attempts at once in one process."""
    webhook_endpoint_concurrency: Annotated[int, Field(ge=1, le=100)] = 16
    """Attempts at once to one endpoint, in one process."""
    webhook_allow_private: bool = False
    """For development: plain HTTP, and addresses that are not public."""
    webhook_retry_scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    """For tests: shortens every wait between attempts."""
    webhook_poll_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """How often to look for what is due without being told; new events are told at once."""
    ledger_retention_s: Annotated[float, Field(ge=2 * DAY_S, le=400 * DAY_S)] = 14 * DAY_S
    """How long a webhook, its attempts and its event are kept."""
    endpoint_limit: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Endpoints of one partner."""

    stream_retention_s: Annotated[float, Field(ge=1, le=30 * DAY_S)] = DAY_S
    """How far back a desktop can resume."""
    stream_heartbeat_s: Annotated[float, Field(gt=0, le=60)] = 15.0
    stream_poll_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """How often to look for new events without being told."""
    stream_max_s: Annotated[float, Field(gt=0, le=DAY_S)] = 3600.0
    """A stream ends after this time; the desktop comes back with a token that is still good."""
    stream_limit: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """Streams at once in one process."""
    purge_pause_s: Annotated[float, Field(gt=0, le=3600)] = 30.0

    @field_validator("encryption_keys")
    @classmethod
    def _require_keys(cls, given: SecretStr, info: ValidationInfo) -> SecretStr:
        if given.get_secret_value():
            Keyring.parse(given.get_secret_value())
        elif info.data.get("jwt_issuer") == ISSUER:
            return SecretStr(f"development:{_DEVELOPMENT_KEY}")
        else:
            raise ValueError("is missing: an id, a colon and the output of openssl rand -base64 32")
        return given

    @property
    def keyring(self) -> Keyring:
        """What `encryption_keys` says."""
        return Keyring.parse(self.encryption_keys.get_secret_value())
