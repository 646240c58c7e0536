"""Secrets that we must be able to read again are encrypted in the database: AES-256-GCM (NIST SP 800-38D).

The keys come from outside, so that neither a backup nor whoever reads the tables has the secrets.
"""

import base64
import binascii
import os
import re
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
_MARK = "sealed"
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")


class CannotOpen(Exception):
    """Sealed with a key that we do not have, or written for another place, or changed."""


class Keyring:
    """Keys by id. The first one seals, all of them open: so keys are replaced while everything runs."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self.current = next(iter(keys))
        """Id of the key that seals."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """``2026b:<base64 of 32 bytes>,2026a:<...>``, the newest first.

        Raises:
            ValueError: it is not written so; says which part, and never what it holds.
        """
        keys: dict[str, bytes] = {}
        for number, part in enumerate(text.split(","), 1):
            key_id, _, encoded = part.strip().partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                key = b""
            if not _KEY_ID.fullmatch(key_id) or len(key) != KEY_BYTES:
                raise ValueError(f"key {number} must be an id, a colon and base64 of {KEY_BYTES} bytes")
            if key_id in keys:
                raise ValueError(f"key {number} has the id of an earlier one")
            keys[key_id] = key
        return cls(keys)

    def seal(self, text: str, context: str) -> str:
        """``sealed.<key id>.<base64url>``; it opens in the same ``context`` only, so that rows cannot be swapped."""
        nonce = os.urandom(_NONCE_BYTES)
        encrypted = self._ciphers[self.current].encrypt(nonce, text.encode(), context.encode())
        return f"{_MARK}.{self.current}.{base64.urlsafe_b64encode(nonce + encrypted).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """Back from `seal`.

        Raises:
            CannotOpen: see there.
        """
        mark, _, rest = sealed.partition(".")
        key_id, _, encoded = rest.partition(".")
        cipher = self._ciphers.get(key_id) if mark == _MARK else None
        if cipher is None:
            raise CannotOpen(f"sealed with the key {key_id}, which is not given" if mark == _MARK else "not sealed")
        try:
            data = base64.urlsafe_b64decode(encoded)
            return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise CannotOpen("changed, or written for another place") from error

    @property
    def key_ids(self) -> frozenset[str]:
        """Of all keys."""
        return frozenset(self._ciphers)


def is_sealed(text: str) -> bool:
    """Whether a text came from `Keyring.seal`; no JSON document begins like that."""
    return text.startswith(f"{_MARK}.")
