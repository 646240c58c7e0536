"""Rules are tried before they are published."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

RULES = "/v1/workspaces/main/rules"
EVERYTHING = {"name": "everything", "then": {"queue": "default"}}


async def _check(centre, *rules, items=()):
    return await centre.ok("POST", f"{RULES}/check", {"rules": [*rules, EVERYTHING], "items": list(items)})


async def test_samples_get_what_the_rules_say_and_nothing_is_published(centre):
    before = await centre.ok("GET", RULES)
    await centre.queue("sales")
    sales = {
        "name": "sales",
        "when": {"kind": ["call"], "dialled": ["+8621*"], "tier": ["gold"]},
        "then": {"queue": "sales", "requirement": {"sales": 50}, "language": "own", "priority": 7, "due_after_s": 60},
    }
    gold = {"kind": "call", "dialled": "+862155556666", "known": True, "tier": "gold", "language": "zh-CN"}
    found = await _check(centre, sales, items=[gold, {**gold, "tier": "silver"}, {"kind": "lead"}])
    assert [choice["rule"] for choice in found["choices"]] == ["sales", "everything", "everything"]
    first = found["choices"][0]
    assert (first["queue"], first["priority"], first["due_after_s"]) == ("sales", 7, 60)
    assert first["requirement"] == {"sales": 50, "language:zh-CN": 1}
    assert await centre.ok("GET", RULES) == before
    present = await centre.ok("POST", f"{RULES}/check", {"items": [gold]})
    assert present["choices"][0]["rule"] == "everything"


async def test_findings_say_who_could_serve_a_rule(centre):
    steps = [
        {"after_s": 10, "levels": {"sales": 60}},
        {"after_s": 30, "levels": {"sales": 40}},
    ]
    await centre.queue("patient", steps=steps)
    await centre.queue("rescue")
    await centre.queue("leaves", steps=[{"after_s": 60, "queue": "rescue"}])
    await centre.queue("first", priority_class=1)
    await centre.queue("forgotten")
    await centre.agent("a1", skills={"sales": 40}, territories=["CN-31"], capacity={"call": 1})

    def rule(name, queue, kind="call", **then):
        return {"name": name, "when": {"kind": [kind], "tier": [name]}, "then": {"queue": queue, **then}}

    found = await _check(
        centre,
        rule("fine", "first", requirement={"sales": 40}, territory="CN-31-0115"),
        rule("later", "patient", requirement={"sales": 80}),
        rule("elsewhere", "leaves", requirement={"sales": 80}),
        rule("nobody", "first", any_of=[{"english": 1, "german": 1}]),
        rule("far", "first", territory="DE-BE"),
        rule("channel", "first", kind="lead"),
    )
    by_field = {(finding["code"], finding["field"]): finding["detail"] for finding in found["findings"]}
    assert by_field["only-later", "rules.1.then"] == "nobody can take this before step 2 of queue patient, after 30 s"
    assert by_field["only-later", "rules.2.then"] == "nobody can take this before it overflows to queue rescue"
    assert {field for code, field in by_field if code == "nobody"} == {"rules.3.then", "rules.4.then", "rules.5.then"}
    unused = {field for code, field in by_field if code == "unused-queue"}
    assert "queues.forgotten" in unused and not unused & {"queues.rescue", "queues.first", "queues.default"}
    assert by_field["starved", "queues.rescue"].endswith("in first")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"kind": ["call", "lead"]}, {"kind": ["lead"], "tier": ["gold"]}),
        ({"dialled": ["+86*"]}, {"dialled": ["+8621*", "+86215555"]}),
        ({"language": ["zh"]}, {"language": ["zh-CN", "zh-Hant"]}),
        ({"territory": ["CN"]}, {"territory": ["CN-31-0115"], "known": True}),
        ({"attributes": {"menu": ["1", "2"]}}, {"attributes": {"menu": ["2"], "colour": ["red"]}}),
        ({"known": False}, {"known": False}),
    ],
)
async def test_a_rule_that_is_never_reached_is_refused(centre, earlier, later):
    def rules(*whens):
        return [
            *({"name": f"r{n}", "when": when, "then": {"queue": "default"}} for n, when in enumerate(whens)),
            EVERYTHING,
        ]

    for method, path in (("PUT", RULES), ("POST", f"{RULES}/check")):
        response = await centre.admin.request(
            method, path, json={"rules": rules(earlier, later)}, headers={"If-Match": "*"}
        )
        assert response.status_code == 422, response.text
        assert response.json()["errors"][0]["field"] == "rules.1.when"
        assert "r0 holds whenever this does" in response.text
    if earlier != later:
        assert (await centre.ok("POST", f"{RULES}/check", {"rules": rules(later, earlier)}))["choices"] == []
