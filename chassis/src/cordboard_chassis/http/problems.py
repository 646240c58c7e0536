"""Every answer that is not a success is a problem document (RFC 9457) that names the field and the reason."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from opentelemetry import trace
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import exc as sql
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ExceptionHandler

from cordboard_chassis.auth.principal import KeysUnavailable, Unauthenticated
from cordboard_chassis.http.rate_limit import TooManyRequests
from cordboard_chassis.refusals import Conflict, Forbidden, Invalid, NotFound, Refused

__all__ = [
    "Conflict",
    "FieldError",
    "Forbidden",
    "Invalid",
    "NotFound",
    "Problem",
    "Refused",
    "problem_response",
    "unavailable",
]

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20
"""A body with a thousand mistakes is answered with the first few."""
RETRY_AFTER_S = 1


class FieldError(BaseModel):
    """One thing that is wrong with the request."""

    field: str = Field(description="Where: `phones.0.number`, a parameter's or a header's name, or `body`.")
    reason: str = Field(description="What is wrong with it, for people.")


class Problem(BaseModel):
    """Why a request failed (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="A URI for this kind of problem: `urn:cordboard:problem:<code>`.")
    title: str
    status: int = Field(ge=400, le=599)
    code: str = Field(description="The kind of problem as a stable word for programs.")
    detail: str
    instance: str = Field(description="The path that was asked for.")
    errors: list[FieldError] = Field(default_factory=list)
    trace_id: str | None = Field(default=None, description="Under which our logs tell more.")


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    instance: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The problem as a response."""
    span = trace.get_current_span().get_span_context()
    problem = Problem(
        type=f"urn:cordboard:problem:{code}",
        title=code.replace("-", " ").capitalize(),
        status=status,
        code=code,
        detail=detail,
        instance=instance,
        errors=list(errors[:MAX_ERRORS]),
        trace_id=f"{span.trace_id:032x}" if span.is_valid else None,
    )
    return Response(problem.model_dump_json(exclude_none=True), status, dict(headers or {}), media_type=MEDIA_TYPE)


def unavailable(detail: str, *, instance: str, code: str = "unavailable") -> Response:
    """503: nothing is wrong with the request, try again soon."""
    return problem_response(503, code, detail, instance=instance, headers={"Retry-After": str(RETRY_AFTER_S)})


_PLACES = {400: "body", 404: "path", 413: "body"}
"""What is wrong when the framework, not one of our routes, answers so."""


def of_status(
    status: int, *, instance: str, detail: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The problem that goes with a bare status: 404 of an unknown path, 405, 413."""
    phrase = HTTPStatus(status).phrase
    code = {413: "body-too-large"}.get(status, phrase.lower().replace(" ", "-"))
    reason = printable(detail or phrase)
    errors = [FieldError(field=_PLACES[status], reason=reason)] if status in _PLACES else []
    return problem_response(status, code, reason, instance=instance, errors=errors, headers=headers)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    errors = [FieldError(field=error.field, reason=error.detail)] if error.field else []
    return problem_response(error.status, error.code, error.detail, instance=request.url.path, errors=errors)


def _unauthenticated(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unauthenticated)
    challenge = 'Bearer realm="cordboard"'
    if error.presented:
        description = error.detail.replace("\\", "").replace('"', "'")
        challenge += f', error="invalid_token", error_description="{description}"'
    if error.header != "Authorization":
        challenge = 'Signature realm="cordboard"'
    return problem_response(
        401,
        "invalid-token" if error.presented else "unauthenticated",
        error.detail,
        instance=request.url.path,
        errors=[FieldError(field=error.header, reason=error.detail)],
        headers={"WWW-Authenticate": challenge},
    )


def _keys_unavailable(request: Request, _error: Exception) -> Response:
    return unavailable("the keys to check tokens with cannot be had", instance=request.url.path)


