"""``script/serve``, as the README says: it starts, says where everything is, and leaves nothing behind."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cordboard_chassis.testing.deployment import eventually
from cordboard_chassis.testing.servers import VARIABLES, Servers

from dev.places import ROOT, STATE

START_S, STOP_S = 120.0, 40.0


@pytest.mark.timeout(240)
async def test_the_system_is_served_until_it_is_interrupted(servers: Servers, tmp_path: Path) -> None:
    urls = {VARIABLES[field.name]: getattr(servers, field.name) for field in fields(servers)}
    output = tmp_path / "output"
    with output.open("wb") as file, _interruptible():
        serving = subprocess.Popen(  # noqa: ASYNC220 (nothing else runs in this loop)
            [ROOT / "script" / "serve"],
            cwd=tmp_path,
            env={**os.environ, **urls},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def described() -> dict[str, Any]:
        if serving.poll() is not None:
            said = output.read_text()
            pytest.skip(f"another instance has this checkout: {said}") if "already" in said else pytest.fail(said)
        assert (STATE / "system.json").exists()
        system: dict[str, Any] = json.loads((STATE / "system.json").read_text())
        assert system["pid"] == serving.pid
        return system

    try:
        system = await eventually(described, START_S)
        await eventually(lambda: "Cordboard runs" in output.read_text())
        assert len(system["services"]) == 5
        async with httpx2.AsyncClient(timeout=10) as client:
            for service in system["services"].values():
                assert (await client.get(service["urls"][0] + "/readyz")).json() == {"status": "ready"}
            customers = system["services"]["accounts"]["urls"][0] + "/v1/customers"
            token = {"Authorization": f"Bearer {system['tokens']['administrator']}"}
            assert (await client.get(customers, headers=token)).status_code == 200
            serving.send_signal(signal.SIGINT)
            assert serving.wait(STOP_S) == 0, output.read_text()
            with pytest.raises(httpx2.ConnectError):
                await client.get(customers)
    finally:
        serving.terminate()
        serving.wait(STOP_S)
    assert not (STATE / "system.json").exists()


@contextmanager
def _interruptible() -> Iterator[None]:
    """What is started in the block heeds SIGINT, even if we were started in the background and do not."""
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, ours)
