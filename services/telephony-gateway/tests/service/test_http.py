"""Over HTTP: configuration, looking up, and control of calls; what is wrong is said and changes nothing."""

from typing import Any
from uuid import uuid4

import pytest
from cordboard_chassis.testing.deployment import eventually
from cordboard_contracts import telephony
from gateway_scene import PBX, Gateway, id_of, now
from telephony_gateway.drivers.interface import (
    AnswerLeg,
    AttendedTransfer,
    BlindTransfer,
    CallCleared,
    CallOffered,
    CallTransferred,
    ClearLeg,
    Conference,
    Consult,
    CustomerAnswered,
    DeviceChanged,
    DeviceState,
    Direction,
    HangUp,
    Hold,
    LegAlerting,
    LegAnswered,
    LegCleared,
    LegHeld,
    LegInitiated,
    LegRetrieved,
    Mute,
    Originate,
    Party,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


def problem(response: Any) -> tuple[int, str, list[str]]:
    """Status, code and fields of a problem document."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    return response.status_code, body["code"], [error["field"] for error in body.get("errors", [])]


class TestPbxs:
    """Where PBXs are."""

    async def test_make_change_disable_and_remove(self, gateway: Gateway) -> None:
        admin = gateway.admin
        body = PBX | {"enabled": False, "address": "[::1]:5060"}
        made = await admin.put("/v1/pbxs/pbx-2", json=body)
        assert (made.status_code, made.headers["etag"], made.headers["location"]) == (201, '"1"', "/v1/pbxs/pbx-2")
        assert made.json()["connection"]["state"] == "disabled"
        again = await admin.put("/v1/pbxs/pbx-2", json=body)
        assert (again.status_code, again.headers["etag"]) == (200, '"1"')
        other = body | {"address": "127.0.0.1:5061"}
        assert problem(await admin.put("/v1/pbxs/pbx-2", json=other))[:2] == (428, "precondition-required")
        stale = await admin.put("/v1/pbxs/pbx-2", json=other, headers={"If-Match": '"7"'})
        assert problem(stale)[:2] == (412, "version-changed")
        changed = await admin.put("/v1/pbxs/pbx-2", json=other, headers={"If-Match": '"1"'})
        assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
        listed = (await admin.get("/v1/pbxs", params={"limit": 1})).json()
        assert [item["pbx_id"] for item in listed["items"]] == ["pbx-1"]
        rest = (await admin.get("/v1/pbxs", params={"limit": 1, "cursor": listed["next_cursor"]})).json()
        assert [item["address"] for item in rest["items"]] == ["127.0.0.1:5061"]
        assert problem(await admin.delete("/v1/pbxs/pbx-2"))[:2] == (428, "precondition-required")
        assert (await admin.delete("/v1/pbxs/pbx-2", headers={"If-Match": '"2"'})).status_code == 204
        assert problem(await admin.get("/v1/pbxs/pbx-2"))[:2] == (404, "not-found")

    async def test_one_in_use_is_not_removed(self, gateway: Gateway) -> None:
        shown = await gateway.admin.get("/v1/pbxs/pbx-1")
        assert shown.json()["connection"]["state"] == "connected"
        assert shown.json()["connection"]["owned_by"] == gateway.deployed.settings.instance
        refused = await gateway.admin.delete("/v1/pbxs/pbx-1", headers={"If-Match": shown.headers["etag"]})
        assert problem(refused)[:2] == (409, "pbx-enabled")

    async def test_other_lines_hold_for_the_next_call(self, gateway: Gateway) -> None:
        shown = await gateway.admin.get("/v1/pbxs/pbx-1")
        support = {"trunk_id": "support", "region": "CN", "dids": ["4008999"], "workspace": "support"}
        body = PBX | {"trunks": [*PBX["trunks"], support]}
        changed = await gateway.admin.put("/v1/pbxs/pbx-1", json=body, headers={"If-Match": shown.headers["etag"]})
        assert changed.status_code == 200

        async def taken() -> bool:
            return (await gateway.offer(dialled="4008999")).workspace == "support"

        await eventually(taken)
        assert gateway.pbx.connections == 1, "lines change without a reconnect"

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"driver": "abacus"}, "driver"),
            ({"address": "nowhere"}, "address"),
            ({"address": "pbx:70000"}, "address"),
            ({"workspace": "Main Street"}, "workspace"),
            ({"org_path": "cn"}, "org_path"),
            ({"trunks": []}, "trunks"),
            ({"trunks": [{"trunk_id": "t", "region": "XX"}]}, "trunks.0.region"),
            ({"trunks": [{"trunk_id": "t", "region": "CN", "dids": ["+"]}]}, "trunks.0.dids.0"),
            ({"trunks": [{"trunk_id": "t", "region": "CN", "dids": ["400-1", "4001"]}]}, "trunks.0.dids.1"),
            ({"trunks": [{"trunk_id": "t", "region": "CN"}] * 2}, "trunks.1.trunk_id"),
            ({"trunks": [{"trunk_id": "t", "region": "CN", "org_path": "/de"}]}, "trunks.0.org_path"),
            ({"outbound_prefixes": ["86"]}, "outbound_prefixes.0"),
            ({"enabled": "yes"}, "enabled"),
            ({"colour": "green"}, "colour"),
        ],
    )
    async def test_what_is_wrong_is_named(self, gateway: Gateway, change: dict[str, Any], field: str) -> None:
        response = await gateway.admin.put("/v1/pbxs/pbx-9", json=PBX | change)
        status, _code, fields = problem(response)
        assert (status, fields) == (422, [field])
        assert (await gateway.admin.get("/v1/pbxs/pbx-9")).status_code == 404

    async def test_who_may(self, gateway: Gateway) -> None:
        supervisor = gateway.deployed.client("supervisor", "/cn/east")
        assert (await supervisor.get("/v1/pbxs/pbx-1")).status_code == 200
        assert problem(await supervisor.put("/v1/pbxs/pbx-1", json=PBX))[:2] == (403, "role-missing")
        assert problem(await gateway.agent().get("/v1/pbxs"))[:2] == (403, "role-missing")
        elsewhere = gateway.deployed.client("administrator", "/cn/west")
        assert problem(await elsewhere.get("/v1/pbxs/pbx-1"))[0] == 404
        assert problem(await elsewhere.put("/v1/pbxs/pbx-3", json=PBX))[:2] == (403, "forbidden")
        taken = await elsewhere.put("/v1/pbxs/pbx-1", json=PBX | {"org_path": "/cn/west", "trunks": PBX["trunks"][:1]})
        assert problem(taken)[:2] == (409, "id-taken")
        assert problem(await gateway.deployed.bare_client().get("/v1/pbxs"))[0] == 401


class TestDevices:
    """Where devices belong."""

    async def test_configure_and_list(self, gateway: Gateway) -> None:
        admin = gateway.admin
        where = {"workspace": "main", "org_path": "/cn/east/shanghai"}
        known = await admin.put("/v1/pbxs/pbx-1/devices/1007", json=where)
        assert (known.status_code, known.json()["configured"], known.json()["state"]) == (200, True, "idle")
        new = await admin.put("/v1/pbxs/pbx-1/devices/2001", json=where)
        assert (new.status_code, new.json()["state"]) == (201, "unreachable")
        other = where | {"org_path": "/cn/east"}
        assert problem(await admin.put("/v1/pbxs/pbx-1/devices/2001", json=other))[0] == 428
        moved = await admin.put("/v1/pbxs/pbx-1/devices/2001", json=other, headers={"If-Match": new.headers["etag"]})
        assert moved.json()["org_path"] == "/cn/east"
        branch = gateway.agent("a1", "/cn/east/shanghai")
        mine = (await branch.get("/v1/devices")).json()["items"]
        assert [device["device_id"] for device in mine] == ["1007"]
        idle = (await admin.get("/v1/devices", params={"state": "unreachable", "pbx_id": "pbx-1"})).json()["items"]
        assert [device["device_id"] for device in idle] == ["2001"]
        # Where it belongs is in its events, too.
        await gateway.pbx.say(DeviceChanged(at=now(), device="2001", state=DeviceState.IDLE))
        changed = await gateway.bus.expect(
            telephony.DeviceChanged, lambda e: e.subject == "2001" and e.data.device.state is telephony.DeviceState.IDLE
        )
        assert changed.orgpath in ("/cn/east", "/cn/east/shanghai")

    async def test_refused(self, gateway: Gateway) -> None:
        admin = gateway.admin
        outside = {"workspace": "main", "org_path": "/cn/west"}
        assert problem(await admin.put("/v1/pbxs/pbx-1/devices/3001", json=outside)) == (422, "invalid", ["org_path"])
        inside = {"workspace": "main", "org_path": "/cn/east"}
        assert problem(await admin.put("/v1/pbxs/none/devices/3001", json=inside))[0] == 404
        assert problem(await admin.put("/v1/pbxs/pbx-1/devices/a b", json=inside))[0] == 422
        assert problem(await admin.get("/v1/pbxs/pbx-1/devices/3001"))[0] == 404
        assert problem(await admin.get("/v1/devices", params={"colour": "red"}))[0] == 422


class TestCalls:
    """Look up calls."""

    async def test_lists_have_filters_and_pages(self, gateway: Gateway) -> None:
        calls = [await gateway.offer(from_number="+8613912340000") for _ in range(3)]
        filters = {"from_number": "+8613912340000", "live": "true", "limit": 2}
        page = (await gateway.admin.get("/v1/calls", params=filters)).json()
        rest = (await gateway.admin.get("/v1/calls", params=filters | {"cursor": page["next_cursor"]})).json()
        found = [item["call_id"] for item in page["items"] + rest["items"]]
        assert found == [str(call.call_id) for call in reversed(calls)]
        assert rest["next_cursor"] is None
        none = await gateway.admin.get("/v1/calls", params={"from_number": "+8613912340000", "state": "cleared"})
        assert none.json()["items"] == []
        bad = await gateway.admin.get("/v1/calls", params={"cursor": "nonsense"})
        assert problem(bad)[1] == "invalid-cursor"

    async def test_agents_see_their_own_and_leaders_their_branch(self, gateway: Gateway) -> None:
        await gateway.seat("a31", "1003", org_path="/cn/east/shanghai")
        mine, other = await gateway.offer(), await gateway.offer()
        await gateway.connect(mine, agent_id="a31", device_id="1003")
        agent = gateway.agent("a31", "/cn/east/shanghai")
        assert (await agent.get(f"/v1/calls/{mine.call_id}")).status_code == 200, (
            "though its trunk is the branch's above"
        )
        assert problem(await agent.get(f"/v1/calls/{other.call_id}"))[0] == 404
        assert [c["call_id"] for c in (await agent.get("/v1/calls")).json()["items"]] == [str(mine.call_id)]
        assert problem(await agent.get("/v1/calls", params={"agent_id": "a1001"}))[0] == 403
        namesake = gateway.agent("a31", "/cn/west")
        assert problem(await namesake.get(f"/v1/calls/{mine.call_id}"))[0] == 404
        leader = gateway.deployed.client("supervisor", "/cn/east")
        assert (await leader.get(f"/v1/calls/{other.call_id}")).status_code == 200
        foreign = gateway.deployed.client("supervisor", "/cn/west")
        assert problem(await foreign.get(f"/v1/calls/{other.call_id}"))[0] == 404
        partner = gateway.deployed.client("partner", "/cn/east", partner_id="p")
        assert problem(await partner.get("/v1/calls"))[:2] == (403, "role-missing")
        nobody = gateway.deployed.client("agent", "/cn/east")
        assert problem(await nobody.get("/v1/calls"))[:2] == (403, "agent-unknown")


class TestControl:
    """Do something with a call."""

    async def test_hold_and_retrieve(self, gateway: Gateway) -> None:
        call = await gateway.offer()
        name, url = call.pbx_call_id, f"/v1/calls/{call.call_id}"
        early = await gateway.agent().post(f"{url}/hold", json={})
        assert problem(early)[0] == 404, "not this agent's yet"
        leg = await gateway.connect(call)
        held = await gateway.agent().post(f"{url}/hold", json={}, headers={"Idempotency-Key": "h1"})
        assert held.status_code == 202
        assert (await gateway.pbx.got(Hold, name)).leg == leg
        same = await gateway.agent().post(f"{url}/hold", json={}, headers={"Idempotency-Key": "h1"})
        assert same.json() == held.json()
        reused = await gateway.agent().post(f"{url}/retrieve", json={}, headers={"Idempotency-Key": "h1"})
        assert problem(reused)[:2] == (422, "idempotency-key-reused")
        assert problem(await gateway.agent().post(f"{url}/retrieve", json={}))[:2] == (409, "not-held")
        await gateway.pbx.say(LegHeld(at=now(), call=name, leg=leg))
        await gateway.heard(telephony.CallHeld, call.call_id)
        assert problem(await gateway.agent().post(f"{url}/hold", json={}))[:2] == (409, "already-held")
        assert (await gateway.agent().post(f"{url}/retrieve", json={})).status_code == 202
        await gateway.pbx.say(LegRetrieved(at=now(), call=name, leg=leg))
        retrieved = await gateway.heard(telephony.CallRetrieved, call.call_id)
        (hold,) = retrieved.data.call.connections[0].holds
        assert hold.ended_at is not None
        assert len(gateway.pbx.sent(Hold, name)) == 1
        orders = (await gateway.view(call.call_id))["orders"]
        assert [(order["action"], order["state"]) for order in orders] == [("Hold", "done"), ("Retrieve", "done")]
        assert orders[0]["order_id"] == held.json()["order_id"]

    async def test_what_the_pbx_refuses_is_told(self, gateway: Gateway) -> None:
        call = await gateway.offer()
        await gateway.connect(call)
        gateway.pbx.refuse_with = "wrong-state"
        try:
            assert (await gateway.agent().post(f"/v1/calls/{call.call_id}/hold", json={})).status_code == 202

            async def refused() -> bool:
                (order,) = (await gateway.view(call.call_id))["orders"]
                return (order["state"], order["refusal"]) == ("refused", "wrong-state")

            await eventually(refused)
        finally:
            gateway.pbx.refuse_with = None

    async def test_mute(self, gateway: Gateway) -> None:
        call = await gateway.offer()
        name, url = call.pbx_call_id, f"/v1/calls/{call.call_id}"
        assert problem(await gateway.admin.post(f"{url}/mute", json={}))[:2] == (409, "no-agent")
        leg = await gateway.connect(call)
        muted = await gateway.agent().post(f"{url}/mute", json={}, headers={"Idempotency-Key": "m1"})
        assert muted.status_code == 202, muted.text
        again = await gateway.agent().post(f"{url}/mute", json={}, headers={"Idempotency-Key": "m1"})
        assert again.json() == muted.json()
        assert problem(await gateway.agent().post(f"{url}/mute", json={"on": "no"})) == (422, "invalid-request", ["on"])
        assert (await gateway.agent().post(f"{url}/mute", json={"on": False})).status_code == 202
        assert (await gateway.pbx.got(Mute, name, count=2)).on is False
        assert [(command.leg, command.on) for command in gateway.pbx.sent(Mute, name)] == [(leg, True), (leg, False)]

    async def test_blind_transfer(self, gateway: Gateway) -> None:
        await gateway.seat("a1002", "1002")
        call = await gateway.offer()
        name, url = call.pbx_call_id, f"/v1/calls/{call.call_id}/transfer"
        leg = await gateway.connect(call)
        agent = gateway.agent()
        assert problem(await agent.post(url, json={}))[:2] == (422, "invalid")
        assert problem(await agent.post(url, json={"to_agent_id": "nobody"})) == (422, "invalid", ["to_agent_id"])
        assert problem(await agent.post(url, json={"to_device_id": "4711"})) == (422, "invalid", ["to_device_id"])
        assert problem(await agent.post(url, json={"to_device_id": "1001"}))[:2] == (409, "already-there")
        assert (await agent.post(url, json={"to_agent_id": "a1002"})).status_code == 202
        command = await gateway.pbx.got(BlindTransfer, name)
        assert (command.leg, command.device) == (leg, "1002")
        new = command.new_leg
        await gateway.pbx.say(
            LegInitiated(at=now(), call=name, leg=new, device="1002"),
            CallTransferred(at=now(), call=name, leg=new, from_leg=leg),
            LegCleared(at=now(), call=name, leg=leg),
            LegAnswered(at=now(), call=name, leg=new),
        )
        moved = await gateway.heard(telephony.CallTransferred, call.call_id)
        assert moved.data.call.connections[-1].agent_id == "a1002"
        left = await gateway.heard(telephony.ConnectionCleared, call.call_id)
        assert left.sequence < moved.sequence
        assert problem(await agent.post(url, json={"to_device_id": "1003"}))[:2] == (409, "connection-over")

    async def test_consult_then_transfer_or_confer(self, gateway: Gateway) -> None:
        await gateway.seat("a1002", "1002")
        call = await gateway.offer()
        name, url = call.pbx_call_id, f"/v1/calls/{call.call_id}"
        leg = await gateway.connect(call)
        agent = gateway.agent()
        attended = {"kind": "attended"}
        assert problem(await agent.post(f"{url}/transfer", json=attended))[:2] == (409, "not-consulting")
        assert problem(await agent.post(f"{url}/conference", json={}))[:2] == (409, "not-consulting")
        both = attended | {"to_agent_id": "a1002"}
        assert problem(await agent.post(f"{url}/transfer", json=both)) == (422, "invalid", ["kind"])
        assert (await agent.post(f"{url}/consult", json={"to_agent_id": "a1002"})).status_code == 202
        new = (await gateway.pbx.got(Consult, name)).new_leg
        await gateway.pbx.say(
            LegHeld(at=now(), call=name, leg=leg),
            LegInitiated(at=now(), call=name, leg=new, device="1002", consults=leg),
            LegAnswered(at=now(), call=name, leg=new),
        )
        await eventually(
            lambda: gateway.rows(
                "SELECT 1 AS a FROM calls WHERE 'a1002' = ANY(agent_ids) AND call_id = :c", c=call.call_id
            )
        )
        assert (await agent.post(f"{url}/conference", json={})).status_code == 202
        assert (await gateway.pbx.got(Conference, name)).new_leg == new
        assert (await agent.post(f"{url}/transfer", json=attended)).status_code == 202
        command = await gateway.pbx.got(AttendedTransfer, name)
        assert (command.leg, command.to_leg) == (leg, new)

    async def test_hang_up_ends_the_call_or_the_agents_part(self, gateway: Gateway) -> None:
        call = await gateway.offer()
        name, url = call.pbx_call_id, f"/v1/calls/{call.call_id}/hang-up"
        await gateway.assign(call)
        ring = await eventually(lambda: gateway.pbx.commands[-1] if gateway.pbx.commands[-1].call == name else None)
        await gateway.pbx.say(LegAlerting(at=now(), call=name, leg=ring.leg))
        await gateway.heard(telephony.CallAlerting, call.call_id)
        assert (await gateway.agent().post(f"/v1/calls/{call.call_id}/answer", json={})).status_code == 202
        await gateway.pbx.got(AnswerLeg, name)
        assert (await gateway.agent().post(url, json={})).status_code == 202
        await gateway.pbx.got(ClearLeg, name)
        declined = await gateway.heard(telephony.ConnectionFailed, call.call_id)
        assert declined.data.call.connections[0].failure is telephony.FailureReason.DECLINED
        assert not gateway.pbx.sent(HangUp, name)
        key = {"Idempotency-Key": f"end-{name}"}
        ended = await gateway.admin.post(url, json={}, headers=key)
        assert ended.status_code == 202
        await gateway.pbx.got(HangUp, name)
        await gateway.pbx.say(CallCleared(at=now(), call=name, by=Party.GATEWAY))
        await gateway.heard(telephony.CallCleared, call.call_id)
        assert (await gateway.admin.post(url, json={}, headers=key)).json() == ended.json()
        assert problem(await gateway.admin.post(url, json={}))[:2] == (409, "call-cleared")

    async def test_attributes(self, gateway: Gateway) -> None:
        call = await gateway.offer(attributes={"menu": "1"})
        url = f"/v1/calls/{call.call_id}/attributes"
        assert (await gateway.admin.post(url, json={"attributes": {"menu": "2", "合同": "x"}})).status_code == 422
        assert (await gateway.admin.post(url, json={"attributes": {"digits": "1"}})).status_code == 422
        assert (await gateway.admin.post(url, json={"attributes": {"menu": "2"}})).status_code == 202
        changed = await gateway.heard(telephony.CallAttributesChanged, call.call_id)
        assert changed.data.call.attributes == {"menu": "2"}
        many = {f"n{number}": "v" for number in range(50)}
        assert (await gateway.admin.post(url, json={"attributes": many})).status_code == 422

    async def test_bad_requests(self, gateway: Gateway) -> None:
        call = await gateway.offer()
        await gateway.connect(call)
        url = f"/v1/calls/{call.call_id}"
        admin = gateway.admin
        assert problem(await admin.post(f"/v1/calls/{uuid4()}/hold", json={}))[0] == 404
        assert problem(await admin.post("/v1/calls/x/hold", json={}))[0] == 422
        assert problem(await admin.post(f"{url}/hold", json={"foo": 1})) == (422, "invalid-request", ["foo"])
        assert problem(await admin.post(f"{url}/hold", json={"agent_id": "a9"})) == (409, "not-in-call", ["agent_id"])
        assert problem(await gateway.agent().post(f"{url}/hold", json={"agent_id": "a9"}))[0] == 403
        late = {"to_device_id": "1003", "timeout_s": 1e9}
        assert problem(await admin.post(f"{url}/transfer", json=late)) == (422, "invalid-request", ["timeout_s"])
        foreign = gateway.deployed.client("supervisor", "/cn/west")
        assert problem(await foreign.post(f"{url}/hang-up", json={}))[0] == 404
        assert not gateway.pbx.sent(HangUp, call.pbx_call_id)
        assert not gateway.pbx.sent(Hold, call.pbx_call_id)

    async def test_click_to_dial(self, gateway: Gateway) -> None:
        await gateway.seat("a41", "1004", org_path="/cn/east")
        agent = gateway.agent("a41")
        wish = {"pbx_id": "pbx-1", "number": "138 0013 8001"}
        dialled = await agent.post("/v1/calls", json=wish, headers={"Idempotency-Key": "d1"})
        assert dialled.status_code == 202, dialled.text
        assert (await agent.post("/v1/calls", json=wish, headers={"Idempotency-Key": "d1"})).json() == dialled.json()
        call_id = dialled.json()["call_id"]
        view = await gateway.view(call_id)
        name = view["pbx_call_id"]
        assert (view["direction"], view["from_number"], view["state"]) == ("outbound", "+8613800138001", "offered")
        (command,) = gateway.pbx.sent(Originate, name)
        assert (command.device, command.number) == ("1004", "+8613800138001")
        await gateway.pbx.say(
            CallOffered(at=now(), call=name, direction=Direction.OUTBOUND, dialled="+8613800138001"),
            LegAlerting(at=now(), call=name, leg=command.leg, device="1004"),
            LegAnswered(at=now(), call=name, leg=command.leg, device="1004"),
            CustomerAnswered(at=now(), call=name),
        )
        answered = await gateway.heard(telephony.CallAnswered, id_of(name))
        assert answered.data.call.connections[0].agent_id == "a41"
        assert not gateway.bus.said(telephony.CallOffered, lambda e: e.subject == call_id)
        abroad = await agent.post("/v1/calls", json=wish | {"number": "+44 20 7946 0000"})
        assert problem(abroad)[:2] == (403, "number-not-allowed")
        assert problem(await agent.post("/v1/calls", json=wish | {"number": "110"}))[2] == ["number"]
        assert problem(await agent.post("/v1/calls", json=wish | {"agent_id": "a1001"}))[0] == 403
        assert problem(await agent.post("/v1/calls", json=wish | {"pbx_id": "pbx-7"}))[0] == 422
        west = gateway.deployed.client("supervisor", "/cn/west")
        assert problem(await west.post("/v1/calls", json=wish | {"device_id": "1004"}))[0] == 422
        await gateway.pbx.say(DeviceChanged(at=now(), device="1004", state=DeviceState.IN_USE))
        await eventually(
            lambda: gateway.rows("SELECT 1 AS a FROM devices WHERE device_id = '1004' AND state = 'in_use'")
        )
        assert problem(await agent.post("/v1/calls", json=wish))[:2] == (409, "device-not-idle")
