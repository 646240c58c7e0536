"""Live tests: skipped, loudly, where there is no PBX."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parent))

from cordboard_chassis.testing.deployment import eventually
from live_centre import SETTINGS, Centre, configure
from live_lab import Phones, claimed, left_over
from live_scene import Scene

from dev.servers import CannotProvide
from dev.system import System


@pytest.fixture
def phones() -> Iterator[Phones]:
    """Phones and callers, gone with the test."""
    with claimed() as started:
        yield started


@pytest_asyncio.fixture
async def scene(phones: Phones) -> AsyncIterator[Scene]:
    """A driver, connected; afterwards nothing may be left of any call."""
    made = Scene()
    await made.start()
    try:
        yield made
        await made.hang_up_all()
        phones.stop()
        await eventually(lambda: not left_over(), timeout_s=10)
    finally:
        await made.stop()


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """The whole system, with servers of its own or those that the environment names."""
    try:
        with System("live", fresh=True, settings=SETTINGS) as running:
            asyncio.run(configure(running))
            yield running
    except CannotProvide as reason:
        pytest.skip(f"no servers: {reason}")


@pytest_asyncio.fixture
async def centre(system: System, phones: Phones) -> AsyncIterator[Centre]:
    """A contact centre in it; afterwards the PBX is free again."""
    async with Centre(system, phones) as opened:
        yield opened
