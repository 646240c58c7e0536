"""Live: the process answers. Ready: it can do its work now, with the reason when it cannot."""

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cordboard_chassis.http.problems import unavailable

Check = Callable[[], Awaitable[str | None]]
"""None when all is well, else what is wrong."""

CHECK_TIMEOUT_S = 2.0


class Readiness:
    """Whether this process should be given work."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self.draining = False

    def add(self, name: str, check: Check) -> None:
        """Not ready while ``check`` finds something wrong."""
        self._checks[name] = check

    async def problems(self) -> dict[str, str]:
        """What is wrong, by name; empty when ready."""
        if self.draining:
            return {"process": "shutting down"}
        found = await asyncio.gather(*(self._ask(check) for check in self._checks.values()))
        return {name: problem for name, problem in zip(self._checks, found, strict=True) if problem}

    async def _ask(self, check: Check) -> str | None:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                return await check()
        except TimeoutError:
            return "does not answer"
        except Exception as error:  # noqa: BLE001 (whatever it is, it is said)
            return f"{type(error).__name__}: {error}"[:300]

    def routes(self) -> list[Route]:
        """``/livez``, ``/readyz`` and ``/metrics``."""

        async def live(_request: Request) -> Response:
            return JSONResponse({"status": "live"})

        async def ready(_request: Request) -> Response:
            problems = await self.problems()
            if not problems:
                return JSONResponse({"status": "ready"})
            detail = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
            return unavailable(detail, instance="/readyz", code="not-ready")

        async def metrics(_request: Request) -> Response:
            return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

        return [Route("/livez", live), Route("/readyz", ready), Route("/metrics", metrics)]
