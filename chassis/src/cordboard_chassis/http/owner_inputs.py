"""Ask the owner of a workspace or PBX, whichever process that is: the request waits in a table until it has acted."""

import asyncio
import hashlib
import json
from typing import Any
from uuid import UUID

from cordboard_contracts import new_id
from fastapi import Request
from pydantic import BaseModel
from sqlalchemy import text

from cordboard_chassis.auth.principal import Principal
from cordboard_chassis.database import Database
from cordboard_chassis.http.idempotency import reused
from cordboard_chassis.ownership import INPUTS_CHANNEL, RESULTS_CHANNEL
from cordboard_chassis.refusals import Refused
from cordboard_chassis.wakeups import Wakeups

LOOK_S = 0.5

_SUBMIT = text(
    """
    INSERT INTO owner_inputs (id, kind, owner_id, name, payload, caller, subject, key, fingerprint)
    VALUES (:id, :kind, :owner_id, :name, CAST(:payload AS jsonb), CAST(:caller AS jsonb), :subject, :key,
            :fingerprint)
    ON CONFLICT ON CONSTRAINT owner_inputs_key DO NOTHING
    RETURNING id
    """
)
_SAME = text("SELECT id, fingerprint FROM owner_inputs WHERE subject = :subject AND key = :key")
_RESULT = text("SELECT result FROM owner_inputs WHERE id = :id AND done_at IS NOT NULL")
_NOTIFY = text("SELECT pg_notify(:channel, :payload)")


async def ask_owner(
    request: Request,
    caller: Principal,
    database: Database,
    *,
    kind: str,
    owner_id: str,
    name: str,
    payload: BaseModel | dict[str, Any],
    key: str | None,
    wait_s: float = 5.0,
) -> dict[str, Any]:
    """Ask, and wait for the answer. What was asked is kept, and carried out even if nobody waits any more.

    ``key`` is the request's Idempotency-Key.

    Raises:
        Refused: the owner refused; or nobody has acted within ``wait_s`` (status 503; the same key later
            gives the result).
    """
    fields = payload.model_dump(mode="json") if isinstance(payload, BaseModel) else payload
    body = json.dumps(fields, sort_keys=True, ensure_ascii=False)
    input_id = await _submit(caller, database, kind, owner_id, name, body, key)
    wakeups: Wakeups = request.app.state.wakeups
    done = asyncio.Event()

    def hear(payload: str) -> None:
        if payload in ("", str(input_id)):
            done.set()

    try:
        async with asyncio.timeout(wait_s), wakeups.listening(RESULTS_CHANNEL, hear):
            while (result := await _result(database, input_id)) is None:
                try:
                    async with asyncio.timeout(LOOK_S):
                        await done.wait()
                except TimeoutError:
                    continue
                finally:
                    done.clear()
    except TimeoutError:
        raise Refused(
            "owner-away",
            f"nobody has carried this out within {wait_s:g} s; it is kept until somebody can. "
            "Ask again with the same Idempotency-Key for what became of it",
            status=503,
        ) from None
    refused = result.get("refused")
    if refused:
        raise Refused(refused["code"], refused["detail"], refused["field"], refused["status"])
    answer: dict[str, Any] = result["result"]
    return answer


def caller_document(caller: Principal) -> dict[str, Any]:
    """Who asks, as the owner is told: `OwnerInput.caller`."""
    return {
        "subject": caller.subject,
        "roles": sorted(caller.roles),
        "org_path": caller.org_path,
        "agent_id": caller.agent_id,
    }


async def _submit(
    caller: Principal, database: Database, kind: str, owner_id: str, name: str, body: str, key: str | None
) -> UUID:
    mark = hashlib.sha256(f"{kind} {owner_id} {name}\n{body}".encode()).digest()
    async with database.transaction(caller.org_path) as uow:
        input_id: UUID | None = await uow.scalar(
            _SUBMIT,
            {
                "id": new_id(),
                "kind": kind,
                "owner_id": owner_id,
                "name": name,
                "payload": body,
                "caller": json.dumps(caller_document(caller)),
                "subject": caller.subject,
                "key": key,
                "fingerprint": mark,
            },
        )
        if input_id is None:
            same = await uow.one(_SAME, {"subject": caller.subject, "key": key})
            if same is None or bytes(same.fingerprint) != mark:
                raise reused()
            return UUID(str(same.id))
        await uow.execute(_NOTIFY, {"channel": INPUTS_CHANNEL, "payload": owner_id})
    return input_id


async def _result(database: Database, input_id: UUID) -> dict[str, Any] | None:
    async with database.transaction() as uow:
        result: dict[str, Any] | None = await uow.scalar(_RESULT, {"id": input_id})
    return result
