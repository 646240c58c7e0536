"""A contact centre on a real Asterisk, as people use it: through the APIs and with phones."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from cordboard_chassis.testing.deployment import eventually
from live_lab import HOST, PORT, SECRET, USER, Phones

from dev.demo.api import Api
from dev.system import System

WORKSPACE, ORG_PATH = "main", "/cn/east"
CALLER = "+8613082856110"
AMI_PORT, AMI_SECRET = 5038, "lab-ami"
DRIVERS = {"asterisk-ari": (PORT, "4008100"), "asterisk-ami": (AMI_PORT, "4008200")}
"""Where each of them connects, and the number at which it gets calls."""
SETTINGS = {
    "PBX_ASTERISK_ARI_USER": USER,
    "PBX_ASTERISK_ARI_SECRET": SECRET,
    "PBX_ASTERISK_AMI_USER": USER,
    "PBX_ASTERISK_AMI_SECRET": AMI_SECRET,
}
DEVICES = ("1002", "1003")
WITHIN_S = 30.0


async def configure(system: System) -> None:
    """Two agents, a queue, and the same PBX once for each driver, not connected."""
    async with Api(system) as api:
        await api.ask("PUT", "routing", f"/v1/workspaces/{WORKSPACE}", {"org_path": ORG_PATH, "name": "live"})
        queue = {"name": "calls", "wrap_up_s": 0, "offer_timeout_s": 20}
        await api.ask("PUT", "routing", f"/v1/workspaces/{WORKSPACE}/queues/calls", queue)
        rule = {"name": "calls", "when": {}, "then": {"queue": "calls", "requirement": {"calls": 1}}}
        await api.ask("PUT", "routing", f"/v1/workspaces/{WORKSPACE}/rules", {"rules": [rule]})
        for device in DEVICES:
            profile = {"workspace": WORKSPACE, "org_path": ORG_PATH, "name": device, "device_id": device}
            await api.ask("PUT", "routing", f"/v1/agents/a{device}", {**profile, "skills": {"calls": 50}})
        for driver in DRIVERS:
            await api.ask("PUT", "telephony", f"/v1/pbxs/{driver}", pbx_of(driver, enabled=False))


def pbx_of(driver: str, *, enabled: bool) -> dict[str, Any]:
    """The lab's PBX as it is configured."""
    port, did = DRIVERS[driver]
    trunk = {"trunk_id": "carrier", "region": "CN", "territory": "CN-31", "dids": [did]}
    place = {"driver": driver, "address": f"{HOST}:{port}", "workspace": WORKSPACE, "org_path": ORG_PATH}
    return {**place, "trunks": [trunk], "enabled": enabled}


class Centre:
    """What `configure` has made, and one PBX at a time, named after its driver."""

    def __init__(self, system: System, phones: Phones) -> None:
        self.system = system
        self.phones = phones
        self._api = Api(system)
        self._pbx = ""

    async def __aenter__(self) -> Self:
        for device in DEVICES:
            await self.is_now(device, "offline")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pbx:
            for call in await self._calls():
                if call["state"] != "cleared":
                    await self._ask("POST", "telephony", f"/v1/calls/{call['call_id']}/hang-up", {})
                    await self.is_cleared(call["call_id"])
            await self._configure_pbx(enabled=False)
        await self._api.__aexit__(kind, error, trace)

    async def connect_pbx(self, driver: str) -> None:
        """The gateway gets its PBX."""
        self._pbx = driver
        await self._configure_pbx(enabled=True)
        await self.pbx_is("connected")

    async def _configure_pbx(self, *, enabled: bool) -> None:
        path = f"/v1/pbxs/{self._pbx}"
        seen = (await self._ask("GET", "telephony", path))["version"]
        headers = {"If-Match": f'"{seen}"'}
        await self._ask("PUT", "telephony", path, pbx_of(self._pbx, enabled=enabled), headers=headers)

    async def pbx_is(self, state: str) -> None:
        """Wait until the gateway says so of its PBX."""

        async def found() -> bool:
            shown = await self._ask("GET", "telephony", f"/v1/pbxs/{self._pbx}")
            return bool(shown["connection"]["state"] == state)

        await eventually(found, timeout_s=WITHIN_S)

    async def is_now(self, device: str, state: str) -> None:
        """The agent at a device says so of themselves."""
        await self._ask("PUT", "routing", f"/v1/agents/a{device}/state", {"state": state}, agent_id=f"a{device}")

    async def call_in(self, **keys: str | int) -> str:
        """Somebody calls; the call's id."""
        known = {call["call_id"] for call in await self._calls()}
        self.phones.caller(did=DRIVERS[self._pbx][1], caller=CALLER, **keys)

        async def found() -> str | None:
            return next((call["call_id"] for call in await self._calls() if call["call_id"] not in known), None)

        call_id = await eventually(found, timeout_s=WITHIN_S)
        assert call_id is not None
        return call_id

    async def talks(self, call_id: str, device: str) -> None:
        """Wait until the customer talks with this agent and nobody else."""

        def is_so(call: dict[str, Any]) -> bool:
            return [c["device_id"] for c in call["connections"] if c["state"] == "connected"] == [device]

        await self._until(call_id, is_so)

    async def is_cleared(self, call_id: str) -> dict[str, Any]:
        """Wait until the call is over; what the gateway says of it."""
        return await self._until(call_id, lambda call: call["state"] == "cleared")

    async def order(self, call_id: str, device: str, action: str, **body: str) -> None:
        """The agent at a device wants this done with a call."""
        await self._ask("POST", "telephony", f"/v1/calls/{call_id}/{action}", body, agent_id=f"a{device}")

    async def history(self, call_id: str) -> dict[str, Any]:
        """Wait until the call is in the caller's history, as something that is over."""

        async def found() -> dict[str, Any] | None:
            listed = await self._api.every("accounts", f"/v1/interactions?number={CALLER.replace('+', '%2B')}")
            ended = (row for row in listed if row["interaction_id"] == call_id and row["ended_at"] is not None)
            return next(ended, None)

        return await self._wait_for(found)

    async def agent_is_free(self, device: str) -> None:
        """Wait until nothing keeps the agent busy."""

        async def found() -> bool:
            shown = await self._ask("GET", "routing", f"/v1/agents/a{device}")
            return bool(shown["state"] == "ready")

        await eventually(found, timeout_s=WITHIN_S)

    async def _until(self, call_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async def found() -> dict[str, Any] | None:
            call: dict[str, Any] = await self._ask("GET", "telephony", f"/v1/calls/{call_id}")
            return call if is_so(call) else None

        return await self._wait_for(found)

    @staticmethod
    async def _wait_for(found: Callable[[], Awaitable[dict[str, Any] | None]]) -> dict[str, Any]:
        shown = await eventually(found, timeout_s=WITHIN_S)
        assert shown is not None
        return shown

    async def _calls(self) -> list[dict[str, Any]]:
        return await self._api.every("telephony", "/v1/calls")

    async def _ask(self, *args: Any, **more: Any) -> Any:
        return await self._api.ask(*args, **more)
