"""Signatures and secrets of Standard Webhooks 1.0.0."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping

SECRET_PREFIX = "whsec_"  # noqa: S105 (a mark, not a secret)
SECRET_BYTES = 32
MIN_SECRET_BYTES = 24
MAX_SECRET_BYTES = 64
TOLERANCE_S = 300
"""How far a message's time may be from ours: as the reference libraries have it."""
MAX_SIGNATURES = 10
"""So many of a message are looked at; a sender that rotates its secret has two."""

_ID = re.compile(r"[\x21-\x7e]{1,200}")
_SECONDS = re.compile(r"[0-9]{1,12}")


class BadSecret(ValueError):
    """Not a signing secret."""


class BadSignature(Exception):
    """A message that nobody whom we know has signed, or not now. ``header`` is which of the three is wrong."""

    def __init__(self, header: str, reason: str) -> None:
        super().__init__(f"{header} {reason}")
        self.header = header
        self.reason = reason


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


def headers(webhook_id: str, timestamp_s: int, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """The three headers of one attempt; every secret signs, so that a receiver may know either during a rotation."""
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(_signature(webhook_id, timestamp_s, body, secret) for secret in secrets),
    }


def require_signed(given: Mapping[str, str], body: bytes, secrets: Iterable[str], now_s: float) -> str:
    """The id of a message that whoever knows one of the secrets has signed within `TOLERANCE_S` of now.

    Whether it came before is for the caller to look up, by that id.

    Raises:
        BadSignature: none of this is so; names the header that is wrong.
        BadSecret: a secret is none.
    """
    webhook_id = given.get("webhook-id", "")
    if not _ID.fullmatch(webhook_id):
        raise BadSignature("webhook-id", "must be there, with 1 to 200 printable ASCII characters and no space")
    timestamp = given.get("webhook-timestamp", "")
    if not _SECONDS.fullmatch(timestamp) or abs(int(timestamp) - now_s) > TOLERANCE_S:
        raise BadSignature("webhook-timestamp", f"must be seconds since 1970, and within {TOLERANCE_S} s of our clock")
    made = given.get("webhook-signature", "").encode()
    wanted = [_signature(webhook_id, int(timestamp), body, secret).encode() for secret in secrets]
    if not any(hmac.compare_digest(one, other) for one in made.split()[:MAX_SIGNATURES] for other in wanted):
        raise BadSignature("webhook-signature", "is not made of this message with a secret that we know")
    return webhook_id


def _signature(webhook_id: str, timestamp_s: int, body: bytes, secret: str) -> str:
    signed = f"{webhook_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()
