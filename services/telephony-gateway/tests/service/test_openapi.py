"""Whatever is sent: answered as the OpenAPI document says, and never with a 500."""

import pytest
from cordboard_chassis.testing.openapi import answers_as_documented
from gateway_scene import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_service_answers_as_its_document_says(gateway: Gateway) -> None:
    call = await gateway.offer()
    await gateway.connect(call)
    known = {"pbx_id": "pbx-1", "device_id": "1001", "call_id": str(call.call_id)}
    assert len(await answers_as_documented(gateway.deployed, known)) == 19
