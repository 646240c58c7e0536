"""JSON Web Tokens of the configured issuer."""

import asyncio
import json
import logging
import time
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import jwt
from cordboard_contracts import OrgPath
from cordboard_contracts.vocabulary import Identifier
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from cordboard_chassis.auth.principal import KeysUnavailable, Principal, Role, Unauthenticated

log = logging.getLogger(__name__)

ALGORITHMS = ("ES256", "RS256")
"""Signatures that we accept. Never taken from the token alone: the key must fit, too."""
MAX_TOKEN_LENGTH = 8192
MAX_KEY_SET_BYTES = 262_144
FETCH_TIMEOUT_S = 5.0
KEYS_LIVE_S = 600.0
"""Keys are fetched again after this time; old ones serve on when that fails."""
REFRESH_PAUSE_S = 10.0
"""A key id that we do not know makes us look again, but not more often than this."""


_ROLES = frozenset(Role)


class _Claims(BaseModel):
    model_config = ConfigDict(extra="ignore")

    sub: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")]
    roles: Annotated[list[str], Field(max_length=50)]
    org_path: OrgPath
    agent_id: Identifier | None = None
    partner_id: Identifier | None = None


class KeySet:
    """The issuer's public keys (RFC 7517), from a URL or a file, kept in memory."""

    def __init__(self, location: str) -> None:
        self._location = location
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._lock = asyncio.Lock()

    async def key(self, key_id: str | None) -> jwt.PyJWK:
        """The key with this id; without an id the only key of the set.

        Raises:
            Unauthenticated: the issuer has no such key.
            KeysUnavailable: there were never any keys to look at.
        """
        # The first look at the keys is waited for by everybody who comes meanwhile.
        if self._fetched_at is None or self._needs_refresh(key_id):
            async with self._lock:
                if self._needs_refresh(key_id):
                    await self._refresh()
        if self._fetched_at is None:
            raise KeysUnavailable(f"no keys from {self._location}")
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        found = self._keys.get(key_id)
        if found is None:
            raise Unauthenticated("the token is signed with an unknown key")
        return found

    def _needs_refresh(self, key_id: str | None) -> bool:
        now = time.monotonic()
        if self._tried_at is not None and now - self._tried_at < REFRESH_PAUSE_S:
            return False
        if self._fetched_at is None or now - self._fetched_at > KEYS_LIVE_S:
            return True
        return key_id is not None and key_id not in self._keys

    async def _refresh(self) -> None:
        self._tried_at = time.monotonic()
        try:
            body = await asyncio.to_thread(_read, self._location)
            self._keys = _parse(body)
            self._fetched_at = time.monotonic()
        except (OSError, ValueError, jwt.PyJWTError) as error:
            log.warning("cannot read the issuer's keys", extra={"jwks": self._location, "error": str(error)})


def _read(location: str) -> bytes:
    if "://" not in location:
        with Path(location).open("rb") as file:
            body = file.read(MAX_KEY_SET_BYTES + 1)
    else:
        request = urllib.request.Request(location, headers={"Accept": "application/json"})  # noqa: S310 (the settings allow http(s) only)
        with urllib.request.urlopen(request, timeout=FETCH_TIMEOUT_S) as response:  # noqa: S310
            body = response.read(MAX_KEY_SET_BYTES + 1)
    if len(body) > MAX_KEY_SET_BYTES:
        raise ValueError(f"key set is larger than {MAX_KEY_SET_BYTES} bytes")
    return bytes(body)


def _parse(body: bytes) -> dict[str | None, jwt.PyJWK]:
    document: Any = json.loads(body)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("not a JSON Web Key Set")  # noqa: TRY004 (wrong content, not a wrong argument)
    keys: dict[str | None, jwt.PyJWK] = {}
    for entry in document["keys"]:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(entry)
        except jwt.PyJWTError:
            continue  # an algorithm that we do not know; its tokens will be refused
        if key.algorithm_name in ALGORITHMS:
            keys[key.key_id] = key
    if not keys:
        raise ValueError(f"no signing key for {' or '.join(ALGORITHMS)}")
    return keys


class TokenVerifier:
    """Checks signature, issuer, audience and times of a token and reads the caller from its claims.

    Claims: ``sub``, ``roles`` (list), ``org_path``, and where they fit ``agent_id`` and ``partner_id``.
    """

    def __init__(self, jwks: str, issuer: str, audience: str, leeway_s: float = 30.0) -> None:
        self._keys = KeySet(jwks)
        self._issuer = issuer
        self._audience = audience
        self._leeway_s = leeway_s

    async def authenticate(self, credential: str) -> Principal:
        """See `Authenticator.authenticate`."""
        if len(credential) > MAX_TOKEN_LENGTH:
            raise Unauthenticated("the token is too long")
        try:
            header = jwt.get_unverified_header(credential)
        except jwt.PyJWTError as error:
            raise Unauthenticated("not a token") from error
        if header.get("alg") not in ALGORITHMS:
            raise Unauthenticated(f"tokens must be signed with {' or '.join(ALGORITHMS)}")
        key_id = header.get("kid")
        key = await self._keys.key(key_id if isinstance(key_id, str) else None)
        if key.algorithm_name != header["alg"]:
            raise Unauthenticated("the key does not fit the signature's algorithm")
        try:
            payload = jwt.decode(
                credential,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway_s,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("the token has expired") from error
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the token does not hold: {error}") from error
        except (ValueError, TypeError, OverflowError) as error:
            raise Unauthenticated("the token's claims are malformed") from error
        return _caller(payload)


def _caller(payload: dict[str, Any]) -> Principal:
    try:
        claims = _Claims.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        claim = ".".join(str(part) for part in first["loc"])
        raise Unauthenticated(f"the token's claim {claim} is missing or wrong") from error
    return Principal(
        subject=claims.sub,
        roles=frozenset(Role(role) for role in claims.roles if role in _ROLES),
        org_path=claims.org_path,
        agent_id=claims.agent_id,
        partner_id=claims.partner_id,
    )
