"""Whatever is sent: answered as the OpenAPI document says, and never with a 500."""

import asyncio
import time
from typing import Any

import pytest
import schemathesis
from gateway_scene import Gateway
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

pytestmark = pytest.mark.asyncio(loop_scope="module")

BUDGET_S = 8
AT_LEAST = 3
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]
"""Not ``positive_data_acceptance``: that a text is a phone number is more than a schema can say."""


async def test_the_service_answers_as_its_document_says(gateway: Gateway, issuer: Any) -> None:
    call = await gateway.offer()
    await gateway.connect(call)
    known = {"pbx_id": "pbx-1", "device_id": "1001", "call_id": str(call.call_id)}
    tried = await asyncio.to_thread(try_everything, gateway.deployed.url, issuer.token("administrator", "/"), known)
    assert len(tried) == 18
    assert min(tried.values()) >= AT_LEAST


def try_everything(url: str, token: str, known: dict[str, str]) -> dict[str, int]:
    """How many requests each operation got within the budget."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations: list[Any] = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
    began = time.monotonic()
    return {
        operation.label: try_operation(operation, token, known, began + BUDGET_S * position / len(operations))
        for position, operation in enumerate(operations, 1)
    }


def try_operation(operation: Any, token: str, known: dict[str, str], until: float) -> int:
    """Where the path wants an id, half of the requests get one that there is."""
    tried = 0

    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)))
    def attempt(case: Any) -> None:
        nonlocal tried
        if tried >= AT_LEAST and time.monotonic() > until:
            return
        tried += 1
        if tried % 2 and case.meta.generation.mode is GenerationMode.POSITIVE:
            case.path_parameters.update({name: known[name] for name in known.keys() & case.path_parameters.keys()})
            if "If-Match" in case.headers:
                case.headers["If-Match"] = "*"
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)

    attempt()
    return tried
