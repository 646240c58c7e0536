"""The look-up of a caller: who it finds, in what order, and what it costs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from accounts.consumers import interaction_of
from accounts.storage.queries import callers_statement
from accounts.usecases.record_interactions import record_interactions
from cordboard_chassis.database import Database
from cordboard_chassis.testing.deployment import Deployed
from sqlalchemy import event, text

NUMBER = "+8613800138000"

_MANY = (
    """
    INSERT INTO customers (customer_id, org_path, kind, status, name, name_key, version, created_at, updated_at)
    SELECT gen_random_uuid(), '/cn/branch-' || n % 50, 'person', 'active', 'p' || n, 'p' || n, 1, now(), now()
    FROM generate_series(1, 20000) AS n
    """,
    """
    INSERT INTO contacts (contact_id, customer_id, org_path, name, role)
    SELECT gen_random_uuid(), customer_id, org_path, name, '' FROM customers
    """,
    """
    INSERT INTO phones (phone_id, number, customer_id, contact_id, org_path)
    SELECT gen_random_uuid(), '+861390000' || lpad(substr(name, 2), 5, '0'), customer_id, contact_id, org_path
    FROM contacts
    """,
    "ANALYZE customers, phones, contacts",
)


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """The statements on the service's own tables that run within the block."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN;"):
            seen.append(statement)

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every node of an execution plan."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def test_a_look_up_is_one_index_hit(api: Deployed) -> None:
    owner = Database(api.settings.migration_url or "", service="accounts")
    async with owner.transaction() as uow:
        for statement in _MANY:
            await uow.execute(text(statement))
    await owner.close()
    for scope in ("/", "/cn/branch-7"):
        for called_at in ("/", "/cn/branch-7"):
            compiled = callers_statement("+86139000000057", scope, called_at).compile(
                dialect=api.database.engine.dialect, compile_kwargs={"literal_binds": True}
            )
            async with api.database.transaction(scope) as uow:
                found = await uow.connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled}")
                plan = found.scalar_one()[0]["Plan"]
            on_phones = [node for node in nodes(plan) if node.get("Relation Name") == "phones"]
            assert [node["Node Type"] for node in on_phones] in (["Index Scan"], ["Index Only Scan"])
            assert on_phones[0]["Index Name"] == "phones_number"
            assert "number = '+86139000000057'" in on_phones[0]["Index Cond"]
            scans = {node["Node Type"] for node in nodes(plan) if "Scan" in node["Node Type"]}
            assert "Seq Scan" not in scans, plan


async def test_a_card_costs_two_statements(
    api: Deployed, make_customer: Callable[..., Any], make_call: Callable[..., Any]
) -> None:
    client = api.client("agent", "/cn/east")
    made = await make_customer(
        client,
        name="远洋",
        contacts=[{"name": "陈静", "role": "采购", "phones": [NUMBER]}, {"name": "李雷", "phones": ["+8613800138001"]}],
    )
    calls = [make_call(NUMBER, answered_by=["a1001"], cleared=True, org_path="/cn/east") for _ in range(3)]
    async with api.database.transaction() as uow:
        for call in calls:
            await record_interactions(uow, [interaction_of(call, 5)])
    with statements(api.database) as seen:
        answer = await client.get("/v1/callers/138 0013 8000", params={"region": "CN", "interactions": 2})
    assert answer.status_code == 200, answer.text
    assert len(seen) == 2, seen
    card = answer.json()
    (match,) = card["matches"]
    assert (card["number"], match["customer"]["name"], match["contact"]["name"]) == (NUMBER, "远洋", "陈静")
    assert match["customer"]["customer_id"] == made["customer_id"]
    assert [interaction["outcome"] for interaction in match["last_interactions"]] == ["answered", "answered"]
    assert match["last_interactions"][0]["contact_id"] == match["contact"]["contact_id"]
    assert match["last_interactions"][0]["talk_s"] == 90
    with statements(api.database) as seen:
        unknown = await client.get("/v1/callers/+8613899999999")
    assert (unknown.status_code, unknown.json()["matches"], len(seen)) == (200, [], 1)


async def test_a_shared_number_finds_everybody_best_first(api: Deployed, make_customer: Callable[..., Any]) -> None:
    client, leader = api.client("agent", "/cn"), api.client("supervisor", "/cn")
    frozen = await make_customer(client, name="frozen", phones=[NUMBER])
    await make_customer(client, name="a contact's", contacts=[{"name": "x", "phones": [NUMBER]}])
    await make_customer(client, name="its own", phones=[NUMBER], org_path="/cn/west")
    both = {"name": "its own and a contact's", "phones": [NUMBER], "contacts": [{"name": "y", "phones": [NUMBER]}]}
    await make_customer(client, **both)
    await leader.post(f"/v1/customers/{frozen['customer_id']}/freeze", json={"reason": "x"})
    matches = (await client.get(f"/v1/callers/{NUMBER}")).json()["matches"]
    assert [(match["customer"]["name"], (match["contact"] or {}).get("name")) for match in matches] == [
        ("its own", None),
        ("its own and a contact's", "y"),
        ("a contact's", "x"),
        ("frozen", None),
    ]
    # A call is linked to a customer on its own line of the organisation before those of other branches.
    async with api.database.transaction() as uow:
        rows = await uow.all(callers_statement(NUMBER, "/", "/cn/west/chengdu"))
    assert [row.name for row in rows][:2] == ["its own", "its own and a contact's"]
    async with api.database.transaction() as uow:
        rows = await uow.all(callers_statement(NUMBER, "/", "/cn/east"))
    assert [row.name for row in rows] == [
        "its own and a contact's", "a contact's", "its own and a contact's", "frozen", "its own"
    ]  # fmt: skip


async def test_a_switchboard_of_many_customers_is_bounded(api: Deployed, make_customer: Callable[..., Any]) -> None:
    client = api.client("agent", "/cn")
    for number in range(23):
        await make_customer(client, name=f"c{number}", phones=[NUMBER])
    matches = (await client.get(f"/v1/callers/{NUMBER}")).json()["matches"]
    assert [match["customer"]["name"] for match in matches] == [f"c{number}" for number in range(20)]
