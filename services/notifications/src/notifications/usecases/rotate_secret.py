"""Give an endpoint a new signing secret."""

from datetime import datetime
from uuid import UUID

from cordboard_chassis.keyring import Keyring
from cordboard_chassis.refusals import Conflict
from cordboard_chassis.unit_of_work import UnitOfWork

from notifications.domain.endpoints import MAX_SECRETS
from notifications.storage import queries
from notifications.usecases.create_endpoint import add_secret
from notifications.usecases.find_endpoint import hold_endpoint


async def rotate_secret(
    uow: UnitOfWork, partner_id: str | None, endpoint_id: UUID, overlap_s: float, keyring: Keyring
) -> tuple[str, datetime]:
    """The new secret, and until when the one before it signs, too.

    Raises:
        NotFound: there is no such endpoint.
        Conflict: it is rotated so often that too many secrets would sign.
    """
    held = await hold_endpoint(uow, partner_id, endpoint_id)
    await uow.execute(queries.FORGET_EXPIRED_SECRETS, {"endpoint_id": endpoint_id})
    kept = await uow.all(queries.EXPIRE_SECRETS, {"endpoint_id": endpoint_id, "overlap_s": overlap_s})
    if len(kept) >= MAX_SECRETS:
        raise Conflict(
            f"{len(kept)} secrets sign already; wait until the oldest expires, or use a shorter overlap",
            code="too-many-secrets",
        )
    secret = await add_secret(uow, endpoint_id, held.org_path, keyring)
    return secret, max(row.expires_at for row in kept)
