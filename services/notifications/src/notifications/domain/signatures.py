"""Signatures and secrets of Standard Webhooks 1.0.0."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from uuid import UUID

SECRET_PREFIX = "whsec_"  # noqa: S105 (a mark, not a secret)
SECRET_BYTES = 32
MIN_SECRET_BYTES = 24
MAX_SECRET_BYTES = 64


class BadSecret(ValueError):
    """Not a signing secret."""


def secret_of(key: bytes) -> str:
    """How a key is written: ``whsec_`` and base64.

    Raises:
        BadSecret: the key is not 24 to 64 bytes long.
    """
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise BadSecret(f"a key has {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes")
    return SECRET_PREFIX + base64.b64encode(key).decode()


def key_of(secret: str) -> bytes:
    """Back from `secret_of`.

    Raises:
        BadSecret: this is not how a key is written.
    """
    if not secret.startswith(SECRET_PREFIX):
        raise BadSecret(f"begins with {SECRET_PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise BadSecret("is not base64") from error
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise BadSecret(f"a key has {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes")
    return key


def secret_context(endpoint_id: UUID) -> str:
    """What an endpoint's secret is sealed for: in another endpoint's row it does not open."""
    return f"signing secret of {endpoint_id}"


def headers(webhook_id: str, timestamp_s: int, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """The three headers of one attempt; every secret signs, so that a receiver may know either during a rotation."""
    signed = f"{webhook_id}.{timestamp_s}.".encode() + body
    signatures = [
        "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()
        for secret in secrets
    ]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signatures),
    }
