"""Make an endpoint with its first signing secret."""

import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cordboard_chassis.auth.org_paths import require_within
from cordboard_chassis.keyring import Keyring
from cordboard_chassis.refusals import Conflict, Invalid
from cordboard_chassis.signatures import SECRET_BYTES, secret_of
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import EVENTS, new_id
from sqlalchemy import Row

from notifications.domain.endpoints import Unacceptable, check_endpoint, secret_context
from notifications.storage import queries


@dataclass(frozen=True)
class NewEndpoint:
    """What the endpoint shall be."""

    url: str
    org_path: str
    event_types: list[str]
    description: str
    partner_id: str | None


@dataclass(frozen=True)
class Rules:
    """What endpoints are allowed here."""

    allow_private: bool
    limit: int
    """Endpoints of one partner."""


def require_acceptable(url: str, event_types: list[str], rules: Rules) -> None:
    """Raises Invalid when the URL or a pattern is not acceptable."""
    try:
        check_endpoint(url, event_types, EVENTS, allow_private=rules.allow_private)
    except Unacceptable as error:
        raise Invalid(error.reason, error.field) from error


async def create_endpoint(uow: UnitOfWork, wanted: NewEndpoint, rules: Rules, keyring: Keyring) -> tuple[Row[Any], str]:
    """The endpoint and its secret, which nobody can read again.

    Raises:
        Invalid, Forbidden, Conflict: a field is wrong, the org path is not the caller's, the partner has too many.
    """
    require_within(wanted.org_path, uow.scope)
    require_acceptable(wanted.url, wanted.event_types, rules)
    partner = {"partner_id": wanted.partner_id or ""}
    await uow.execute(queries.LOCK_PARTNER, partner)
    if await uow.scalar(queries.COUNT_OF_PARTNER, partner) >= rules.limit:
        raise Conflict(f"there are {rules.limit} endpoints already, which is the limit", code="too-many-endpoints")
    row = await uow.one(
        queries.INSERT_ENDPOINT,
        {
            "id": new_id(),
            "org_path": wanted.org_path,
            "partner_id": wanted.partner_id,
            "url": wanted.url,
            "description": wanted.description,
            "event_types": wanted.event_types,
        },
    )
    assert row is not None
    secret = await add_secret(uow, row.id, row.org_path, keyring)
    await uow.execute(queries.SUBSCRIPTIONS_CHANGED)
    return row, secret


async def add_secret(uow: UnitOfWork, endpoint_id: UUID, org_path: str, keyring: Keyring) -> str:
    """A new signing secret; only sealed does it reach the database."""
    secret = secret_of(secrets.token_bytes(SECRET_BYTES))
    await uow.execute(
        queries.INSERT_SECRET,
        {
            "id": new_id(),
            "endpoint_id": endpoint_id,
            "org_path": org_path,
            "sealed": keyring.seal(secret, secret_context(endpoint_id)),
        },
    )
    return secret
