"""Whatever is sent: answered as the OpenAPI document says, and never with a 500."""

from cordboard_chassis.testing.openapi import answers_as_documented


async def test_the_service_answers_as_its_document_says(new_centre):
    centre = new_centre
    await centre.agent("a1001")
    call = centre.call()
    await call.tell(call.offer())
    assignment = (await centre.offered(call.call_id)).assignment
    known = {
        "workspace_id": "main",
        "workspace": "main",
        "queue_id": "default",
        "queue": "default",
        "calendar_id": "office",
        "version": "1",
        "agent_id": "a1001",
        "work_item_id": str(assignment.work_item_id),
        "assignment_id": str(assignment.assignment_id),
    }
    assert len(await answers_as_documented(centre.deployed, known)) == 44
