"""Makes the sample service importable; ``api`` is one that answers requests."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from cordboard_chassis.auth.development import DevelopmentIssuer
from cordboard_chassis.settings import ServiceSettings
from cordboard_chassis.testing.deployment import Deployed, Deployment
from cordboard_chassis.testing.servers import Servers

sys.path.insert(0, str(Path(__file__).parent))

from sample.app import build


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(servers: Servers, issuer: DevelopmentIssuer) -> AsyncIterator[Deployed]:
    """The sample service in the role ``api``, for all tests of a module; it needs no broker."""
    deployment = Deployment(servers, issuer, "amqp://guest:guest@127.0.0.1:1/")
    yield await deployment(build, ServiceSettings, "api")
    await deployment.stop()
