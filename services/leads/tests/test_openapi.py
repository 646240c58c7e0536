"""Whatever is sent: answered as the OpenAPI document says, and never with a 500."""

import asyncio
import time
from typing import Any

import schemathesis
from cordboard_chassis.auth.development import DevelopmentIssuer
from cordboard_chassis.testing.deployment import Deployed
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

BUDGET_S = 8
AT_LEAST = 5
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]
"""Not ``positive_data_acceptance``: that a text is a phone number or a file is more than a schema can say."""


async def test_the_service_answers_as_its_document_says(
    leads: Deployed, issuer: DevelopmentIssuer, wang: dict[str, Any]
) -> None:
    client = leads.client("administrator")
    uploaded = await client.post("/v1/lead-imports", content=b"phone\n1\n", headers={"Content-Type": "text/csv"})
    key = await client.post("/v1/api-keys", json={"partner_id": "p", "org_path": "/"})
    known = {
        "lead_id": (await client.post("/v1/leads", json=wang)).json()["lead_id"],
        "import_id": uploaded.json()["import_id"],
        "key_id": key.json()["key_id"],
    }
    tried = await asyncio.to_thread(try_everything, leads.url, issuer.token("administrator"), known)
    assert len(tried) == 14
    assert min(tried.values()) >= AT_LEAST


def try_everything(url: str, token: str, known: dict[str, str]) -> dict[str, int]:
    """How many requests each operation got within the budget."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    began = time.monotonic()
    return {
        operation.label: try_operation(operation, token, known, began + BUDGET_S * position / len(operations))
        for position, operation in enumerate(operations, 1)
    }


def try_operation(operation: Any, token: str, known: dict[str, str], until: float) -> int:
    """Where the path wants an id, half of the requests get one that there is."""
    tried = 0

    @settings(
        max_examples=25,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def attempt(case: Any) -> None:
        nonlocal tried
        if tried >= AT_LEAST and time.monotonic() > until:
            return
        tried += 1
        if tried % 2 and (case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE):
            for name in known.keys() & case.path_parameters.keys():
                case.path_parameters[name] = known[name]
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)

    attempt()
    return tried
