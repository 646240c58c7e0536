"""Whatever is sent: answered as the OpenAPI document says, and never with a 500."""

from typing import Any

from cordboard_chassis.testing.deployment import Deployed
from cordboard_chassis.testing.openapi import answers_as_documented


async def test_the_service_answers_as_its_document_says(leads: Deployed, wang: dict[str, Any]) -> None:
    client = leads.client("administrator")
    uploaded = await client.post("/v1/lead-imports", content=b"phone\n1\n", headers={"Content-Type": "text/csv"})
    key = await client.post("/v1/api-keys", json={"partner_id": "p", "org_path": "/"})
    known = {
        "lead_id": (await client.post("/v1/leads", json=wang)).json()["lead_id"],
        "import_id": uploaded.json()["import_id"],
        "key_id": key.json()["key_id"],
    }
    assert len(await answers_as_documented(leads, known)) == 14
