"""Fixtures: ``servers``, ``issuer``, ``deploy``, ``bus``."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from cordboard_chassis.auth.development import DevelopmentIssuer
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.containers import contained_servers
from cordboard_chassis.testing.deployment import Deployment
from cordboard_chassis.testing.servers import Servers


@pytest.fixture(scope="session")
def servers(worker_id: str) -> Iterator[Servers]:
    """Real servers: those of the environment (``script/test`` sets it), else containers where Docker answers."""
    found = Servers.from_environment()
    number = 1 + int(worker_id.removeprefix("gw")) % 14 if worker_id.startswith("gw") else 15
    if found is not None:
        yield found.with_redis_database(number)
        return
    with contained_servers() as started:
        if started is None:
            pytest.fail("no servers: run script/test, which finds or starts them")
        yield started.with_redis_database(number)


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentIssuer:
    """Issues tokens that deployed services accept."""
    return DevelopmentIssuer(Path(tmp_path_factory.mktemp("issuer")))


@pytest_asyncio.fixture
async def amqp_url(servers: Servers) -> AsyncIterator[str]:
    """A virtual host of the test's own."""
    url = await servers.make_vhost()
    yield url
    await servers.drop_vhost(url)


@pytest_asyncio.fixture
async def deploy(servers: Servers, issuer: DevelopmentIssuer, amqp_url: str) -> AsyncIterator[Deployment]:
    """Deploys services for this test; see `Deployment`."""
    deployment = Deployment(servers, issuer, amqp_url)
    yield deployment
    await deployment.stop()


@pytest_asyncio.fixture
async def bus(amqp_url: str) -> AsyncIterator[TestBus]:
    """The test's own end of the bus; begins to listen before anything is deployed when named first."""
    test_bus = TestBus(amqp_url)
    await test_bus.start()
    yield test_bus
    await test_bus.stop()
