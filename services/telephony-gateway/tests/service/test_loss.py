"""Connections break, gateways die, PBXs restart: what lives goes on, what died ends, nobody is left in a call."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployment, eventually
from cordboard_contracts import Envelope, telephony
from gateway_scene import PBX, Gateway, ScriptedPbx, now
from sqlalchemy import text
from telephony_gateway import app
from telephony_gateway.drivers.interface import (
    CallCleared,
    Connect,
    DeviceState,
    Direction,
    HangUp,
    LegAnswered,
    LegState,
    LiveCall,
    LiveLeg,
    Party,
)
from telephony_gateway.settings import GatewaySettings
from telephony_gateway.usecases import board, purge_calls


def live(call: telephony.Call | str, *legs: LiveLeg) -> LiveCall:
    """A call as a snapshot tells it."""
    name = call if isinstance(call, str) else call.pbx_call_id
    return LiveCall(
        call=name,
        direction=Direction.INBOUND,
        dialled="4008100",
        from_number="13800138009",
        offered_at=now(),
        legs=legs,
    )


async def test_after_a_lost_connection(make_gateway) -> None:  # type: ignore[no-untyped-def]
    gateway: Gateway = await make_gateway(pbx_grace_s=0.0)
    pbx = gateway.pbx
    kept, ended, told, ringing, over = [await gateway.offer() for _ in range(5)]
    kept_leg = await gateway.connect(kept)
    await gateway.connect(ended, device_id="1002")
    ended_leg = await gateway.connect(told, device_id="1003")
    await pbx.say(CallCleared(at=now(), call=over.pbx_call_id, by=Party.CUSTOMER))
    await gateway.heard(telephony.CallCleared, over.call_id)
    lost_at = now()
    await pbx.lose(lost_at)
    await gateway.assign(ringing, device_id="1004")
    shown = await eventually(lambda: _connection(gateway, "disconnected"))
    assert shown["detail"] == "cut"
    problems = await eventually(gateway.deployed.process.readiness.problems)
    assert "pbx-1 not connected" in problems["PBXs"]
    assert not pbx.sent(Connect, ringing.pbx_call_id)

    talking = LiveLeg(leg=kept_leg, device="1001", state=LegState.CONNECTED)
    missed = LiveLeg(leg="pbx-9", device="1005", state=LegState.CONNECTED, answered_at=now())
    pbx.calls = {
        "kept": live(kept, talking),
        "ringing": live(ringing),
        "new": live("came-meanwhile"),
        "answered": live("came-and-was-answered", missed),
        "over": live(over),
    }
    pbx.ended = (CallCleared(at=lost_at + timedelta(seconds=1), call=told.pbx_call_id, by=Party.CUSTOMER, cause="16"),)
    del pbx.devices["1008"]
    await pbx.come_back()
    gone = await gateway.heard(telephony.CallCleared, ended.call_id)
    assert (gone.data.call.cleared_at, gone.data.call.cleared_by) == (lost_at, "pbx")
    assert gone.data.call.cause == "ended-while-disconnected"
    known = await gateway.heard(telephony.CallCleared, told.call_id)
    assert (known.data.call.cleared_at, known.data.call.cleared_by) == (lost_at + timedelta(seconds=1), "customer")
    assert known.data.call.connections[0].ended_at == lost_at + timedelta(seconds=1), ended_leg
    await gateway.bus.expect(telephony.CallOffered, lambda e: e.data.call.pbx_call_id == "came-meanwhile")
    await gateway.bus.expect(telephony.CallAnswered, lambda e: e.data.call.pbx_call_id == "came-and-was-answered")
    again = await pbx.got(Connect, ringing.pbx_call_id)
    assert again.timeout_s < 19
    await pbx.got(HangUp, over.pbx_call_id)
    await gateway.bus.expect(
        telephony.DeviceChanged, lambda e: e.subject == "1008" and e.data.device.state == "unreachable"
    )
    view = await gateway.view(kept.call_id)
    assert (view["state"], view["connections"][0]["ended_at"]) == ("established", None)
    assert not gateway.bus.said(telephony.CallCleared, lambda e: e.subject in (str(kept.call_id), str(ringing.call_id)))
    assert (await _connection(gateway, "connected"))["detail"] == ""
    assert not await gateway.deployed.process.readiness.problems()


async def test_nobody_can_be_reached_while_the_pbx_is_away_for_long(
    make_gateway,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board, "AWAY_S", 0.2)
    gateway: Gateway = await make_gateway()
    call = await gateway.offer()
    await gateway.connect(call)
    await gateway.pbx.lose(now())
    for device_id in gateway.pbx.devices:
        await gateway.bus.expect(telephony.DeviceChanged, _is(device_id, DeviceState.UNREACHABLE))
    await gateway.pbx.come_back()
    for device_id in gateway.pbx.devices:
        found = _is(device_id, DeviceState.UNREACHABLE)
        unreachable = await gateway.bus.expect(telephony.DeviceChanged, found)
        back = await gateway.bus.expect(telephony.DeviceChanged, _is(device_id, DeviceState.IDLE, unreachable.sequence))
        assert back.sequence == unreachable.sequence + 1


def _is(device_id: str, state: DeviceState, after: int = 0) -> Callable[[Envelope[Any]], bool]:
    return lambda e: e.subject == device_id and e.data.device.state == state and e.sequence > after


async def _connection(gateway: Gateway, state: str) -> dict[str, str]:
    connection: dict[str, str] = (await gateway.admin.get("/v1/pbxs/pbx-1")).json()["connection"]
    assert connection["state"] == state
    return connection


async def test_a_gateway_that_died_in_mid_call(make_gateway) -> None:  # type: ignore[no-untyped-def]
    gateway: Gateway = await make_gateway()
    pbx = gateway.pbx
    talking, asked, died = [await gateway.offer() for _ in range(3)]
    leg = await gateway.connect(talking)
    pbx.reachable = False  # the command is committed and never arrives
    await gateway.assign(asked, device_id="1002")
    committed = "SELECT 1 AS a FROM calls WHERE call_id = :id AND agent_ids <> '{}'"
    await eventually(lambda: gateway.rows(committed, id=asked.call_id))
    await gateway.deployed.stop()
    pbx.reachable, pbx.report = True, None
    pbx.calls = {"1": live(talking, LiveLeg(leg=leg, device="1001", state=LegState.HELD)), "2": live(asked)}
    pbx.started_at = now()

    revived: Gateway = await make_gateway()
    await revived.heard(telephony.CallHeld, talking.call_id)
    connect = await pbx.got(Connect, asked.pbx_call_id)
    cleared = await revived.heard(telephony.CallCleared, died.call_id)
    assert cleared.data.call.cleared_at == pbx.started_at, "no later than the PBX came up"
    await pbx.say(LegAnswered(at=now(), call=asked.pbx_call_id, leg=connect.leg))
    await revived.heard(telephony.CallAnswered, asked.call_id)
    assert len(revived.bus.said(telephony.CallOffered, lambda e: e.subject == str(talking.call_id))) == 1
    cases = {e.correlationid for e in revived.bus.heard if e.subject == str(talking.call_id)}
    assert cases == {talking.call_id}


async def test_the_other_replica_takes_over(make_gateway) -> None:  # type: ignore[no-untyped-def]
    first: Gateway = await make_gateway(instance="first")
    second: Gateway = await make_gateway(instance="second")
    pbx = first.pbx
    assert pbx.connections == 1, "one owner"
    call = await first.offer()
    leg = await first.connect(call)
    pbx.calls = {"1": live(call, LiveLeg(leg=leg, device="1001", state=LegState.CONNECTED))}
    loop = asyncio.get_running_loop()
    began = loop.time()
    await first.deployed.stop()
    await eventually(lambda: pbx.connections == 2, timeout_s=5)
    assert loop.time() - began < 5
    assert (await eventually(lambda: _connection(second, "connected")))["owned_by"] == "second"
    await second.assign(call)
    await second.heard(telephony.ConnectionFailed, call.call_id)  # an agent has it already
    await pbx.say(CallCleared(at=now(), call=call.pbx_call_id, by=Party.CUSTOMER))
    await second.heard(telephony.CallCleared, call.call_id)


async def test_an_owner_that_is_cut_off_cannot_write(make_gateway) -> None:  # type: ignore[no-untyped-def]
    gateway: Gateway = await make_gateway(instance="only")
    pbx = gateway.pbx
    call = await gateway.offer()
    pbx.calls = {"1": live(call)}
    cut = """
        SELECT pg_terminate_backend(pid) AS cut FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'cordboard-telephony-owner'
    """
    async with gateway.deployed.database.transaction() as uow:
        assert await uow.all(text(cut))
    await pbx.say(CallCleared(at=now(), call="nobody", by=Party.CUSTOMER))
    await eventually(lambda: pbx.connections == 2)
    await gateway.assign(call)
    await pbx.got(Connect, call.pbx_call_id)


async def test_a_removed_pbx_leaves_no_ghosts(make_gateway) -> None:  # type: ignore[no-untyped-def]
    gateway: Gateway = await make_gateway()
    call = await gateway.offer()
    await gateway.connect(call)
    admin = gateway.admin
    tag = (await admin.get("/v1/pbxs/pbx-1")).headers["etag"]
    disabled = await admin.put("/v1/pbxs/pbx-1", json=PBX | {"enabled": False}, headers={"If-Match": tag})
    assert disabled.json()["connection"]["state"] == "disabled"
    assert (await gateway.view(call.call_id))["state"] == "established"

    async def removed() -> bool:
        response = await admin.delete("/v1/pbxs/pbx-1", headers={"If-Match": disabled.headers["etag"]})
        assert response.status_code in (204, 409), response.text
        return bool(response.status_code == 204)

    await eventually(removed)
    cleared = await gateway.heard(telephony.CallCleared, call.call_id)
    assert (cleared.data.call.cleared_by, cleared.data.call.cause) == ("gateway", "pbx-removed")
    assert (await admin.get("/v1/devices")).json()["items"] == []


async def test_a_pbx_that_moves_is_followed(make_gateway) -> None:  # type: ignore[no-untyped-def]
    gateway: Gateway = await make_gateway()
    admin = gateway.admin
    tag = (await admin.get("/v1/pbxs/pbx-1")).headers["etag"]
    moved = await admin.put("/v1/pbxs/pbx-1", json=PBX | {"address": "127.0.0.1:5100"}, headers={"If-Match": tag})
    assert moved.status_code == 200
    await eventually(lambda: gateway.pbx.connections == 2)
    call = await gateway.offer()
    await gateway.assign(call)
    await gateway.pbx.got(Connect, call.pbx_call_id)


async def test_old_calls_are_purged(
    deploy: Deployment, bus: TestBus, pbx: ScriptedPbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge_calls, "PAUSE_S", 0.05)
    pbx.devices = {"1001": DeviceState.IDLE}
    gateway = Gateway(await deploy(app.build, GatewaySettings, call_retention_days=1), pbx, bus)
    await gateway.admin.put("/v1/pbxs/pbx-1", json=PBX)
    old, young = await gateway.offer(at=now() - timedelta(days=3)), await gateway.offer()
    await pbx.say(CallCleared(at=now() - timedelta(days=2), call=old.pbx_call_id, by=Party.CUSTOMER))
    await gateway.heard(telephony.CallCleared, old.call_id)
    await eventually(lambda: _is_gone(gateway, old))
    await gateway.view(young.call_id)


async def _is_gone(gateway: Gateway, call: telephony.Call) -> bool:
    return bool((await gateway.admin.get(f"/v1/calls/{call.call_id}")).status_code == 404)
