"""Whatever is sent: answered as the OpenAPI document says, and never with a 500."""

import pytest
from cordboard_chassis.testing.openapi import answers_as_documented

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_service_answers_as_its_document_says(shared):
    endpoint = await shared.endpoint()
    delivery = await shared.admin.post(f"/v1/endpoints/{endpoint['id']}/ping")
    key = await shared.admin.post("/v1/api-keys", json={"partner_id": "acme"})
    known = {
        "endpoint_id": endpoint["id"],
        "delivery_id": delivery.json()["id"],
        "key_id": key.json()["id"],
        "partner_id": "acme",
    }
    # The stream does not end; its tests are in test_stream.
    assert len(await answers_as_documented(shared.deployed, known, leave_out=["stream_events"])) == 16
