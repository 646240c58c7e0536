"""Client of the control link: for the demo, tests and load generators.

async with await ControlClient.connect("127.0.0.1", 5098) as pbx:
    await pbx.set_trunk("pstn", ["4008100"])
    await pbx.set_device("1001", behaviour=Behaviour(answer_after=Fixed(1.5)))
    await pbx.place_call(CallerScript(did="4008100", number="+8613800138000", talk=Fixed(60)))
    print(await pbx.stats())
"""

import asyncio
import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

from telephony_gateway.virtual_pbx.control_requests import MAX_CONTROL_LINE, MAX_PAGE
from telephony_gateway.virtual_pbx.core.scripts import Behaviour, CallerScript, PartyScript
from telephony_gateway.virtual_pbx.lines import line

RowT = TypeVar("RowT")

BATCH = 2_000
"""Callers or devices per request: far below what a request may have."""


class ControlRefused(Exception):
    """The PBX will not do it. ``reason`` is a stable word."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ControlLost(Exception):
    """The control link broke, or the PBX did not answer in time; what was asked may have been done."""


class ControlClient:
    """One connection to the control link. Requests of several tasks are done one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, timeout_s: float = 30.0) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self._requests = 0

    @classmethod
    async def connect(cls, host: str, port: int, *, timeout_s: float = 30.0) -> "ControlClient":
        """Connect.

        Raises:
            ControlLost: nobody listens there.
        """
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(host, port, limit=MAX_CONTROL_LINE)
        except (OSError, TimeoutError) as error:
            raise ControlLost(f"control link {host}:{port}: {error}") from error
        return cls(reader, writer, timeout_s=timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect; calls go on."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return

    async def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """Ask for one operation of PROTOCOL.md, part two, and return its result.

        Raises:
            ControlRefused: it makes no sense.
            ControlLost: no answer.
        """
        async with self._lock:
            self._requests += 1
            request_id = self._requests
            try:
                async with asyncio.timeout(self._timeout_s):
                    self._writer.write(line({"id": request_id, "op": op, **fields}))
                    await self._writer.drain()
                    answer = json.loads(await self._reader.readuntil(b"\n"))
            except (OSError, TimeoutError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
                self._writer.close()
                raise ControlLost(f"{op}: {error!r}") from error
        if not answer["ok"]:
            raise ControlRefused(answer["reason"], answer["detail"])
        assert answer["id"] == request_id
        result: dict[str, Any] = answer["result"]
        return result

    # ---- the world around the PBX

    async def set_trunk(self, trunk: str, dids: Sequence[str], channels: int = 10_000) -> None:
        """Add a trunk, or change it."""
        await self.request("set_trunks", trunks=[{"trunk": trunk, "dids": list(dids), "channels": channels}])

    async def set_device(
        self,
        device: str,
        *,
        registered: bool | None = None,
        powered: bool | None = None,
        behaviour: Behaviour | None = None,
    ) -> None:
        """Add a device, or change what is given."""
        row = _device_row(device, behaviour)
        if registered is not None:
            row["registered"] = registered
        if powered is not None:
            row["powered"] = powered
        await self.request("set_devices", devices=[row])

    async def set_devices(self, behaviours: Mapping[str, Behaviour]) -> None:
        """Add many devices, or change their behaviour."""
        for batch in _batches(behaviours.items()):
            rows = [_device_row(device, behaviour) for device, behaviour in batch]
            await self.request("set_devices", devices=rows)

    async def set_party(self, number: str, party: PartyScript) -> None:
        """Say who answers at ``number`` (``*``: at all others) when it is called from here."""
        await self.request("set_parties", parties=[{"number": number, **asdict(party)}])

    async def place_call(self, script: CallerScript, after_s: float = 0.0) -> None:
        """Have somebody call, ``after_s`` seconds of the PBX's clock from now."""
        await self.place_calls([(after_s, script)])

    async def place_calls(self, calls: Iterable[tuple[float, CallerScript]]) -> None:
        """Have many call: pairs of when (seconds of the PBX's clock from now) and who."""
        for batch in _batches(calls):
            rows = [{"after_s": after_s, **asdict(script)} for after_s, script in batch]
            await self.request("place_calls", calls=rows)

    async def agent(self, device: str, do: str, **fields: Any) -> str | None:
        """Have the agent at ``device`` do something now; the call that it was about."""
        result = await self.request("agent", device=device, do=do, **fields)
        return result.get("call")

    async def customer_hangs_up(self, call: str) -> None:
        """Have the customer of a live call leave."""
        await self.request("customer", call=call, do="hang_up")

    async def customer_presses(self, call: str, digits: str) -> None:
        """Have the customer of a live call press keys."""
        await self.request("customer", call=call, do="press", digits=digits)

    # ---- accidents

    async def drop_clients(self, refuse_s: float = 0.0) -> int:
        """Cut every connection of the switch link and refuse new ones for a while; how many were cut."""
        result = await self.request("drop_clients", refuse_s=refuse_s)
        return int(result["dropped"])

    async def stall(self, for_s: float) -> None:
        """Freeze the switch link."""
        await self.request("stall", for_s=for_s)

    async def crash(self, down_s: float = 0.5) -> int:
        """Lose all calls and connections and restart; how many calls died."""
        result = await self.request("crash", down_s=down_s)
        return int(result["died"])

    async def inject(self, data: bytes) -> None:
        """Write bytes to every client of the switch link that gets events."""
        await self.request("inject", base64=base64.b64encode(data).decode())

    # ---- the books

    async def stats(self) -> dict[str, Any]:
        """Counts, live figures, percentiles: see PROTOCOL.md."""
        return await self.request("stats")

    async def samples(self, kind: str, after: int = 0) -> list[dict[str, Any]]:
        """All raw latency samples of a kind (``assignment``, ``freed``) from number ``after`` on."""
        return await self._pages("samples", "samples", after, kind=kind)

    async def records(self, after: int = 0) -> list[dict[str, Any]]:
        """All calls that are over, from number ``after`` on, in the order in which they ended."""
        return await self._pages("records", "records", after)

    async def live(self) -> list[dict[str, Any]]:
        """Calls that are up (10,000 at most)."""
        result = await self.request("live")
        calls: list[dict[str, Any]] = result["calls"]
        return calls

    async def offences(self) -> list[dict[str, Any]]:
        """Double connects and double answers, the newest 1,000."""
        result = await self.request("offences")
        offences: list[dict[str, Any]] = result["offences"]
        return offences

    async def _pages(self, op: str, key: str, after: int, **fields: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            result = await self.request(op, after=after, limit=MAX_PAGE, **fields)
            page = result[key]
            rows += page
            after = max(after, result["made"] - result["kept"]) + len(page)
            if len(page) < MAX_PAGE:
                return rows


def _batches(rows: Iterable[RowT]) -> Iterator[list[RowT]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def _device_row(device: str, behaviour: Behaviour | None) -> dict[str, Any]:
    return {"device": device} if behaviour is None else {"device": device, "behaviour": asdict(behaviour)}
