"""Leads over HTTP: sent in, read, changed, rejected, withdrawn; what is written and told."""

from typing import Any

import pytest
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, Deployment
from cordboard_contracts.leads import LeadRejected, LeadStatus, LeadSubmitted, LeadUpdated
from leads.app import build
from leads.settings import LeadsSettings

WANG = {
    "name": "王芳",
    "company": "云帆科技",
    "phone": "138 0013 8000",
    "region": "CN",
    "language": "zh-CN",
    "territory": "CN-31",
    "interest": "企业宽带",
    "attributes": {"campaign": "autumn"},
    "priority": 5,
}


@pytest.fixture
async def leads(bus: TestBus, deploy: Deployment) -> Deployed:
    return await deploy(build, LeadsSettings)


async def submit(client: Any, **changes: Any) -> dict[str, Any]:
    response = await client.post("/v1/leads", json={**WANG, **changes})
    assert response.status_code in {200, 201}, response.text
    return dict(response.json())


async def test_a_lead_is_stored_told_and_routed(leads: Deployed, bus: TestBus) -> None:
    client = leads.client("supervisor", "/cn/east")
    response = await client.post("/v1/leads", json=WANG)
    assert response.status_code == 201
    body = response.json()
    lead = body["lead"]
    assert body["duplicate_of"] is None
    assert response.headers["Location"] == f"/v1/leads/{body['lead_id']}"
    assert response.headers["ETag"] == '"1"'
    assert (lead["phone"], lead["org_path"], lead["workspace"]) == ("+8613800138000", "/cn/east", "main")
    assert (lead["status"], lead["source"], lead["owner_agent_id"]) == ("submitted", "web", None)

    told = await bus.expect(LeadSubmitted)
    assert (told.subject, told.sequence, told.orgpath, told.workspace) == (body["lead_id"], 1, "/cn/east", "main")
    assert (told.data.lead.name, told.data.lead.phone) == ("王芳", "+8613800138000")
    assert told.data.lead.status is LeadStatus.SUBMITTED

    read = await client.get(f"/v1/leads/{body['lead_id']}")
    assert (read.json(), read.headers["ETag"]) == (lead, '"1"')
