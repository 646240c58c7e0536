"""Service requests: opened, assigned by routing's word, ended once, each step told to the workspace."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from accounts.domain.rules import RuleBroken
from accounts.domain.service_requests import ENDED, RequestStatus, ServiceRequest, assign, end
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, eventually, rows
from cordboard_contracts import new_id
from cordboard_contracts.accounts import (
    ServiceRequestAssigned,
    ServiceRequestCancelled,
    ServiceRequestOpened,
    ServiceRequestResolved,
)
from cordboard_contracts.routing import (
    Assignment,
    AssignmentAccepted,
    AssignmentState,
    WorkItem,
    WorkItemState,
    WorkKind,
)
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


def accepted(subject_id: str, agent_id: str, kind: WorkKind = WorkKind.SERVICE_REQUEST) -> AssignmentAccepted:
    item = WorkItem(
        work_item_id=new_id(),
        workspace="main",
        org_path="/cn/east",
        kind=kind,
        subject_id=UUID(subject_id),
        state=WorkItemState.ACCEPTED,
        queue="service",
        priority=0,
        submitted_at=NOW,
    )
    assignment = Assignment(
        assignment_id=new_id(),
        work_item_id=item.work_item_id,
        workspace="main",
        org_path="/cn/east",
        agent_id=agent_id,
        token=1,
        state=AssignmentState.ACCEPTED,
        offered_at=NOW,
        expires_at=NOW + timedelta(seconds=20),
        accepted_at=NOW,
    )
    return AssignmentAccepted(assignment=assignment, work_item=item)


async def test_the_life_of_a_service_request(
    accounts: Deployed, bus: TestBus, make_customer: Callable[..., Any]
) -> None:
    client = accounts.client("agent", "/cn", agent_id="a1001")
    made = await make_customer(client, org_path="/cn/east", language="zh-CN", territory="CN-31")
    body = {
        "customer_id": made["customer_id"],
        "workspace": "main",
        "subject": "更换终端",
        "priority": 10,
        "skills": {"repairs": 40},
        "attributes": {"model": "T-800"},
        "territory": "CN-31-0115",
    }
    opened = await client.post("/v1/service-requests", json=body, headers={"Idempotency-Key": "one"})
    again = await client.post("/v1/service-requests", json=body, headers={"Idempotency-Key": "one"})
    assert (opened.status_code, again.json()) == (201, opened.json())
    path, request_id = opened.headers["Location"], opened.json()["service_request_id"]
    told = await bus.expect(ServiceRequestOpened)
    assert (told.subject, told.sequence, told.workspace, told.orgpath) == (request_id, 1, "main", "/cn/east")
    request = told.data.service_request
    assert (request.language, request.territory, request.skills) == ("zh-CN", "CN-31-0115", {"repairs": 40})
    assert (request.customer_name, request.status, request.agent_id) == (made["name"], "open", None)

    await bus.publish(accepted(request_id, "a1002"), subject="x", sequence=3, orgpath="/cn/east", workspace="main")
    assigned = await bus.expect(ServiceRequestAssigned)
    assert (assigned.sequence, assigned.workspace) == (2, "main")
    assert (assigned.data.service_request.agent_id, assigned.data.service_request.status) == ("a1002", "assigned")
    await bus.publish(accepted(request_id, "a1009"), subject="x", sequence=2, orgpath="/cn/east", workspace="main")
    await bus.publish(accepted(str(new_id()), "a1009", WorkKind.CALL), subject="x", orgpath="/cn/east")
    unknown = await bus.publish(accepted(str(new_id()), "a1009"), subject="x", orgpath="/cn/east")

    async def refused() -> bool:
        found = await rows(accounts.database, "SELECT event_id, code FROM refused_messages")
        assert found == [{"event_id": unknown.id, "code": "not-found"}]
        return True

    await eventually(refused)
    now = await client.get(path)
    assert (now.json()["agent_id"], now.headers["ETag"]) == ("a1002", '"2"'), "older news changes nothing"

    done = await client.post(f"{path}/resolve", json={"resolution": "replaced"})
    assert (done.status_code, done.json()["status"], done.headers["ETag"]) == (200, "resolved", '"3"')
    assert done.json()["ended_at"] is not None
    ended = await bus.expect(ServiceRequestResolved)
    assert (ended.sequence, ended.workspace, ended.data.service_request.agent_id) == (3, "main", "a1002")
    for verb, words in (("resolve", {}), ("cancel", {"reason": "x"})):
        late = await client.post(f"{path}/{verb}", json=words)
        assert (late.status_code, late.json()["code"]) == (409, "service-request-ended")


async def test_a_request_is_cancelled_and_lists_are_filtered(
    accounts: Deployed, bus: TestBus, make_customer: Callable[..., Any]
) -> None:
    client = accounts.client("agent", "/cn/east")
    made, other = await make_customer(client), await make_customer(client, name="other")
    ids = []
    for customer, workspace in ((made, "main"), (made, "north"), (other, "main")):
        body = {"customer_id": customer["customer_id"], "workspace": workspace, "subject": "x"}
        ids.append((await client.post("/v1/service-requests", json=body)).json()["service_request_id"])
    cancelled = await client.post(f"/v1/service-requests/{ids[0]}/cancel", json={"reason": "sold the shop"})
    assert (cancelled.json()["status"], cancelled.json()["resolution"]) == ("cancelled", "sold the shop")
    told = await bus.expect(ServiceRequestCancelled)
    assert (told.subject, told.sequence, told.workspace) == (ids[0], 2, "main")

    async def listed(**query: Any) -> list[str]:
        answer = await client.get("/v1/service-requests", params=query)
        return [item["service_request_id"] for item in answer.json()["items"]]

    assert await listed() == ids[::-1]
    assert await listed(status="open") == ids[:0:-1]
    assert await listed(customer_id=made["customer_id"], workspace="main") == [ids[0]]
    page = (await client.get("/v1/service-requests", params={"limit": 2})).json()
    assert await listed(limit=2, cursor=page["next_cursor"]) == [ids[0]]
    elsewhere = accounts.client("agent", "/cn/west")
    assert (await elsewhere.get("/v1/service-requests")).json()["items"] == []
    assert (await elsewhere.post(f"/v1/service-requests/{ids[1]}/resolve", json={})).status_code == 404


steps = st.lists(
    st.one_of(
        st.tuples(st.just("assign"), st.sampled_from(["a1", "a2"]), st.integers(1, 9)),
        st.tuples(st.sampled_from([RequestStatus.RESOLVED, RequestStatus.CANCELLED]), st.just(""), st.just(0)),
    )
)


@given(steps)
def test_an_ended_request_stays_as_it_is_and_the_newest_word_wins(taken: list[tuple[Any, str, int]]) -> None:
    request = ServiceRequest(
        service_request_id=new_id(),
        workspace="main",
        org_path="/",
        customer_id=new_id(),
        customer_name="x",
        subject="x",
        priority=0,
        opened_at=NOW,
    )
    newest = 0
    for step, agent_id, sequence in taken:
        before = request
        if step == "assign":
            request = assign(request, agent_id, sequence)
            if before.status not in ENDED and sequence > newest:
                newest = sequence
                assert (request.status, request.agent_id) == (RequestStatus.ASSIGNED, agent_id)
            else:
                assert request == before
        elif before.status in ENDED:
            with pytest.raises(RuleBroken):
                end(request, step, "", NOW)
        else:
            request = end(request, step, "", NOW)
            assert (request.status, request.agent_id, request.ended_at) == (step, before.agent_id, NOW)
