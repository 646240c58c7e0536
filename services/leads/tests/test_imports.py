"""Leads from files: good lines are taken, bad ones are told, and the same file again makes nothing twice."""

import asyncio
from typing import Any

import httpx2
import pytest
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, rows
from cordboard_contracts.leads import LeadSource, LeadSubmitted

CSV = {"Content-Type": "text/csv"}
FILE = (
    "姓名,手机,公司,邮箱,优先级,生日\n"
    "王芳,138 0013 8000,云帆科技,,10,1990-05-17\n"
    "李雷,,,li@example.cn,,\n"
    "韩梅梅,12,,,,\n"
    "张伟,,,,,\n"
    "陈静,13900000001,,nobody,2000,\n"
    "赵敏,+86 138-0013-8000,,,,\n"
    "Jürgen Groß,+49 30 901820,,,,\n"
)


async def upload(
    client: httpx2.AsyncClient, content: str | bytes, headers: dict[str, str] | None = None, **query: Any
) -> httpx2.Response:
    body = content.encode() if isinstance(content, str) else content
    return await client.post("/v1/lead-imports", content=body, headers=headers or CSV, params=query)


async def test_good_lines_are_taken_and_bad_ones_told(leads: Deployed, bus: TestBus) -> None:
    client = leads.client("supervisor", "/cn/east", subject="boss")
    response = await upload(client, FILE, region="CN", workspace="north", file_name="展会.csv")
    assert response.status_code == 201, response.text
    done = response.json()
    assert (done["rows"], done["created"], done["duplicates"], done["rejected"]) == (7, 3, 1, 3)
    assert (done["file_name"], done["encoding"], done["ignored_columns"]) == ("展会.csv", "utf-8", ["生日"])
    assert [(error["line"], error["field"]) for error in done["errors"]] == [
        (4, "phone"),
        (5, "phone"),
        (6, "priority"),
    ]
    assert all(error["reason"] for error in done["errors"])

    listed = {lead["name"]: lead for lead in (await client.get("/v1/leads")).json()["items"]}
    assert set(listed) == {"王芳", "李雷", "Jürgen Groß"}
    assert done["duplicate_rows"] == [{"line": 7, "duplicate_of": listed["王芳"]["lead_id"]}]
    wang = listed["王芳"]
    assert (wang["phone"], wang["company"], wang["priority"]) == ("+8613800138000", "云帆科技", 10)
    assert (wang["source"], wang["workspace"], wang["org_path"]) == ("csv", "north", "/cn/east")
    told = await bus.expect(LeadSubmitted, count=3)
    assert (told.data.lead.source, told.workspace) == (LeadSource.CSV, "north")

    read = await client.get(response.headers["Location"])
    assert read.json() == done
    assert (await client.get("/v1/lead-imports")).json()["items"] == [done]
    entries = await rows(leads.database, "SELECT DISTINCT action, actor FROM audit_entries")
    assert entries == [{"action": "submitted", "actor": "boss"}]


async def test_the_same_file_again_makes_nothing_twice(leads: Deployed, bus: TestBus) -> None:
    client = leads.client("supervisor", "/cn/east")
    first = (await upload(client, FILE)).json()  # without a region, national numbers are none
    assert (first["created"], first["rejected"]) == (3, 4)
    again = await upload(client, FILE, file_name="another name.csv")
    assert (again.status_code, again.json()) == (200, first)

    # Even after its leads are over, and read differently: what was taken once is not taken again.
    for lead in (await client.get("/v1/leads")).json()["items"]:
        assert (await client.post(f"/v1/leads/{lead['lead_id']}/reject", json={"reason": "x"})).status_code == 200
    other = await upload(client, FILE, region="CN")
    assert other.status_code == 201
    second = other.json()
    # 王芳's own line failed before and is good now.
    assert (second["created"], second["duplicates"], second["rejected"]) == (1, 3, 3)
    assert {row["line"] for row in second["duplicate_rows"]} == {3, 7, 8}
    assert all(row["duplicate_of"] for row in second["duplicate_rows"])
    assert await rows(leads.database, "SELECT count(*) FROM leads") == [{"count": 4}]

    # Another part of the organisation has its own leads.
    assert (await upload(leads.client("supervisor", "/us"), FILE)).json()["created"] == 3


