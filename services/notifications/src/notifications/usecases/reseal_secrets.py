"""Replace the keys under which signing secrets lie in the database."""

import logging

from cordboard_chassis.keyring import CannotOpen, Keyring
from cordboard_chassis.unit_of_work import UnitOfWork

from notifications.domain.endpoints import secret_context
from notifications.storage import queries

log = logging.getLogger(__name__)

BATCH = 1000


async def reseal_secrets(uow: UnitOfWork, keyring: Keyring) -> int:
    """Seal with the newest key what an older one sealed, ``BATCH`` at most; returns how many."""
    rows = await uow.all(queries.SEALED_OTHERWISE, {"key_id": keyring.current, "batch": BATCH})
    sealed = []
    for row in rows:
        context = secret_context(row.endpoint_id)
        try:
            sealed.append({"id": row.id, "sealed": keyring.seal(keyring.open(row.sealed, context), context)})
        except CannotOpen as error:
            log.error(
                "a signing secret cannot be read", extra={"endpoint_id": str(row.endpoint_id), "error": str(error)}
            )
    if sealed:
        await uow.execute(queries.SEAL_ANEW, sealed)
        log.info("signing secrets sealed anew", extra={"key_id": keyring.current, "secrets": len(sealed)})
    return len(sealed)


async def unreadable_secrets(uow: UnitOfWork, keyring: Keyring) -> str | None:
    """What is wrong when there are secrets whose key is not given, else None."""
    used = {row.key_id for row in await uow.all(queries.SEALING_KEYS)}
    missing = sorted(used - keyring.key_ids)
    return f"secrets are sealed with keys that are not given: {', '.join(missing)}" if missing else None
