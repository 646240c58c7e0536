"""Live tests: skipped, loudly, where there is no PBX."""

import fcntl
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parent))

from cordboard_chassis.testing.deployment import eventually
from live_lab import Phones, left_over
from live_scene import Scene


@pytest.fixture
def phones() -> Iterator[Phones]:
    """Phones and callers, gone with the test. There is one PBX: whoever else tests with it waits."""
    started = Phones()
    with (Path(tempfile.gettempdir()) / "cordboard-live-pbx.lock").open("w") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        try:
            yield started
        finally:
            started.stop()


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
