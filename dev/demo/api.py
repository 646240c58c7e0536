"""Talks to the services over HTTP, as any client would."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx2

from dev.demo.running import Running

TIMEOUT_S = 30.0
PAGE = 200
RESUME_PAUSE_S = 0.2


class Failed(Exception):
    """A service did not do what it was asked; says what and why. ``status``: of its answer; None without one."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Api:
    """One HTTP client for all services; requests go to the replicas in turn."""

    def __init__(self, system: Running) -> None:
        self._system = system
        self._administrator = system.token("administrator")
        self._tokens: dict[str, str] = {}
        self._turn = 0
        limits = httpx2.Limits(max_connections=40, max_keepalive_connections=20)
        self._client = httpx2.AsyncClient(timeout=TIMEOUT_S, limits=limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def ask(
        self,
        method: str,
        service: str,
        path: str,
        body: Any = None,
        *,
        agent_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One request as an administrator, or as an agent; the answer's JSON.

        Raises:
            Failed: it was answered with a problem, or not at all.
        """
        urls = self._system.urls(service)
        self._turn += 1
        token = self._administrator if agent_id is None else self._token(agent_id)
        try:
            response = await self._client.request(
                method,
                urls[self._turn % len(urls)] + path,
                json=body,
                headers={"Authorization": f"Bearer {token}", **(headers or {})},
            )
        except httpx2.HTTPError as error:
            raise Failed(f"{method} {service}{path}: {error!r}") from error
        if response.is_error:
            raise Failed(
                f"{method} {service}{path}: {response.status_code} {response.text[:500]}", response.status_code
            )
        return response.json() if response.content else None

    async def every(self, service: str, path: str, *, limit: int = 100_000) -> list[dict[str, Any]]:
        """All items of a list, page by page."""
        items: list[dict[str, Any]] = []
        join = "&" if "?" in path else "?"
        cursor = ""
        while len(items) < limit:
            page = await self.ask("GET", service, f"{path}{join}limit={PAGE}{cursor}")
            items += page["items"]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        return items

    async def events(self, types: list[str]) -> AsyncIterator[dict[str, Any]]:
        """The event stream of notifications, from now on; resumes where it was cut."""
        position: str | None = None
        while True:
            headers = {"Authorization": f"Bearer {self._administrator}"}
            if position is not None:
                headers["Last-Event-ID"] = position
            url = self._system.urls("notifications")[0] + "/v1/stream"
            try:
                async with self._client.stream(
                    "GET", url, params=[("types", name) for name in types], headers=headers, timeout=60
                ) as response:
                    async for line in response.aiter_lines():
                        if line.startswith("id: "):
                            position = line[4:]
                        elif line.startswith("data: "):
                            yield json.loads(line[6:])
            except httpx2.HTTPError:
                await asyncio.sleep(RESUME_PAUSE_S)

    async def metrics(self, service: str) -> dict[str, float]:
        """Sums of the counters of messages, over all replicas."""
        sums: dict[str, float] = {}
        for url in self._system.metrics_urls(service):
            text = (await self._client.get(url + "/metrics")).text
            for row in text.splitlines():
                name, _, value = row.rpartition(" ")
                if name.startswith("cordboard_messages_"):
                    short = name.partition("{")[0].removeprefix("cordboard_messages_").removesuffix("_total")
                    if not short.endswith("created"):
                        sums[short] = sums.get(short, 0.0) + float(value)
        return sums

    def _token(self, agent_id: str) -> str:
        if agent_id not in self._tokens:
            self._tokens[agent_id] = self._system.token("agent", agent_id=agent_id)
        return self._tokens[agent_id]
