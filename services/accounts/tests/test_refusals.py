"""Bad input: a problem that names the field and the reason, nothing changed, never a 500."""

from collections.abc import Callable
from typing import Any

from cordboard_chassis.auth.development import DevelopmentIssuer
from cordboard_chassis.testing.deployment import Deployed, rows
from cordboard_contracts import new_id

NUMBER = "+8613800138000"
LONG = "x" * 100_000
OK = {"kind": "person", "name": "x"}


def cases(customer: dict[str, Any], request_id: str) -> list[tuple[str, str, Any, int, str]]:
    """(method, path, body, status, field) of requests that an agent of /cn/east may not make."""
    path = f"/v1/customers/{customer['customer_id']}"
    nobody, phone = f"/v1/customers/{new_id()}", customer["phones"][0]["phone_id"]
    request = {"customer_id": customer["customer_id"], "workspace": "main", "subject": "x"}
    attributes = {f"a{number}": "" for number in range(51)}
    return [
        # Unknown fields, missing ones, wrong types
        ("POST", "/v1/customers", {**OK, "nickname": "y"}, 422, "nickname"),
        ("POST", "/v1/customers", {"kind": "person"}, 422, "name"),
        ("POST", "/v1/customers", {**OK, "kind": "dog"}, 422, "kind"),
        ("POST", "/v1/customers", {**OK, "name": 5}, 422, "name"),
        ("POST", "/v1/customers", {**OK, "name": None}, 422, "name"),
        ("POST", "/v1/customers", {**OK, "phones": NUMBER}, 422, "phones"),
        ("POST", "/v1/customers", {**OK, "phones": [5]}, 422, "phones.0"),
        ("POST", "/v1/customers", {**OK, "born_on": 5}, 422, "born_on"),
        ("POST", "/v1/customers", {**OK, "born_on": "1984-02-30"}, 422, "born_on"),
        ("POST", "/v1/customers", {**OK, "born_on": "1984-02-29T00:00:00"}, 422, "born_on"),
        ("POST", "/v1/customers", {**OK, "language": "Chinese!"}, 422, "language"),
        ("POST", "/v1/customers", {**OK, "territory": "shanghai"}, 422, "territory"),
        ("POST", "/v1/customers", {**OK, "contacts": [{"name": "x", "age": 5}]}, 422, "contacts.0.age"),
        ("POST", "/v1/customers", [OK], 422, "body"),
        ("PATCH", path, {"name": None}, 422, "name"),
        ("PATCH", path, {"status": "frozen"}, 422, "status"),
        ("PATCH", path, {"kind": "person"}, 422, "kind"),
        ("POST", "/v1/service-requests", {**request, "priority": "5"}, 422, "priority"),
        ("POST", "/v1/service-requests", {**request, "priority": True}, 422, "priority"),
        ("POST", "/v1/service-requests", {**request, "priority": 1001}, 422, "priority"),
        ("POST", "/v1/service-requests", {**request, "skills": {"a b": 5}}, 422, "skills"),
        ("POST", "/v1/service-requests", {**request, "skills": {"a": 101}}, 422, "skills.a"),
        ("POST", "/v1/service-requests", {**request, "workspace": "Main!"}, 422, "workspace"),
        # Absurd sizes
        ("POST", "/v1/customers", {**OK, "name": LONG}, 422, "name"),
        ("POST", "/v1/customers", {**OK, "phones": [NUMBER] * 10_000}, 422, "phones"),
        ("POST", "/v1/customers", {**OK, "contacts": [{"name": "x"}] * 10_000}, 422, "contacts"),
        ("POST", "/v1/customers", {**OK, "name": LONG * 11}, 413, ""),
        ("POST", f"{path}/notes", {"text": LONG}, 422, "text"),
        ("POST", "/v1/service-requests", {**request, "attributes": attributes}, 422, "attributes"),
        ("GET", f"/v1/customers?name={LONG[:5000]}", None, 422, "name"),
        ("GET", "/v1/customers?limit=201", None, 422, "limit"),
        ("GET", f"/v1/callers/{LONG[:1000]}", None, 422, "number"),
        # Values that make no sense
        ("POST", "/v1/customers", {**OK, "name": "   "}, 422, "name"),
        ("POST", "/v1/customers", {**OK, "name": "a\0b"}, 422, "name"),
        ("POST", "/v1/customers", {**OK, "born_on": "1800-01-01"}, 422, "born_on"),
        ("POST", "/v1/customers", {**OK, "kind": "organisation", "born_on": "1984-02-29"}, 422, "born_on"),
        ("PATCH", path, {"born_on": "1984-02-29"}, 422, "born_on"),
        ("POST", f"{path}/contacts", {"name": "x", "email": "nobody"}, 422, "email"),
        ("POST", f"{path}/notes", {"text": " \n"}, 422, "text"),
        ("POST", "/v1/service-requests", {**request, "subject": " "}, 422, "subject"),
        # Phones
        ("POST", "/v1/customers", {**OK, "phones": ["13800138000"]}, 422, "phones.0"),
        ("POST", "/v1/customers", {**OK, "phones": [NUMBER, "hello"]}, 422, "phones.1"),
        ("POST", "/v1/customers", {**OK, "phones": [NUMBER, "138 0013 8000"], "region": "CN"}, 422, "phones.1"),
        ("POST", "/v1/customers", {**OK, "phones": ["13800138000"], "region": "cn"}, 422, "region"),
        ("POST", "/v1/customers", {**OK, "phones": ["13800138000"], "region": "XX"}, 422, "region"),
        ("POST", "/v1/customers", {**OK, "contacts": [{"name": "x", "phones": ["1"]}]}, 422, "contacts.0.phones.0"),
        ("POST", f"{path}/phones", {"number": "13800138000"}, 422, "number"),
        ("POST", f"{path}/phones", {"number": NUMBER}, 409, "number"),
        ("POST", f"{path}/contacts", {"name": "x", "phones": ["13800138000"]}, 422, "phones.0"),
        ("GET", "/v1/callers/13800138000", None, 422, "number"),
        ("GET", "/v1/customers?phone=13800138000", None, 422, "phone"),
        ("GET", "/v1/interactions?number=13800138000", None, 422, "number"),
        # Unknown ids
        ("GET", nobody, None, 404, "customer_id"),
        ("PATCH", nobody, {"tier": "gold"}, 404, "customer_id"),
        ("POST", f"{nobody}/contacts", {"name": "x"}, 404, "customer_id"),
        ("POST", f"{nobody}/phones", {"number": NUMBER}, 404, "customer_id"),
        ("POST", f"{nobody}/notes", {"text": "x"}, 404, "customer_id"),
        ("GET", f"{nobody}/interactions", None, 404, "customer_id"),
        ("DELETE", f"{nobody}/phones/{phone}", None, 404, "customer_id"),
        ("DELETE", f"{path}/phones/{new_id()}", None, 404, "phone_id"),
        ("DELETE", f"{path}/contacts/{new_id()}", None, 404, "contact_id"),
        ("PATCH", f"{path}/contacts/{new_id()}", {"name": "x"}, 404, "contact_id"),
        ("POST", f"{path}/phones", {"number": "+8613800138009", "contact_id": str(new_id())}, 404, "contact_id"),
        ("GET", f"/v1/interactions/{new_id()}", None, 404, "interaction_id"),
        ("POST", "/v1/service-requests", {**request, "customer_id": str(new_id())}, 404, "customer_id"),
        ("GET", f"/v1/service-requests/{new_id()}", None, 404, "service_request_id"),
        ("POST", f"/v1/service-requests/{new_id()}/resolve", {}, 404, "service_request_id"),
        ("POST", f"/v1/service-requests/{request_id}/resolve", {}, 409, ""),
        ("GET", "/v1/customers/not-an-id", None, 422, "customer_id"),
        # Foreign places, roles
        ("POST", "/v1/customers", {**OK, "org_path": "/cn/west"}, 403, "org_path"),
        ("POST", "/v1/customers", {**OK, "org_path": "/"}, 403, "org_path"),
        ("POST", "/v1/customers", {**OK, "org_path": "/cn/eastern"}, 403, "org_path"),
        ("POST", "/v1/customers", {**OK, "org_path": "cn"}, 422, "org_path"),
        ("GET", "/v1/customers?org_path=/cn/west", None, 403, "org_path"),
        ("GET", "/v1/interactions?org_path=/", None, 403, "org_path"),
        ("POST", f"{path}/freeze", {"reason": "x"}, 403, ""),
        ("GET", f"{path}/audit", None, 403, ""),
        # Queries
        ("GET", "/v1/customers?nam=x", None, 422, "nam"),
        ("GET", "/v1/customers?cursor=nonsense", None, 422, "cursor"),
        ("GET", "/v1/interactions?started_from=yesterday", None, 422, "started_from"),
        ("GET", "/v1/interactions?started_from=2026-11-02T12:00:00", None, 422, "started_from"),
    ]  # fmt: skip


