"""JSON as we accept it (RFC 8259 and the limits of our stores), checked before any route sees it."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cordboard_chassis.http.problems import FieldError, printable, problem_response

MAX_DEPTH = 32
"""Objects and arrays within each other."""
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_SUSPICIOUS_ESCAPE = re.compile(r"\\u(0000|[dD][89a-fA-F])")


class NotJson(ValueError):
    """The body is no JSON text at all."""


class UnacceptableJson(ValueError):
    """The body is JSON but holds something that we cannot keep. ``field`` says where."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason


def parse(body: bytes) -> Any:
    """Read a body.

    Raises:
        NotJson: not UTF-8, not JSON, or a number that JSON does not have (NaN).
        UnacceptableJson: a name twice in one object, of which each reader takes another; nested too deeply, integers
            beyond 64 bits, floats beyond double precision, NUL characters, or surrogates without their partner,
            which no database would store.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJson(f"is not UTF-8 at byte {error.start}") from error
    try:
        document = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_no_constant,
        )
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg} at line {error.lineno} column {error.colno}") from error
    except RecursionError as error:
        raise UnacceptableJson("body", f"is nested deeper than {MAX_DEPTH} levels") from error
    if text.count("{") + text.count("[") > MAX_DEPTH:
        _check_depth(document)
    if _SUSPICIOUS_ESCAPE.search(text):
        _check_strings(document)
    return document


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        twice = next(name for name, count in Counter(name for name, _ in members).items() if count > 1)
        raise UnacceptableJson(printable(twice), "is there twice")
    return found


def _integer(digits: str) -> int:
    # The length is looked at first: turning a million digits into an int takes seconds.
    if len(digits) > 20 or not _MIN_INTEGER <= int(digits) <= _MAX_INTEGER:
        raise UnacceptableJson("body", f"the number {printable(digits, 30)} is beyond 64 bits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise UnacceptableJson("body", f"the number {printable(digits, 30)} is too large")
    return value


def _no_constant(name: str) -> float:
    raise NotJson(f"{name} is not JSON")


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise UnacceptableJson("body", f"is nested deeper than {MAX_DEPTH} levels")


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return [child for child in node.values() if isinstance(child, dict | list)]
    return [child for child in node if isinstance(child, dict | list)] if isinstance(node, list) else []


def _check_strings(document: Any) -> None:
    for path, text in _strings(document, ()):
        field = printable(".".join(path)) or "body"
        if "\0" in text:
            raise UnacceptableJson(field, "contains the NUL character")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise UnacceptableJson(field, "contains half of a surrogate pair")


def _strings(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for key, child in node.items():
            yield (*path, key), key
            yield from _strings(child, (*path, key))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from _strings(child, (*path, str(index)))


class StrictJson:
    """Reads JSON bodies whole (the limit on bodies is enforced outside of this) and refuses what `parse` refuses."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or not _is_json(Headers(scope=scope).get("content-type", "")):
            await self._app(scope, receive, send)
            return
        chunks: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return  # the client has gone
            chunks.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
        body = b"".join(chunks)
        if body:
            try:
                parse(body)
            except NotJson as error:
                await problem_response(
                    400,
                    "malformed-json",
                    f"the body is not JSON: {error}",
                    instance=scope["path"],
                    errors=[FieldError(field="body", reason=str(error))],
                )(scope, receive, send)
                return
            except UnacceptableJson as error:
                await problem_response(
                    422,
                    "invalid-request",
                    f"{error.field}: {error.reason}",
                    instance=scope["path"],
                    errors=[FieldError(field=error.field, reason=error.reason)],
                )(scope, receive, send)
                return
        read = False

        async def replay() -> Message:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))