def _too_many_requests(request: Request, error: Exception) -> Response:
    assert isinstance(error, TooManyRequests)
    headers = {"Retry-After": str(error.retry_after_s)}
    return problem_response(429, "too-many-requests", str(error), instance=request.url.path, headers=headers)


def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail if isinstance(error.detail, str) else None
    return of_status(error.status_code, instance=request.url.path, detail=detail, headers=error.headers)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if isinstance(error.body, bytes) and error.body:
        # FastAPI leaves a body as bytes when its media type is not JSON.
        given = request.headers.get("content-type", "nothing")
        reason = f"send application/json, not {given[:100]}"
        return problem_response(
            415,
            "unsupported-media-type",
            reason,
            instance=request.url.path,
            errors=[FieldError(field="Content-Type", reason=reason)],
        )
    errors = [FieldError(field=field_name(item["loc"]), reason=_reason(item)) for item in error.errors()[:MAX_ERRORS]]
    detail = f"{errors[0].field}: {errors[0].reason}" if errors else "the request is not valid"
    return problem_response(422, "invalid-request", detail, instance=request.url.path, errors=errors)


def field_name(location: Sequence[str | int]) -> str:
    """``("body", "phones", 0, "number")`` -> ``phones.0.number``; the body as a whole is ``body``."""
    # Where a key of an object is what is wrong, pydantic adds a part that no request has.
    parts = [str(part) for part in location if part != "[key]"]
    name = ".".join(parts[1:]) if len(parts) > 1 else ".".join(parts)
    return printable(name or "body")


def printable(text: str, limit: int = 200) -> str:
    """Text of a stranger, fit for an answer and a log: no lone surrogates, no control characters, bounded."""
    safe = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:limit])
    return safe + ("…" if len(text) > limit else "")


def _reason(error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error.get("type") == "extra_forbidden":
        message = "is not a field of this request"
    return printable(message)


_TRANSIENT_CLASSES = ("08", "40", "53", "55", "57", "58")
"""SQLSTATE classes: connection, rollback (deadlock), resources, not in state (lock), intervention, system."""

_OUTSIDE_OF_SCOPE = "42501"
"""Row-level security refused a row."""


def _database(request: Request, error: Exception) -> Response:
    """The database is away or busy: come back. It refuses a value that validation let pass: say so."""
    assert isinstance(error, sql.SQLAlchemyError)
    original = error.orig if isinstance(error, sql.DBAPIError) else None
    state: str | None = getattr(original, "sqlstate", None)
    lost = isinstance(error, sql.DBAPIError) and (
        error.connection_invalidated or (state is None and isinstance(error, sql.OperationalError | sql.InterfaceError))
    )
    if lost or isinstance(error, sql.TimeoutError) or (state or "").startswith(_TRANSIENT_CLASSES):
        log.warning("database unavailable", extra={"error": printable(str(original or error)), "sqlstate": state})
        return unavailable("the database is unavailable or busy", instance=request.url.path)
    if state == _OUTSIDE_OF_SCOPE:
        detail = "this is outside of the part of the organisation to which the token is limited"
        return problem_response(403, "forbidden", detail, instance=request.url.path)
    if isinstance(error, sql.DataError):
        log.warning("value refused by the database", extra={"error": printable(str(original))})
        detail = "a value is out of the range that can be stored"
        return problem_response(422, "value-out-of-range", detail, instance=request.url.path)
    raise error


def _disconnected(request: Request, error: Exception) -> Response:
    log.warning("connection failed", extra={"error": printable(str(error))})
    return unavailable("a server that this service needs is unavailable", instance=request.url.path)


HANDLERS: dict[int | type[Exception], ExceptionHandler] = {
    Refused: _refused,
    Unauthenticated: _unauthenticated,
    KeysUnavailable: _keys_unavailable,
    TooManyRequests: _too_many_requests,
    HTTPException: _http_exception,
    RequestValidationError: _invalid,
    sql.SQLAlchemyError: _database,
    ConnectionError: _disconnected,
}
"""How each exception that a route may raise is answered; any other is a fault of ours: 500, and logged."""
