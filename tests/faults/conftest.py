"""One system for all tests of faults: started once, broken again and again."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import pytest_asyncio

from dev.servers import CannotProvide
from dev.system import System
from tests.faults.centre import SPEED, Centre
from tests.faults.report import as_property
from tests.faults.traffic import Traffic, flowing

Flowing = Callable[[int], AbstractAsyncContextManager[Traffic]]


@pytest.fixture(scope="package")
def system() -> Iterator[System]:
    """The whole system with servers of its own, which can be stopped; whatever the environment names is left alone."""
    try:
        with System("faults", fresh=True, environ={}, pbx_speed=SPEED) as running:
            yield running
    except CannotProvide as reason:
        pytest.skip(f"no servers that may be stopped: {reason}")


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def centre(system: System) -> AsyncIterator[Centre]:
    """The contact centre in it."""
    opened = await Centre.open(system)
    yield opened
    await opened.close()


@pytest.fixture
def traffic(centre: Centre, request: pytest.FixtureRequest) -> Flowing:
    """``async with traffic(seed) as flowing``: traffic in the background, its account in the report."""

    @asynccontextmanager
    async def with_seed(seed: int) -> AsyncIterator[Traffic]:
        async with flowing(centre, request.node.name, seed) as running:
            try:
                yield running
            finally:
                request.node.user_properties.append(as_property(running.entry))

    return with_seed