async def test_two_uploads_at_once_are_one(leads: Deployed) -> None:
    client = leads.client("supervisor")
    content = "phone\n" + "".join(f"+861380013{number:04}\n" for number in range(200))
    assert (await client.get("/v1/lead-imports")).json()["items"] == []
    answers = await asyncio.gather(*(upload(client, content) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert {answer.json()["import_id"] for answer in answers} == {answers[0].json()["import_id"]}
    assert await rows(leads.database, "SELECT count(*) FROM leads") == [{"count": 200}]


async def test_open_leads_are_not_doubled_by_a_file(leads: Deployed, wang: dict[str, Any]) -> None:
    client = leads.client("supervisor", "/cn/east")
    known = (await client.post("/v1/leads", json=wang)).json()["lead_id"]
    done = (await upload(client, "name;phone\nWang;+8613800138000\n")).json()
    assert (done["created"], done["duplicate_rows"]) == (0, [{"line": 2, "duplicate_of": known}])


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (FILE.encode("utf-8-sig"), "text/csv"),
        (FILE.encode("gb18030"), "text/csv"),
        (FILE.encode("utf-16"), "text/csv"),
        (FILE.replace("ß", "ss").replace("ü", "ue").encode("gbk"), "text/csv; charset=GBK"),
        (FILE.replace(",", "\t").replace("\n", "\r\n").encode(), "TEXT/CSV; header=present"),
    ],
)
async def test_what_spreadsheets_write(leads: Deployed, content: bytes, content_type: str) -> None:
    done = (await upload(leads.client("supervisor"), content, {"Content-Type": content_type}, region="CN")).json()
    assert (done["created"], done["duplicates"], done["rejected"]) == (3, 1, 3)
    names = {row["name"] for row in await rows(leads.database, "SELECT name FROM leads")}
    assert {"王芳", "李雷"} < names


async def test_a_form_with_a_file_and_mapped_columns(leads: Deployed) -> None:
    client = leads.client("branch_manager", "/de")
    content = "Wer;Handy;Aktion\nJürgen Groß;030 901820;Herbst\n".encode("cp1252")
    response = await client.post(
        "/v1/lead-imports",
        files={"file": ("kontakte.csv", content, "text/csv; charset=windows-1252")},
        params={"region": "DE", "column": ["name:Wer", "phone:Handy", "attributes.campaign:Aktion"]},
        headers={"Idempotency-Key": "form-1"},
    )
    assert (response.status_code, response.json()["created"]) == (201, 1)
    assert response.json()["file_name"] == "kontakte.csv"
    assert response.json()["columns"] == {"Wer": "name", "Handy": "phone", "Aktion": "attributes.campaign"}
    (lead,) = (await client.get("/v1/leads")).json()["items"]
    assert (lead["name"], lead["phone"], lead["attributes"]) == ("Jürgen Groß", "+4930901820", {"campaign": "Herbst"})


async def test_a_request_that_cannot_be_taken_says_why_and_changes_nothing(leads: Deployed) -> None:
    client = leads.client("supervisor", "/cn")
    for content, headers, query, status, field in [
        ("", CSV, {}, 422, "file"),
        ("name\nWang\n", CSV, {}, 422, "file"),
        ("phone\n" + "+8613800138000\n" * 201, CSV, {}, 422, "file"),
        ('phone\n"x', CSV, {}, 422, "file"),
        ("phone\nx", {"Content-Type": "text/csv; charset=klingon"}, {}, 422, "Content-Type"),
        ("phone\nx", {"Content-Type": "application/pdf"}, {}, 415, "Content-Type"),
        ("phone\nx", CSV, {"region": "Germany"}, 422, "region"),
        ("phone\nx", CSV, {"org_path": "/us"}, 403, "org_path"),
        ("phone\nx", CSV, {"workspace": "Main Street"}, 422, "workspace"),
        ("phone\nx", CSV, {"column": "fone:phone"}, 422, "column.0"),
        ("phone\nx", CSV, {"column": ["phone:phone", "email:phone"]}, 422, "column.1"),
        ("phone\nx", CSV, {"column": "phone:Handy"}, 422, "column"),
        ("phone\nx", CSV, {"dry_run": "true"}, 422, "dry_run"),
    ]:
        response = await upload(client, content, headers, **query)
        assert (response.status_code, response.json()["errors"][0]["field"]) == (status, field), response.text
    no_file = await client.post("/v1/lead-imports", files={"other": ("x.csv", b"phone\n1\n")})
    assert (no_file.status_code, no_file.json()["errors"][0]["field"]) == (422, "file")
    broken = await client.post(
        "/v1/lead-imports", content=b"--x\r\nrubbish", headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert broken.status_code in {400, 422}
    huge = await upload(client, b"phone\n" + b"1" * 5_000_000)
    assert (huge.status_code, huge.json()["code"]) == (413, "body-too-large")
    every = await upload(client, "phone\nx", region="XX")  # known only when the numbers are read
    assert every.json()["errors"] == [{"line": 2, "field": "region", "reason": every.json()["errors"][0]["reason"]}]
    assert await rows(leads.database, "SELECT count(*) FROM leads") == [{"count": 0}]
