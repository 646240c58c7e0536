"""What is routed by the time of day: calendars, the hours of queues, rules that ask the clock."""

import pytest
from cordboard_contracts import routing, telephony
from routing.app import build
from routing.settings import RoutingSettings

pytestmark = pytest.mark.asyncio(loop_scope="session")

BASE = "/v1/workspaces/main"
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ALWAYS = {day: ["00:00-24:00"] for day in DAYS}
OFFICE = {day: ["09:00-12:00", "13:30-18:00"] for day in DAYS[:5]}


async def _calendar(centre, calendar_id, weekly, **more):
    body = {"time_zone": "Asia/Shanghai", "weekly": weekly, **more}
    return await centre.ok("PUT", f"{BASE}/calendars/{calendar_id}", body, match="*")


async def test_a_calendar_is_stored_listed_changed_and_removed(centre):
    made = await _calendar(centre, "stored", ALWAYS, name="Head office", holidays=["2020-10-01"])
    assert made["open"] and made["changes_at"] is None and made["weekly"] == ALWAYS
    path = f"{BASE}/calendars/stored"
    unseen = await centre.admin.put(path, json={"time_zone": "UTC"})
    assert unseen.status_code == 428
    closed = await centre.ok("PUT", path, {"time_zone": "Europe/Berlin"}, match=f'"{made["version"]}"')
    assert not closed["open"] and closed["version"] == made["version"] + 1
    listed = (await centre.ok("GET", f"{BASE}/calendars"))["items"]
    assert ("stored", "Europe/Berlin") in [(each["calendar_id"], each["time_zone"]) for each in listed]
    await centre.ok("DELETE", path, match="*")
    assert (await centre.admin.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({"time_zone": "Mars/Olympus"}, "time_zone", "no such time zone"),
        ({"time_zone": "UTC", "weekly": {"monday": ["09:00-12:00", "11:00-13:00"]}}, "weekly.monday.1", "overlaps"),
        ({"time_zone": "UTC", "weekly": {"monday": ["9-12"]}}, "weekly.monday.0", ""),
        ({"time_zone": "UTC", "holidays": ["2026-10-10"] * 1001}, "holidays", "1000"),
    ],
)
async def test_a_calendar_that_cannot_be_is_refused(centre, body, field, reason):
    response = await centre.admin.put(f"{BASE}/calendars/wrong", json=body)
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["field"] == field and reason in response.text
    assert (await centre.admin.get(f"{BASE}/calendars/wrong")).status_code == 404


async def test_there_are_not_too_many_calendars(centre):
    have = len((await centre.ok("GET", f"{BASE}/calendars?limit=200"))["items"])
    for n in range(100 - have):
        await _calendar(centre, f"many-{n}", {})
    response = await centre.admin.put(f"{BASE}/calendars/one-more", json={"time_zone": "UTC"})
    assert (response.status_code, response.json()["code"]) == (409, "too-many-calendars")
    for n in range(100 - have):
        await centre.ok("DELETE", f"{BASE}/calendars/many-{n}", match="*")


async def test_after_hours_a_call_goes_elsewhere_or_ends_and_a_lead_waits(centre):
    await _calendar(centre, "never", {})
    await _calendar(centre, "always", ALWAYS)
    await centre.queue("night", hours="always", after_hours={"outcome": "refused"})
    await centre.queue("day", hours="never", after_hours={"queue": "night"})
    await centre.queue("shut", hours="never", after_hours={"outcome": "refused"})
    await centre.queue("mailbox", hours="never", after_hours={"outcome": "voicemail"})
    names = ("day", "shut", "mailbox")
    await centre.rules(*({"name": n, "when": {"dialled": [n]}, "then": {"queue": n}} for n in names))
    moved = centre.call(dialled="day")
    await moved.tell(moved.offer())
    assert (await centre.ends(moved.call_id, "waiting"))["queue"] == "night"

    refused, recorded = centre.call(dialled="shut"), centre.call(dialled="mailbox")
    await refused.tell(refused.offer())
    said = await centre.bus.expect(telephony.HangUpCall, lambda e: e.data.call_id == refused.call_id)
    assert (said.pbx, said.data.call_id) == ("pbx-1", refused.call_id)
    assert (await centre.ends(refused.call_id, "cancelled"))["outcome"] == "refused"
    await centre.bus.expect(routing.WorkItemCancelled, lambda e: e.data.work_item.subject_id == refused.call_id)
    await recorded.tell(recorded.offer())
    told = await centre.bus.expect(telephony.SetCallAttributes, lambda e: e.data.call_id == recorded.call_id)
    assert told.data.attributes == {"routed_to": "voicemail"}
    assert (await centre.ends(recorded.call_id, "cancelled"))["outcome"] == "voicemail"

    choose = {"items": [{"kind": kind, "dialled": "shut"} for kind in ("lead", "call")]}
    lead, call = (await centre.ok("POST", f"{BASE}/rules/check", choose))["choices"]
    assert (lead["queue"], lead["outcome"], call["outcome"]) == ("shut", None, "refused")


