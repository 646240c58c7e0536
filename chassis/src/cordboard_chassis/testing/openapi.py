"""Whatever is sent: a service answers as its OpenAPI document says, and never with a 500.

Needs schemathesis. The requests follow from a seed, so that each run is the same; ``CORDBOARD_SEED=7`` gives other ones
and ``CORDBOARD_REQUESTS=200`` more of them to each operation.
"""

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from requests import PreparedRequest
from requests.auth import AuthBase
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from cordboard_chassis.auth.principal import Role
from cordboard_chassis.testing.deployment import Deployed

SEED = int(os.environ.get("CORDBOARD_SEED", "1878"))
REQUESTS = int(os.environ.get("CORDBOARD_REQUESTS", "5"))
"""To each operation."""
NAMES_A_FIELD = {400, 401, 404, 412, 415, 422, 428}
"""Failures that say which part of the request is wrong; what may not be done at all (403, 409) need not."""


def names_what_is_wrong(_context: Any, response: Any, _case: Any) -> None:
    """A refusal says what is wrong with which field."""
    if response.status_code in NAMES_A_FIELD:
        errors = response.json()["errors"]
        assert errors and all(error["field"] and error["reason"] for error in errors), response.text


CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    names_what_is_wrong,
]
"""Not ``positive_data_acceptance``: that a text is a phone number or a file is more than a schema can say."""


Sign = Callable[[bytes], Mapping[str, str]]
"""The headers with which a body is signed."""


async def answers_as_documented(
    deployed: Deployed,
    known: Mapping[str, object],
    *,
    leave_out: Collection[str] = (),
    interface: str = "",
    sign: Sign | None = None,
) -> dict[str, int]:
    """Send generated requests to every operation, as administrator of the whole organisation; returns how many.

    ``known`` are ids that there are, by the names under which paths, queries and bodies ask for them: every second
    request that means well gets them. ``leave_out`` are operation ids; ``interface`` is the one of which it is about,
    and ``sign`` signs requests to it.

    Raises:
        AssertionError: an answer that the document does not allow.
    """
    print(f"OpenAPI of {deployed.service.name}: CORDBOARD_SEED={SEED} CORDBOARD_REQUESTS={REQUESTS}")  # noqa: T201 (pytest shows it with a failure)
    headers = dict(deployed.client(Role.ADMINISTRATOR).headers)
    url = f"{deployed.url}/{interface}".rstrip("/")
    auth = None if sign is None else _Signing(sign)
    return await asyncio.to_thread(_try_everything, url, headers, known, leave_out, auth)


class _Signing(AuthBase):
    def __init__(self, sign: Sign) -> None:
        self._sign = sign

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        body: Any = request.body or b""
        request.headers.update(self._sign(body.encode() if isinstance(body, str) else body))
        return request


def _try_everything(
    url: str, headers: dict[str, str], known: Mapping[str, object], leave_out: Collection[str], auth: AuthBase | None
) -> dict[str, int]:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    found: list[Any] = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]
    operations = [operation for operation in found if operation.definition.raw["operationId"] not in leave_out]
    assert len(operations) == len(found) - len(leave_out), f"not all of {leave_out} are operations"
    operations.sort(key=lambda operation: operation.method == "delete")  # what is known shall be there for the others
    return {operation.label: _try(operation, headers, known, auth) for operation in operations}


def _try(operation: Any, headers: dict[str, str], known: Mapping[str, object], auth: AuthBase | None) -> int:
    tried = 0

    @seed(SEED)
    @settings(
        max_examples=REQUESTS,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)))
    def attempt(case: Any) -> None:
        nonlocal tried
        tried += 1
        if tried % 2 and case.meta.generation.mode is GenerationMode.POSITIVE:
            for part in (case.path_parameters, case.query, case.body):
                if isinstance(part, dict):
                    part.update({name: known[name] for name in known.keys() & part.keys()})
            if "If-Match" in case.headers:
                case.headers["If-Match"] = "*"
        case.call_and_validate(headers=headers, auth=auth, checks=CHECKS)

    attempt()
    return tried
