"""API keys of partners: ``cbk_<id>_<secret>``. The secret is shown once and stored as a hash only."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cordboard_chassis.auth.principal import Authenticator, Principal, Role, Unauthenticated

_PREFIX = "cbk_"
_SHAPE = re.compile(r"^cbk_([0-9a-f]{16})_([0-9a-f]{64})$")


@dataclass(frozen=True)
class NewApiKey:
    """A key just made: hand ``text`` to the partner, store ``id`` and ``digest``."""

    id: str
    text: str
    digest: str


@dataclass(frozen=True)
class StoredApiKey:
    """What a service remembers of a key that is valid now."""

    digest: str
    partner_id: str
    org_path: str
    roles: frozenset[Role] = frozenset({Role.PARTNER})


ApiKeyLookup = Callable[[str], Awaitable[StoredApiKey | None]]
"""Finds a key by its id; None when there is none, or it is revoked or expired."""


def new_api_key() -> NewApiKey:
    """A key with 256 random bits."""
    key_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    return NewApiKey(key_id, f"{_PREFIX}{key_id}_{secret}", digest(secret))


def digest(secret: str) -> str:
    """SHA-256 in hex. No slow hash: the secret is random, so there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiKeyAuthenticator:
    """Accepts partners' API keys, and hands every other credential on to ``tokens``."""

    def __init__(self, lookup: ApiKeyLookup, tokens: Authenticator) -> None:
        self._lookup = lookup
        self._tokens = tokens

    async def authenticate(self, credential: str) -> Principal:
        """See `Authenticator.authenticate`."""
        if not credential.startswith(_PREFIX):
            return await self._tokens.authenticate(credential)
        shape = _SHAPE.fullmatch(credential)
        if shape is None:
            raise Unauthenticated("not an API key")
        key_id, secret = shape.groups()
        stored = await self._lookup(key_id)
        known = stored.digest if stored else digest("")
        if not hmac.compare_digest(digest(secret), known) or stored is None:
            raise Unauthenticated("unknown API key")
        return Principal(
            subject=f"api-key:{key_id}",
            roles=stored.roles,
            org_path=stored.org_path,
            partner_id=stored.partner_id,
        )
