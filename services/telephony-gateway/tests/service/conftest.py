"""Fixtures: ``gateway``, shared by the tests of a module, and ``make_gateway`` for tests that break things."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cordboard_chassis.auth.development import DevelopmentIssuer
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployment, eventually
from cordboard_chassis.testing.servers import Servers
from telephony_gateway import app
from telephony_gateway.drivers.interface import DeviceState
from telephony_gateway.settings import GatewaySettings

sys.path.insert(0, str(Path(__file__).parent))

from gateway_scene import PBX, Gateway, ScriptedPbx

MakeGateway = Callable[..., Awaitable[Gateway]]


def scripted_pbx(patch: pytest.MonkeyPatch) -> ScriptedPbx:
    scripted = ScriptedPbx(devices={f"100{n}": DeviceState.IDLE for n in range(1, 9)})
    patch.setattr(app, "DRIVERS", {**app.DRIVERS, "scripted": scripted.make_driver})
    return scripted


async def deployed_gateway(deploy: Deployment, bus: TestBus, pbx: ScriptedPbx, **settings: Any) -> Gateway:
    gateway = Gateway(await deploy(app.build, GatewaySettings, **settings), pbx, bus)
    response = await gateway.admin.put("/v1/pbxs/pbx-1", json=PBX)
    assert response.status_code in (200, 201), response.text
    await eventually(lambda: pbx.connections > 0)
    return gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(servers: Servers, issuer: DevelopmentIssuer) -> AsyncIterator[Gateway]:
    """A deployment takes seconds: its calls have names of their own, so tests can share it."""
    amqp_url = await servers.make_vhost()
    bus = TestBus(amqp_url)
    deployment = Deployment(servers, issuer, amqp_url)
    with pytest.MonkeyPatch.context() as patch:
        pbx = scripted_pbx(patch)
        try:
            await bus.start()
            yield await deployed_gateway(deployment, bus, pbx)
        finally:
            await deployment.stop()
            await bus.stop()
            await servers.drop_vhost(amqp_url)


@pytest.fixture
def pbx(monkeypatch: pytest.MonkeyPatch) -> ScriptedPbx:
    return scripted_pbx(monkeypatch)


@pytest_asyncio.fixture
async def make_gateway(bus: TestBus, deploy: Deployment, pbx: ScriptedPbx) -> MakeGateway:
    async def make(**settings: Any) -> Gateway:
        return await deployed_gateway(deploy, bus, pbx, **settings)

    return make
