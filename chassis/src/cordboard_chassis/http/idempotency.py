"""A POST that is sent again does its work once and gets the same answer (``Idempotency-Key``)."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy import text
from starlette.responses import Response

from cordboard_chassis.auth.principal import Principal, principal
from cordboard_chassis.database import Database
from cordboard_chassis.http.app import Db
from cordboard_chassis.keyring import Keyring, is_sealed
from cordboard_chassis.refusals import Refused
from cordboard_chassis.unit_of_work import UnitOfWork

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="A key of the client's choice; the same request with the same key is carried out once.",
    ),
]

_CLAIM = text(
    """
    INSERT INTO idempotency_keys (caller, key, fingerprint) VALUES (:caller, :key, :fingerprint)
    ON CONFLICT DO NOTHING RETURNING key
    """
)
_FIND = text("SELECT fingerprint, status, headers, body FROM idempotency_keys WHERE caller = :caller AND key = :key")
_KEEP = text(
    """
    UPDATE idempotency_keys SET status = :status, headers = CAST(:headers AS jsonb), body = :body
    WHERE caller = :caller AND key = :key
    """
)


@dataclass(frozen=True)
class Answer:
    """What a route answers, in a form that can be stored."""

    body: BaseModel | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    confidential: bool = False
    """The body holds a secret: it is stored encrypted."""


Act = Callable[[UnitOfWork], Awaitable[Answer]]


def reused() -> Refused:
    """The same key with another request."""
    return Refused(
        "idempotency-key-reused",
        "this key was used for a different request",
        "Idempotency-Key",
        status=422,
    )


async def fingerprint(request: Request) -> bytes:
    """What makes a request the same: method, path, query and body."""
    seen = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    seen.update(await request.body())
    return seen.digest()


class OnceOnly:
    """Carries a request out once per key: the effect, the key and the answer are one transaction."""

    def __init__(self, request: Request, caller: Principal, database: Database, key: str | None) -> None:
        self._request = request
        self._caller = caller
        self._database = database
        self._key = key

    async def __call__(self, act: Act) -> Response:
        """Run ``act`` in a transaction with the caller's scope, commit, answer; or answer as last time.

        Raises:
            Refused: by ``act``; or the key belongs to a different request.
        """
        async with self._database.transaction(self._caller.org_path) as uow:
            if self._key is None:
                return _response(await act(uow))
            identity = {"caller": self._caller.subject, "key": self._key}
            mark = await fingerprint(self._request)
            # Waits while another request with this key is in progress.
            if await uow.scalar(_CLAIM, {**identity, "fingerprint": mark}) is None:
                return await self._replay(uow, identity, mark)
            answer = await act(uow)
            response = _response(answer)
            body = bytes(response.body).decode()
            kept = {
                "status": answer.status,
                "headers": json.dumps(dict(answer.headers)),
                "body": self._keyring.seal(body, _context(identity)) if answer.confidential else body,
            }
            await uow.execute(_KEEP, {**identity, **kept})
            return response

    async def _replay(self, uow: UnitOfWork, identity: dict[str, Any], mark: bytes) -> Response:
        row = await uow.one(_FIND, identity)
        if row is None or bytes(row.fingerprint) != mark:
            raise reused()
        headers = {**(row.headers or {}), "Idempotency-Replayed": "true"}
        body = self._keyring.open(row.body, _context(identity)) if is_sealed(row.body) else row.body
        return Response(body, row.status, headers, media_type="application/json" if body else None)

    @property
    def _keyring(self) -> Keyring:
        keyring = self._request.app.state.keyring
        assert isinstance(keyring, Keyring), "a service with confidential answers has a keyring"
        return keyring


def _context(identity: dict[str, Any]) -> str:
    return f"answer to {identity['caller']} {identity['key']}"


def _response(answer: Answer) -> Response:
    body = answer.body.model_dump_json() if answer.body is not None else ""
    return Response(body, answer.status, dict(answer.headers), media_type="application/json" if body else None)


def _once(
    request: Request,
    database: Db,
    caller: Annotated[Principal, Depends(principal())],
    key: IdempotencyKey = None,
) -> OnceOnly:
    return OnceOnly(request, caller, database, key)


Once = Annotated[OnceOnly, Depends(_once)]
"""Parameter of each route that creates: ``once: Once``, then ``return await once(act)``."""
