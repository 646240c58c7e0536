"""Whatever is sent: answered as the OpenAPI document says, and never with a 500."""

from collections.abc import Callable
from typing import Any

from cordboard_chassis.testing.deployment import Deployed
from cordboard_chassis.testing.openapi import answers_as_documented


async def test_the_service_answers_as_its_document_says(api: Deployed, make_customer: Callable[..., Any]) -> None:
    client = api.client("administrator")
    customer = await make_customer(client, phones=["+8613800138000"], contacts=[{"name": "陈静"}])
    request = {"customer_id": customer["customer_id"], "workspace": "main", "subject": "help"}
    opened = await client.post("/v1/service-requests", json=request)
    known = {
        "customer_id": customer["customer_id"],
        "contact_id": customer["contacts"][0]["contact_id"],
        "phone_id": customer["phones"][0]["phone_id"],
        "service_request_id": opened.json()["service_request_id"],
    }
    assert len(await answers_as_documented(api, known)) == 24