async def test_an_ivr_choice_may_lead_to_a_closed_queue(centre):
    await _calendar(centre, "never", {})
    await centre.queue("shut", hours="never", after_hours={"outcome": "refused"})
    await centre.rules({"name": "menu", "when": {"attributes": {"menu": ["2"]}}, "then": {"queue": "shut"}})
    call = centre.call()
    await call.tell(call.offer())
    await centre.ends(call.call_id, "waiting")
    await call.tell(call.press(menu="2"))
    assert (await centre.ends(call.call_id, "cancelled"))["outcome"] == "refused"
    await centre.bus.expect(telephony.HangUpCall, lambda e: e.data.call_id == call.call_id)


async def test_rules_ask_calendars_and_clocks_and_can_be_tried_at_any_time(centre):
    await _calendar(centre, "office", OFFICE, holidays=["2026-10-01"], workdays={"2026-10-10": "thursday"})
    await centre.queue("late")
    rules = [
        {"name": "open", "when": {"open": ["office"]}, "then": {"queue": "default"}},
        {
            "name": "evening",
            "when": {"closed": ["office"], "time": ["18:00-08:00"], "weekday": DAYS[:6], "time_zone": "Asia/Shanghai"},
            "then": {"queue": "late"},
        },
        {"name": "everything", "then": {"queue": "default"}},
    ]
    times = {
        "2026-10-08T10:00:00+08:00": "open",
        "2026-10-10T02:00:00Z": "open",
        "2026-10-01T10:00:00+08:00": "everything",
        "2026-10-01T23:00:00+08:00": "evening",
        "2026-10-03T07:59:00+08:00": "evening",
        "2026-10-04T07:59:00+08:00": "everything",
    }
    body = {"rules": rules, "items": [{"kind": "call", "at": at} for at in times]}
    found = await centre.ok("POST", f"{BASE}/rules/check", body)
    assert [choice["rule"] for choice in found["choices"]] == list(times.values())


@pytest.mark.parametrize(
    ("whens", "field", "reason"),
    [
        ([{"open": ["nowhere"]}], "rules.0.when.open", "there is no calendar nowhere"),
        ([{"open": ["office"], "closed": ["office"]}], "rules.0.when.closed", "never holds"),
        ([{"weekday": ["monday"]}], "rules.0.when", "time_zone"),
        ([{"time": ["08:00-08:00"], "time_zone": "UTC"}], "rules.0.when.time.0", "all day"),
        ([{"open": ["office", "shop"]}, {"open": ["shop"], "known": True}], "rules.1.when", "never reached"),
        (
            [
                {"time": ["18:00-08:00"], "time_zone": "UTC"},
                {"time": ["19:00-20:00", "01:00-02:00"], "weekday": ["friday"], "time_zone": "UTC"},
            ],
            "rules.1.when",
            "never reached",
        ),
    ],
)
async def test_conditions_on_time_that_cannot_be_meant_are_refused(centre, whens, field, reason):
    for calendar_id in ("office", "shop"):
        await _calendar(centre, calendar_id, OFFICE)
    rules = [{"name": f"r{n}", "when": when, "then": {"queue": "default"}} for n, when in enumerate(whens)]
    rules.append({"name": "everything", "then": {"queue": "default"}})
    response = await centre.admin.post(f"{BASE}/rules/check", json={"rules": rules})
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["field"] == field and reason in response.text


async def test_what_is_in_use_stays_and_circles_are_refused(centre):
    await _calendar(centre, "used", {})
    await centre.queue("target")
    await centre.queue("source", hours="used", after_hours={"queue": "target"})
    await centre.rules({"name": "asks", "when": {"open": ["used"]}, "then": {"queue": "default"}})
    for path, code in ((f"{BASE}/calendars/used", "calendar-in-use"), (f"{BASE}/queues/target", "queue-in-use")):
        response = await centre.admin.delete(path, headers={"If-Match": "*"})
        assert (response.status_code, response.json()["code"]) == (409, code)

    async def refused(field, **body):
        response = await centre.admin.put(f"{BASE}/queues/target", json=body, headers={"If-Match": "*"})
        assert response.status_code == 422 and response.json()["errors"][0]["field"] == field, response.text
        return response.text

    assert "target > source > target" in await refused(
        "after_hours.queue", hours="used", after_hours={"queue": "source"}
    )
    assert "target > target" in await refused("after_hours.queue", hours="used", after_hours={"queue": "target"})
    await refused("after_hours.queue", hours="used", after_hours={"queue": "nowhere"})
    await refused("hours", hours="nowhere")
    await refused("after_hours", after_hours={"outcome": "refused"})
    await refused("after_hours", hours="used", after_hours={"outcome": "refused", "queue": "default"})
    found = await centre.ok("POST", f"{BASE}/rules/check", {})
    assert ("never-open", "queues.source.hours") in [(each["code"], each["field"]) for each in found["findings"]]


@pytest.mark.asyncio(loop_scope="function")
async def test_calendars_survive_a_takeover(new_centre, deploy):
    centre = new_centre
    await _calendar(centre, "never", {})
    await centre.queue(hours="never", after_hours={"outcome": "refused"})
    await centre.deployed.stop()
    after = type(centre)(await deploy(build, RoutingSettings), centre.bus)
    call = after.call()
    await call.tell(call.offer())
    await centre.bus.expect(telephony.HangUpCall, lambda e: e.data.call_id == call.call_id, timeout_s=20)
    assert (await after.ends(call.call_id, "cancelled"))["outcome"] == "refused"
