"""The HTTP habits that every service has: strict bodies, problems, pages, entity tags, requests sent twice."""

import asyncio
import base64
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from cordboard_chassis.auth.principal import Role
from cordboard_chassis.http.app import BODY_LIMIT
from cordboard_chassis.testing.deployment import Deployed, rows

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"Content-Type": "application/json"}
NOBODY = "01a21100-0000-7000-8000-000000000000"


def problem(answer: httpx2.Response, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    """What a failure says, checked for what every failure must say."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    assert (said["status"], said["code"], said["type"]) == (status, code, f"urn:cordboard:problem:{code}")
    assert said["title"] and said["detail"] and said["instance"].startswith("/")
    assert all(error["field"] and error["reason"] for error in said["errors"])
    if field is not None:
        assert [error["field"] for error in said["errors"]] == [field], said
    return said


def here(api: Deployed, role: Any = Role.AGENT) -> httpx2.AsyncClient:
    """A new client at a place where nobody else writes."""
    return api.client(role, f"/t{uuid4().hex}", subject=uuid4().hex)


async def notes(client: httpx2.AsyncClient) -> list[str]:
    return [note["text"] for note in (await client.get("/v1/notes?limit=200")).json()["items"]]


# --- bodies ----------------------------------------------------------------------------------------------------------


def _nested(depth: int) -> str:
    return '{"text": "x", "tags": ' + "[" * depth + "]" * depth + "}"


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b"", 422, "invalid-request", "body"),
        (b"null", 422, "invalid-request", "body"),
        (b'"text"', 422, "invalid-request", "body"),
        (b"[]", 422, "invalid-request", "body"),
        (b"{", 400, "malformed-json", "body"),
        (b'{"text": "x",}', 400, "malformed-json", "body"),
        (b'{"text": "x"} {}', 400, "malformed-json", "body"),
        (b"{'text': 'x'}", 400, "malformed-json", "body"),
        (b'{"text": "\xff"}', 400, "malformed-json", "body"),
        ('{"text": "x"}'.encode("utf-16"), 400, "malformed-json", "body"),
        ("{'text': '\N{SNOWMAN}'}".encode(), 400, "malformed-json", "body"),
        (b'\xef\xbb\xbf{"text": "x"}', 400, "malformed-json", "body"),
        (b'{"text": "a\nb"}', 400, "malformed-json", "body"),
        (b'{"text": "x", "tags": [{"name": "a", "weight": NaN}]}', 400, "malformed-json", "body"),
        (b'{"text": "x", "tags": [{"name": "a", "weight": -Infinity}]}', 400, "malformed-json", "body"),
        (b'{"text": "x", "tags": [{"name": "a", "weight": 1e999}]}', 422, "invalid-request", "body"),
        (b'{"text": "x", "tags": [{"name": "a", "weight": 9223372036854775808}]}', 422, "invalid-request", "body"),
        (b'{"text": "x", "tags": [{"name": "a", "weight": 1%s}]}' % (b"0" * 100_000), 422, "invalid-request", "body"),
        (b'{"text": "x", "text": "y"}', 422, "invalid-request", "text"),
        (b'{"text": "x", "tags": [{"name": "a", "weight": 1, "name": "b"}]}', 422, "invalid-request", "name"),
        (b'{"text": "a\\u0000b"}', 422, "invalid-request", "text"),
        (b'{"text": "\\ud83d"}', 422, "invalid-request", "text"),
        (b'{"text": "x", "\\udc00": 1}', 422, "invalid-request", None),
        (_nested(33).encode(), 422, "invalid-request", "body"),
        (_nested(100_000).encode(), 422, "invalid-request", "body"),
        (
            b'{"text": "x"' + b"".join(b',"f%d": 1' % n for n in range(50_000)) + b', "text": "y"}',
            422,
            "invalid-request",
            "text",
        ),
        (b'{"text": 5}', 422, "invalid-request", "text"),
        (b'{"text": null}', 422, "invalid-request", "text"),
        (b'{"text": ""}', 422, "invalid-request", "text"),
        (b'{"text": "x", "nickname": "y"}', 422, "invalid-request", "nickname"),
        (b'{"text": "x", "tags": [{"name": "a"}, {"name": "B"}]}', 422, "invalid-request", "tags.1.name"),
        (b'{"text": "x", "tags": [{"name": "a", "weight": "5"}]}', 422, "invalid-request", "tags.0.weight"),
        (b'{"text": "x", "tags": [{"name": "a", "weight": 1.5}]}', 422, "invalid-request", "tags.0.weight"),
        (b'{"text": "x", "tags": [{"name": "a", "weight": true}]}', 422, "invalid-request", "tags.0.weight"),
        (b'{"text": "x", "tags": [{"name": "a", "colour": 1}]}', 422, "invalid-request", "tags.0.colour"),
        (b'{"text": "x", "tags": {"name": "a"}}', 422, "invalid-request", "tags"),
        (b'{"text": "x", "org_path": "/cn/"}', 422, "invalid-request", "org_path"),
    ],
)
async def test_a_body_that_is_not_right_is_explained_and_changes_nothing(
    api: Deployed, body: bytes, status: int, code: str, field: str | None
) -> None:
    client = here(api)
    problem(await client.post("/v1/notes", content=body, headers=JSON), status, code, field)
    assert await notes(client) == []


async def test_what_is_at_the_limit_is_taken(api: Deployed) -> None:
    client = here(api)
    for text in ("x" * 200, "\N{GRINNING FACE}" * 200, "陈静", "\u202e\\/"):
        body = json.dumps({"text": text, "tags": [{"name": "a", "weight": 2**63 - 1}]})
        assert (await client.post("/v1/notes", content=body, headers=JSON)).json()["text"] == text
    padded = b'{"text": "x"' + b" " * (BODY_LIMIT - 13) + b"}"
    assert len(padded) == BODY_LIMIT
    assert (await client.post("/v1/notes", content=padded, headers=JSON)).status_code == 201


async def test_many_mistakes_are_answered_with_the_first_few(api: Deployed) -> None:
    body = {"text": "x", **{f"f{number}": 1 for number in range(1000)}}
    answer = await here(api).post("/v1/notes", json=body)
    assert len(problem(answer, 422, "invalid-request")["errors"]) == 20


async def _chunks(size: int) -> AsyncIterator[bytes]:
    yield b'{"text": "'
    for _ in range(size // 65_536):
        yield b"x" * 65_536


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_not_read(api: Deployed, chunked: bool) -> None:
    content: Any = _chunks(BODY_LIMIT + 200_000) if chunked else b'{"text": "' + b"x" * BODY_LIMIT + b'"}'
    problem(await here(api).post("/v1/notes", content=content, headers=JSON), 413, "body-too-large", "body")


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_another_media_type_is_refused(api: Deployed, media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = await here(api).post("/v1/notes", content=b'{"text": "x"}', headers=headers)
    problem(answer, 415, "unsupported-media-type", "Content-Type")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/ld+json"])
async def test_json_by_its_other_names_is_read_as_strictly(api: Deployed, media_type: str) -> None:
    client = here(api)
    headers = {"Content-Type": media_type}
    assert (await client.post("/v1/notes", content=b'{"text": "x"}', headers=headers)).status_code == 201
    twice = await client.post("/v1/notes", content=b'{"text": "x", "text": "y"}', headers=headers)
    problem(twice, 422, "invalid-request", "text")


# --- paths, methods, parameters, headers -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v1/notes/", "/v2/notes", "/v1/x/../y", "/docs"])
async def test_an_unknown_path_is_not_found(api: Deployed, path: str) -> None:
    problem(await here(api).get(path), 404, "not-found", "path")


async def test_an_unknown_method_says_which_ones_there_are(api: Deployed) -> None:
    for method in ("DELETE", "PUT", "PATCH", "BREW"):
        answer = await here(api).request(method, "/v1/notes")
        problem(answer, 405, "method-not-allowed")
        assert set(answer.headers["Allow"].replace(" ", "").split(",")) <= {"GET", "POST", "HEAD"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?limt=5", "limt"),
        ("?=5", "query"),
        ("?%0d%0aSet-Cookie:x=5", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}Set-Cookie:x"),
        ("?limit=0", "limit"),
        ("?limit=201", "limit"),
        ("?limit=ten", "limit"),
        ("?limit=1e2", "limit"),
        ("?limit=9999999999999999999999", "limit"),
        ("?cursor=" + "x" * 2001, "cursor"),
        ("?limit=5%00", "query"),
    ],
)
async def test_a_parameter_that_is_not_right_is_named(api: Deployed, query: str, field: str) -> None:
    problem(await here(api).get(f"/v1/notes{query}"), 422, "invalid-request", field)


async def test_ids_in_paths_are_ids(api: Deployed) -> None:
    client = here(api)
    problem(await client.get("/v1/notes/5"), 422, "invalid-request", "note_id")
    problem(await client.get("/v1/notes/%00"), 422, "invalid-request", "path")
    problem(await client.get(f"/v1/notes/{'x' * 10_000}"), 422, "invalid-request", "note_id")
    problem(await client.get(f"/v1/notes/{NOBODY}"), 404, "not-found", "note_id")


@pytest.mark.parametrize(
    ("header", "value", "status", "field"),
    [
        ("Idempotency-Key", "x" * 201, 422, "Idempotency-Key"),
        ("Idempotency-Key", "", 422, "Idempotency-Key"),
        ("Idempotency-Key", "a b", 422, "Idempotency-Key"),
        ("Idempotency-Key", "\xe9", 422, "Idempotency-Key"),
        ("Authorization", "Bearer " + "x" * 9000, 401, "Authorization"),
    ],
)
async def test_a_header_that_is_not_right_is_named(
    api: Deployed, header: str, value: str, status: int, field: str
) -> None:
    answer = await here(api).post("/v1/notes", json={"text": "x"}, headers={header: value.encode("latin-1")})
    said = problem(answer, status, {401: "invalid-token", 422: "invalid-request"}[status])
    assert said["errors"][0]["field"].lower() == field.lower()


async def test_headers_without_end_end_the_connection_and_nothing_else(api: Deployed) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /v1/me HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n")
    with contextlib.suppress(ConnectionResetError):  # before or after the answer: the server reads no further
        answer = await reader.read()
        assert not answer or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
    writer.close()
    assert (await here(api).get("/v1/me")).status_code == 200


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("secretly", 500, "internal-server-error"),
        ("disconnected", 503, "unavailable"),
        ("killed", 503, "unavailable"),
        ("too-large", 422, "value-out-of-range"),
    ],
)
async def test_a_failure_tells_the_caller_no_secrets(api: Deployed, how: str, status: int, code: str) -> None:
    answer = await here(api).get(f"/v1/failures/{how}")
    said = problem(answer, status, code)
    assert "12345" not in answer.text and "SELECT" not in answer.text
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert said["instance"] == f"/v1/failures/{how}"


# --- pages -----------------------------------------------------------------------------------------------------------


async def test_pages_give_everything_once_while_more_is_written(api: Deployed) -> None:
    client = here(api)
    for number in range(7):
        await client.post("/v1/notes", json={"text": str(number)})
    seen: list[str] = []
    cursor: str | None = None
    for page in range(4):
        parameters = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        found = (await client.get("/v1/notes", params=parameters)).json()
        seen += [note["text"] for note in found["items"]]
        cursor = found["next_cursor"]
        if page == 1:
            await client.post("/v1/notes", json={"text": "7"})
    assert seen == [str(number) for number in range(8)]
    assert cursor is None


def _cursor(*values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "nonsense",
        "!!!!",
        "A",
        "=",
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        _cursor(),
        _cursor("2026-11-25T08:00:00+00:00"),
        _cursor("2026-11-25T08:00:00+00:00", NOBODY, 1),
        _cursor(NOBODY, "2026-11-25T08:00:00+00:00"),
        _cursor("2026-11-25T08:00:00+00:00", "' OR 1=1 --"),
        _cursor(5, 5),
        _cursor(None, None),
        _cursor({}, []),
        _cursor("9" * 1400, NOBODY),
    ],
)
async def test_a_made_up_cursor_and_one_of_another_list_are_refused(api: Deployed, cursor: str) -> None:
    problem(await here(api).get("/v1/notes", params={"cursor": cursor}), 422, "invalid-cursor", "cursor")


async def test_a_cursor_from_elsewhere_shows_nothing_of_elsewhere(api: Deployed) -> None:
    """A cursor says after what, never whose: the filter holds whoever made it."""
    east, west = here(api), here(api)
    for client in (east, west):
        for number in range(3):
            await client.post("/v1/notes", json={"text": str(number)})
    cursor = (await west.get("/v1/notes?limit=1")).json()["next_cursor"]
    found = (await east.get("/v1/notes", params={"cursor": cursor})).json()["items"]
    mine = {note["id"] for note in (await east.get("/v1/notes")).json()["items"]}
    assert {note["id"] for note in found} <= mine


# --- entity tags -----------------------------------------------------------------------------------------------------


async def test_nobody_overwrites_what_they_have_not_seen(api: Deployed) -> None:
    client = here(api)
    made = await client.post("/v1/notes", json={"text": "one"})
    path, first = made.headers["Location"], made.headers["ETag"]
    assert (await client.get(path)).headers["ETag"] == first == '"1"'
    problem(await client.patch(path, json={"text": "two"}), 428, "precondition-required", "If-Match")
    changed = await client.patch(path, json={"text": "two"}, headers={"If-Match": first})
    assert (changed.status_code, changed.headers["ETag"], changed.json()["version"]) == (200, '"2"', 2)
    stale = await client.patch(path, json={"text": "three"}, headers={"If-Match": first})
    assert "2" in problem(stale, 412, "version-changed", "If-Match")["detail"]
    assert await notes(client) == ["two"]


@pytest.mark.parametrize(
    ("if_match", "status", "code"),
    [
        ('"1"', 200, None),
        ("*", 200, None),
        ('"0", "1"', 200, None),
        ('W/"1"', 412, "version-changed"),
        ('"01"', 412, "version-changed"),
        ('""', 412, "version-changed"),
        ('"1,2"', 412, "version-changed"),
        ('"1 2"', 422, "invalid"),
        ("1", 422, "invalid"),
        ('"1', 422, "invalid"),
        ("", 422, "invalid"),
        ('*, "1"', 422, "invalid"),
        ('"1";"2"', 422, "invalid"),
        ('"' + "1" * 600 + '"', 422, "invalid-request"),
    ],
)
async def test_entity_tags_are_read_as_rfc_9110_writes_them(
    api: Deployed, if_match: str, status: int, code: str | None
) -> None:
    client = here(api)
    path = (await client.post("/v1/notes", json={"text": "one"})).headers["Location"]
    answer = await client.patch(path, json={"text": "two"}, headers={"If-Match": if_match})
    assert answer.status_code == status, answer.text
    if code is not None:
        assert problem(answer, status, code)["errors"][0]["field"].lower() == "if-match"
    assert await notes(client) == (["two"] if status == 200 else ["one"])


async def test_of_two_who_change_the_same_version_one_wins(api: Deployed) -> None:
    client = here(api)
    path = (await client.post("/v1/notes", json={"text": "one"})).headers["Location"]
    answers = await asyncio.gather(
        *(client.patch(path, json={"text": str(n)}, headers={"If-Match": '"1"'}) for n in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7


# --- requests sent twice ---------------------------------------------------------------------------------------------


async def test_a_request_sent_again_is_answered_again_and_done_once(api: Deployed) -> None:
    client = here(api)
    key = {"Idempotency-Key": "k-1"}
    first = await client.post("/v1/notes", json={"text": "one"}, headers=key)
    again = await client.post("/v1/notes", json={"text": "one"}, headers=key)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert (again.headers["ETag"], again.headers["Location"]) == (first.headers["ETag"], first.headers["Location"])
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
    for body, path in (({"text": "two"}, "/v1/notes"), ({"text": "one"}, "/v1/forgetful/notes")):
        other = await client.post(path, json=body, headers=key)
        problem(other, 422, "idempotency-key-reused", "Idempotency-Key")
    assert await notes(client) == ["one"]


async def test_the_same_key_of_another_caller_is_another_key(api: Deployed) -> None:
    place = f"/t{uuid4().hex}"
    for agent in ("a1", "a2"):
        answer = await api.client("agent", place, agent_id=agent).post(
            "/v1/notes", json={"text": agent}, headers={"Idempotency-Key": "k"}
        )
        assert answer.status_code == 201
    assert await notes(api.client("agent", place)) == ["a1", "a2"]


async def test_what_was_refused_left_no_key_behind(api: Deployed) -> None:
    client = here(api)
    key = {"Idempotency-Key": "k"}
    problem(await client.post("/v1/notes", json={"text": "taken back"}, headers=key), 409, "conflict", "text")
    assert (await client.post("/v1/notes", json={"text": "one"}, headers=key)).status_code == 201
    assert await notes(client) == ["one"]


async def test_of_many_at_once_one_is_done_and_all_get_its_answer(api: Deployed) -> None:
    client = here(api)
    answers = await asyncio.gather(
        *(client.post("/v1/notes", json={"text": "one"}, headers={"Idempotency-Key": "k"}) for _ in range(10))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sorted("Idempotency-Replayed" in answer.headers for answer in answers) == [False] + [True] * 9
    assert await notes(client) == ["one"]


async def test_a_client_that_hangs_up_finds_the_answer_with_its_key(api: Deployed) -> None:
    """Whatever became of the first try, the second one gives the one note that there is."""
    client = here(api)
    host, port = api.url.removeprefix("http://").split(":")
    body = b'{"text": "one"}'
    head = (
        f"POST /v1/notes HTTP/1.1\r\nHost: x\r\nAuthorization: {client.headers['Authorization']}\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: k\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + body)
    answer = await client.post("/v1/notes", content=body, headers={**JSON, "Idempotency-Key": "k"})
    assert answer.status_code == 201
    assert await notes(client) == ["one"]
    kept = await rows(api.database, "SELECT status FROM idempotency_keys WHERE status IS NULL")
    assert kept == []


# --- the document ----------------------------------------------------------------------------------------------------


async def test_the_document_names_each_failure_as_a_problem(api: Deployed) -> None:
    document = (await api.bare_client().get("/openapi.json")).json()
    operation = document["paths"]["/v1/notes/{note_id}"]["patch"]
    failures = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
    assert {"400", "401", "403", "404", "412", "413", "415", "422", "428", "503"} <= failures.keys()
    assert all("application/problem+json" in answer["content"] for answer in failures.values())
    assert "HTTPValidationError" not in document["components"]["schemas"]
