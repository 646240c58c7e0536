"""A running accounts service, and calls as the gateway would tell of them."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
import pytest_asyncio
from accounts.app import build
from accounts.settings import AccountsSettings
from cordboard_chassis.testing.deployment import Deployed, Deployment
from cordboard_contracts import new_id, telephony

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)

MakeCall = Callable[..., telephony.Call]


@pytest_asyncio.fixture
async def api(deploy: Deployment) -> AsyncIterator[Deployed]:
    """The service, answering HTTP but consuming nothing."""
    yield await deploy(build, AccountsSettings, "api")


@pytest_asyncio.fixture
async def accounts(deploy: Deployment) -> AsyncIterator[Deployed]:
    """The service, whole."""
    yield await deploy(build, AccountsSettings)


@pytest.fixture
def make_customer() -> Callable[..., Any]:
    """``await make_customer(client, name="...", phones=[...])`` -> the answer's body."""

    async def make(client: httpx2.AsyncClient, **fields: Any) -> dict[str, Any]:
        body = {"kind": "organisation", "name": "上海远洋物流有限公司", **fields}
        answer = await client.post("/v1/customers", json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    return make


@pytest.fixture
def make_call() -> MakeCall:
    """A call at some point of its life: ``make_call(number, answered_by=["a1001"], cleared=True)``."""

    def make(
        number: str | None = "+8613800138000",
        *,
        call_id: UUID | None = None,
        org_path: str = "/cn/east/shanghai",
        answered_by: list[str] | None = None,
        cleared: bool = False,
        at: datetime = NOON,
    ) -> telephony.Call:
        agents = answered_by or []
        state = telephony.CallState.ESTABLISHED if agents else telephony.CallState.OFFERED
        return telephony.Call(
            call_id=call_id or new_id(),
            pbx_id="pbx-1",
            pbx_call_id="1",
            workspace="main",
            org_path=org_path,
            direction=telephony.Direction.INBOUND,
            state=telephony.CallState.CLEARED if cleared else state,
            from_number=number,
            dialled="+862188880000",
            connections=tuple(
                telephony.AgentConnection(
                    connection_id=new_id(),
                    agent_id=agent_id,
                    device_id="1001",
                    state=telephony.ConnectionState.CLEARED if cleared else telephony.ConnectionState.CONNECTED,
                    initiated_at=at + timedelta(seconds=position),
                    answered_at=at + timedelta(seconds=10 + position),
                    joined_at=at + timedelta(seconds=10 + position),
                )
                for position, agent_id in enumerate(agents)
            ),
            offered_at=at,
            answered_at=at + timedelta(seconds=10) if agents else None,
            cleared_at=at + timedelta(seconds=100) if cleared else None,
        )

    return make
