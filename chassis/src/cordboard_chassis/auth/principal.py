"""The caller of a request, as a FastAPI dependency."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from cordboard_chassis.http.rate_limit import RateLimit
from cordboard_chassis.refusals import Forbidden


class Role(StrEnum):
    """What a caller is in the contact centre."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    BRANCH_MANAGER = "branch_manager"
    ADMINISTRATOR = "administrator"
    PARTNER = "partner"
    SERVICE = "service"


@dataclass(frozen=True)
class Principal:
    """Who calls. Sees what lies within ``org_path``."""

    subject: str
    """Stable id of the caller, unique over tokens and API keys."""
    roles: frozenset[Role]
    org_path: str
    agent_id: str | None = None
    partner_id: str | None = None

    def is_any(self, *roles: Role) -> bool:
        """Whether the caller has at least one of these roles."""
        return not self.roles.isdisjoint(roles)


class Unauthenticated(Exception):
    """No credential, or one that proves nothing. ``detail`` never says more than its bearer may know."""

    def __init__(self, detail: str, *, presented: bool = True, header: str = "Authorization") -> None:
        super().__init__(detail)
        self.detail = detail
        self.header = header
        """What proves nothing: a bearer credential, or one of the headers of a signed message."""
        self.presented = presented
        """Whether there was a credential at all (RFC 6750, section 3.1)."""


class KeysUnavailable(Exception):
    """The issuer's public keys cannot be had now, so no token can be checked."""


class Authenticator(Protocol):
    """Turns the credential of a request into its caller."""

    async def authenticate(self, credential: str) -> Principal:
        """Who presents this bearer credential?

        Raises:
            Unauthenticated: it proves nothing.
            KeysUnavailable: it cannot be checked now.
        """


_bearer = HTTPBearer(
    scheme_name="bearer",
    bearerFormat="JWT, or a partner's API key (cbk_...)",
    description="A token of the configured issuer, or a partner's API key.",
    auto_error=False,
)


def principal(*roles: Role) -> Callable[..., Awaitable[Principal]]:
    """A dependency that gives the caller, who must have one of ``roles``; any caller when none is named.

    ``Caller = Annotated[Principal, Depends(principal(Role.AGENT, Role.SUPERVISOR))]``
    """
    wanted = frozenset(roles)

    async def caller(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Principal:
        if credentials is None:
            raise Unauthenticated("send a token or an API key as Authorization: Bearer", presented=False)
        found = await authenticate(request, credentials.credentials)
        if wanted and found.roles.isdisjoint(wanted):
            raise Forbidden(f"needs one of the roles {', '.join(sorted(wanted))}", code="role-missing")
        return found

    return caller


async def authenticate(request: Request, credential: str) -> Principal:
    """Check a credential, which may have come some other way than by header (an event stream's query), and count
    the request."""
    known: Any = getattr(request.state, "principal", None)
    if known is not None and request.state.credential == credential:
        assert isinstance(known, Principal)
        return known
    authenticator: Authenticator = request.app.state.authenticator
    found = await authenticator.authenticate(credential)
    request.state.principal = found
    request.state.credential = credential
    rate_limit: RateLimit = request.app.state.rate_limit
    await rate_limit.count(found.subject)
    return found
