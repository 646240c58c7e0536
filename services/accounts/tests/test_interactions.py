"""The history: any order of a call's events ends in the same row, told once, at the right customer."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from accounts.app import build
from accounts.consumers import interaction_of
from accounts.settings import AccountsSettings
from accounts.usecases.record_interactions import record_interactions
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, Deployment, eventually, rows
from cordboard_contracts import new_id
from cordboard_contracts.accounts import InteractionRecorded
from cordboard_contracts.telephony import (
    AgentConnection,
    Call,
    CallAlerting,
    CallAnswered,
    CallAttributesChanged,
    CallCleared,
    CallOffered,
    ConnectionState,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

NUMBER = "+8613800138000"


def life(make_call: Callable[..., Any], number: str | None, answered: bool) -> list[Call]:
    """Each version of a call, in order; the keys pressed are noticed only after its end."""
    call_id = new_id()
    agents = ["a1002", "a1001"] if answered else []
    versions = [make_call(number, call_id=call_id)]
    versions += [make_call(number, call_id=call_id, answered_by=agents[:count]) for count in range(1, len(agents) + 1)]
    cleared = make_call(number, call_id=call_id, answered_by=agents, cleared=True)
    return [*versions, cleared, cleared.model_copy(update={"attributes": {"digits": "1"}})]


async def test_any_order_with_duplicates_ends_in_the_same_row(
    api: Deployed, make_customer: Callable[..., Any], make_call: Callable[..., Any]
) -> None:
    await make_customer(api.client("agent", "/cn/east"), phones=[NUMBER])

    async def run(versions: list[Call], order: list[int]) -> dict[str, Any]:
        call_id = new_id()
        for position in order:
            call = versions[position].model_copy(update={"call_id": call_id})
            async with api.database.transaction() as uow:
                await record_interactions(uow, [interaction_of(call, position + 1)])
        (row,) = await rows(api.database, "SELECT * FROM interactions WHERE interaction_id = :id", id=call_id)
        told = await rows(
            api.database,
            "SELECT body FROM outbox WHERE type = :type AND body::jsonb ->> 'subject' = :id",
            type=InteractionRecorded.type,
            id=str(call_id),
        )
        assert len(told) == 1, "told exactly once"
        return row | {"interaction_id": None}

    loop = asyncio.get_running_loop()

    @settings(max_examples=25, deadline=None)
    @given(data=st.data(), answered=st.booleans(), number=st.sampled_from([NUMBER, "+8613800138999", None]))
    def check(data: st.DataObject, answered: bool, number: str | None) -> None:
        versions = life(make_call, number, answered)
        order = list(range(len(versions)))
        again = data.draw(st.lists(st.sampled_from(order), max_size=4))
        shuffled = data.draw(st.permutations(order + again))
        row, other = (
            asyncio.run_coroutine_threadsafe(run(versions, each), loop).result(60) for each in (order, shuffled)
        )
        assert other == row
        assert row["agent_ids"] == (["a1002", "a1001"] if answered else [])
        assert row["outcome"] == ("answered" if answered else "abandoned")
        assert row["recorded"]
        assert (row["customer_id"] is not None) == (number == NUMBER)

    await asyncio.to_thread(check)


async def test_agents_are_those_who_spoke_with_the_customer(make_call: Callable[..., Any]) -> None:
    call: Call = make_call(NUMBER, answered_by=["a1001"], cleared=True)
    at = call.offered_at
    common: dict[str, Any] = {
        "connection_id": new_id(),
        "device_id": "1",
        "state": ConnectionState.CLEARED,
        "initiated_at": at,
    }
    others = (
        AgentConnection(agent_id="rang-only", **common),
        AgentConnection(agent_id="adviser", answered_at=at, consultation=True, **common),
        AgentConnection(agent_id="second", answered_at=at, joined_at=at + timedelta(seconds=50), **common),
        AgentConnection(agent_id=None, answered_at=at, **common),
    )
    call = call.model_copy(update={"connections": (*others, *call.connections)})
    assert interaction_of(call, 1).agent_ids == ("a1001", "second")


async def test_a_cleared_call_stands_in_the_history_of_its_customer(
    accounts: Deployed, bus: TestBus, make_customer: Callable[..., Any], make_call: Callable[..., Any]
) -> None:
    client = accounts.client("agent", "/cn/east")
    made = await make_customer(client, phones=[NUMBER])
    offered = make_call(NUMBER)
    answered = make_call(NUMBER, call_id=offered.call_id, answered_by=["a1001"])
    cleared = make_call(NUMBER, call_id=offered.call_id, answered_by=["a1001"], cleared=True)
    leg = answered.connections[0].connection_id
    await bus.publish(CallOffered(call=offered), subject=offered.call_id, sequence=1, orgpath=offered.org_path)

    async def now() -> dict[str, Any]:
        answer = await client.get(f"/v1/interactions/{offered.call_id}")
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    assert (await eventually(now))["outcome"] == "waiting"
    end = await bus.publish(CallCleared(call=cleared), subject=offered.call_id, sequence=4, orgpath=offered.org_path)
    await bus.publish(
        CallAnswered(call=answered, connection_id=leg), subject=offered.call_id, sequence=3, orgpath=offered.org_path
    )
    await bus.publish(
        CallAlerting(call=offered, connection_id=leg), subject=offered.call_id, sequence=2, orgpath=offered.org_path
    )
    await bus.send(end)
    told = await bus.expect(InteractionRecorded)
    await bus.publish(
        CallAttributesChanged(call=cleared), subject=offered.call_id, sequence=5, orgpath=offered.org_path
    )
    assert (told.subject, told.sequence, told.orgpath) == (str(offered.call_id), 4, "/cn/east/shanghai")
    interaction = told.data.interaction
    assert (str(interaction.customer_id), interaction.agent_ids) == (made["customer_id"], ("a1001",))
    assert (told.causationid, told.correlationid) == (end.id, end.correlationid)

    async def all_seen() -> bool:
        (row,) = await rows(accounts.database, "SELECT count(*) AS seen FROM inbox")
        assert row["seen"] == 5
        return True

    await eventually(all_seen)
    assert len(bus.said(InteractionRecorded)) == 1
    history = (await client.get(f"/v1/customers/{made['customer_id']}/interactions")).json()["items"]
    assert [(item["interaction_id"], item["wait_s"], item["talk_s"]) for item in history] == [
        (str(offered.call_id), 10, 90)
    ]


async def test_lists_are_filtered_and_paged(api: Deployed, make_call: Callable[..., Any]) -> None:
    first = make_call(NUMBER, cleared=True)
    async with api.database.transaction() as uow:
        for minute in range(5):
            at = first.offered_at + timedelta(minutes=minute)
            agents = ["a1001"] if minute % 2 else []
            call = make_call(NUMBER if minute < 3 else None, answered_by=agents, cleared=True, at=at)
            await record_interactions(uow, [interaction_of(call, 1)])
    client = api.client("agent", "/cn/east/shanghai")
    query: dict[str, Any] = {"started_from": "2026-11-02T12:01:00Z", "limit": 3}
    page = (await client.get("/v1/interactions", params=query)).json()
    following = (await client.get("/v1/interactions", params={**query, "cursor": page["next_cursor"]})).json()
    minutes = [item["started_at"][14:16] for item in page["items"] + following["items"]]
    assert (minutes, following["next_cursor"]) == (["04", "03", "02", "01"], None)
    numbered = await client.get("/v1/interactions", params={"number": "13800138000", "region": "CN"})
    assert len(numbered.json()["items"]) == 3
    abandoned = await client.get("/v1/interactions", params={"outcome": "abandoned", "org_path": "/cn/east/shanghai"})
    assert len(abandoned.json()["items"]) == 3
    elsewhere = api.client("agent", "/cn/west")
    assert (await elsewhere.get("/v1/interactions")).json()["items"] == []
    one = page["items"][0]["interaction_id"]
    assert (await elsewhere.get(f"/v1/interactions/{one}")).status_code == 404


async def test_who_becomes_a_customer_gets_the_earlier_calls(
    api: Deployed, make_customer: Callable[..., Any], make_call: Callable[..., Any]
) -> None:
    client = api.client("agent", "/cn/east")
    calls = [make_call(NUMBER, cleared=True) for _ in range(3)] + [make_call("+8613800138001", cleared=True)]
    running = make_call(NUMBER)
    async with api.database.transaction() as uow:
        for call in [*calls, running]:
            await record_interactions(uow, [interaction_of(call, 1)])
    made = await make_customer(client, contacts=[{"name": "陈静", "phones": [NUMBER]}])
    history = (await client.get(f"/v1/customers/{made['customer_id']}/interactions")).json()["items"]
    assert {item["interaction_id"] for item in history} == {str(call.call_id) for call in calls[:3]}
    assert {item["contact_id"] for item in history} == {made["contacts"][0]["contact_id"]}
    other = await make_customer(client, name="other", phones=[NUMBER])
    others = (await client.get(f"/v1/customers/{other['customer_id']}/interactions")).json()["items"]
    assert others == [], "they are somebody's by now"
    await client.post(f"/v1/customers/{made['customer_id']}/phones", json={"number": "+8613800138001"})
    history = (await client.get(f"/v1/customers/{made['customer_id']}/interactions")).json()["items"]
    assert len(history) == 4


async def test_a_customer_made_while_their_call_ends_gets_it(
    api: Deployed, make_customer: Callable[..., Any], make_call: Callable[..., Any]
) -> None:
    client = api.client("agent", "/cn/east")
    for number in range(5):
        phone = f"+861380013810{number}"
        call = make_call(phone, cleared=True)

        async def clear(call: Call = call) -> None:
            async with api.database.transaction() as uow:
                await record_interactions(uow, [interaction_of(call, 1)])
                # The transaction has other work to do before it commits.
                await uow.execute(text("SELECT pg_sleep(0.05)"))

        _, made = await asyncio.gather(clear(), make_customer(client, phones=[phone]))
        history = (await client.get(f"/v1/customers/{made['customer_id']}/interactions")).json()["items"]
        assert [item["interaction_id"] for item in history] == [str(call.call_id)]


async def test_two_replicas_share_the_queue(deploy: Deployment, bus: TestBus, make_call: Callable[..., Any]) -> None:
    first = await deploy(build, AccountsSettings)
    await deploy(build, AccountsSettings)
    calls = [make_call(f"+86138001{number:05}", answered_by=["a1001"]) for number in range(40)]
    for call in calls:
        cleared = make_call(call.from_number, call_id=call.call_id, answered_by=["a1001"], cleared=True)
        leg = call.connections[0].connection_id
        for sequence, event in enumerate(
            (CallOffered(call=call), CallAnswered(call=call, connection_id=leg), CallCleared(call=cleared)), 1
        ):
            envelope = await bus.publish(event, subject=call.call_id, sequence=sequence, orgpath=call.org_path)
            if sequence == 2:
                await bus.send(envelope)
    await bus.expect(InteractionRecorded, count=len(calls), timeout_s=20)

    async def done() -> bool:
        (row,) = await rows(first.database, "SELECT count(*) AS seen FROM inbox")
        assert row["seen"] == 3 * len(calls)
        return True

    await eventually(done, timeout_s=20)
    told = Counter(envelope.subject for envelope in bus.said(InteractionRecorded))
    assert told == Counter(str(call.call_id) for call in calls), "each once"
    stored = await rows(first.database, "SELECT sequence, outcome, recorded FROM interactions")
    assert {(row["sequence"], row["outcome"], row["recorded"]) for row in stored} == {(3, "answered", True)}
    assert len(stored) == len(calls)
    assert await rows(first.database, "SELECT * FROM parked_messages") == []
