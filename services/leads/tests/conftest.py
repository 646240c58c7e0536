"""One leads service for all tests of a file; each test finds it empty."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cordboard_chassis.auth.development import DevelopmentIssuer
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, Deployment, eventually, rows
from cordboard_chassis.testing.servers import Servers
from cordboard_contracts import new_id
from cordboard_contracts.telephony import HangUpCall
from leads.app import build
from leads.settings import LeadsSettings
from sqlalchemy import text

TABLES = ("leads", "audit_entries", "lead_imports", "api_keys", "idempotency_keys", "refused_messages")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares a service shares its event loop."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and "stage" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


@dataclass(frozen=True)
class Stage:
    """A running service and the bus around it."""

    deployment: Deployment
    leads: Deployed
    bus: TestBus


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(servers: Servers, issuer: DevelopmentIssuer) -> AsyncIterator[Stage]:
    """Deployed once the bus listens, so that nothing is missed."""
    amqp_url = await servers.make_vhost()
    bus = TestBus(amqp_url)
    await bus.start()
    deployment = Deployment(servers, issuer, amqp_url)
    try:
        yield Stage(deployment, await deployment(build, LeadsSettings, import_rows=200), bus)
    finally:
        await deployment.stop()
        await bus.stop()
        await servers.drop_vhost(amqp_url)


@pytest_asyncio.fixture(loop_scope="module")
async def leads(stage: Stage) -> AsyncIterator[Deployed]:
    """The service; afterwards everything is said and forgotten."""
    yield stage.leads

    async def all_is_said() -> bool:
        return (await rows(stage.leads.database, "SELECT count(*) AS n FROM outbox"))[0]["n"] == 0

    await eventually(all_is_said)
    call_id = new_id()
    await stage.bus.publish(HangUpCall(call_id=call_id), subject=call_id)
    await stage.bus.expect(HangUpCall, lambda envelope: envelope.data.call_id == call_id)
    stage.bus.heard.clear()
    async with stage.leads.database.transaction() as uow:
        for table in TABLES:
            await uow.execute(text(f"DELETE FROM {table}"))


@pytest.fixture
def bus(stage: Stage) -> TestBus:
    """The test's own end of the bus."""
    return stage.bus


@pytest.fixture
def wang() -> dict[str, Any]:
    """A body for ``POST /v1/leads``."""
    return {
        "name": "王芳",
        "company": "云帆科技",
        "phone": "138 0013 8000",
        "region": "CN",
        "language": "zh-CN",
        "territory": "CN-31",
        "interest": "企业宽带",
        "attributes": {"campaign": "autumn"},
        "priority": 5,
    }