async def test_bad_requests_are_explained_and_change_nothing(api: Deployed, make_customer: Callable[..., Any]) -> None:
    client = api.client("agent", "/cn/east")
    customer = await make_customer(client, phones=[NUMBER])
    body = {"customer_id": customer["customer_id"], "workspace": "main", "subject": "x"}
    request_id = (await client.post("/v1/service-requests", json=body)).json()["service_request_id"]
    await client.post(f"/v1/service-requests/{request_id}/cancel", json={"reason": "x"})
    before = await everything(api)
    wrong = []
    for method, path, given, status, field in cases(customer, request_id):
        headers = {"If-Match": "*"} if method == "PATCH" else {}
        answer = await client.request(method, path, json=given, headers=headers)
        problem = answer.json()
        fields = {error["field"]: error["reason"] for error in problem.get("errors", [])}
        if (
            answer.status_code != status
            or answer.headers["Content-Type"] != "application/problem+json"
            or problem["status"] != status
            or not problem["detail"]
            or (field and not any(name == field or name.startswith(field + ".") for name in fields))
            or not all(fields.values())
        ):
            wrong.append((method, path[:80], str(given)[:80], f"wanted {status} {field}", problem))
    assert not wrong
    assert await everything(api) == before


async def test_nothing_is_done_without_a_token_that_holds(
    api: Deployed, issuer: DevelopmentIssuer, tmp_path: Any
) -> None:
    forger = DevelopmentIssuer(tmp_path / "forger")
    tokens = {
        "none": (None, 401),
        "expired": (issuer.token("agent", "/cn", lifetime_s=-60), 401),
        "forged": (forger.token("agent", "/cn"), 401),
        "another house's": (issuer.token("agent", "/cn", iss="https://elsewhere.example"), 401),
        "nonsense": ("abc", 401),
        "without a place": (issuer.token("agent", "nowhere"), 401),
        "a partner's": (issuer.token("partner", "/cn", partner_id="p1"), 403),
        "without a role": (issuer.token([], "/cn"), 403),
    }
    for kind, (token, status) in tokens.items():
        client = api.bare_client({"Authorization": f"Bearer {token}"} if token else {})
        for answer in (
            await client.post("/v1/customers", json=OK),
            await client.get("/v1/customers"),
            await client.get(f"/v1/callers/{NUMBER}"),
        ):
            problem = answer.json()
            assert (answer.status_code, problem["status"]) == (status, status), kind
            assert problem["detail"], kind
    assert await rows(api.database, "SELECT * FROM customers") == []


async def everything(api: Deployed) -> dict[str, list[dict[str, Any]]]:
    """All that is stored."""
    tables = ("customers", "contacts", "phones", "notes", "service_requests", "audit_entries", "outbox")
    return {table: await rows(api.database, f"SELECT * FROM {table} ORDER BY 1") for table in tables}
