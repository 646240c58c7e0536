"""What wraps every request: failures become problems, requests are counted, event streams end at shutdown."""

import asyncio
import logging
import time
from typing import Any

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cordboard_chassis.http.problems import MEDIA_TYPE, FieldError, of_status, printable, problem_response

log = logging.getLogger(__name__)

REQUESTS = Counter("cordboard_http_requests_total", "HTTP requests answered.", ("method", "route", "status"))
SECONDS = Histogram(
    "cordboard_http_request_seconds",
    "Time from a request to the end of its answer; event streams are not counted.",
    ("method", "route"),
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_WITHIN = "cordboard.edge"
"""In the scope of a request that an edge has wrapped: that of the application in which ours is mounted."""
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Edge:
    """The outermost ASGI layer.

    Whatever goes wrong inside is answered with a problem document; a failure that nobody expected is logged
    with its trace id and tells the caller nothing else.
    """

    def __init__(self, app: ASGIApp, *, access_log: bool = False) -> None:
        self._app = app
        self._access_log = access_log
        self._streams: set[asyncio.Task[Any]] = set()
        self._draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or _WITHIN in scope:
            await self._app(scope, receive, send)
            return
        scope[_WITHIN] = True
        exchange = _Exchange(self, scope, receive, send)
        began = time.perf_counter()
        try:
            await exchange.run(self._app)
        finally:
            self._account(scope, exchange, time.perf_counter() - began)

    def drain(self) -> None:
        """End the event streams, now and any that begins later; other requests finish by themselves."""
        self._draining = True
        for task in self._streams:
            task.cancel()

    def stream_began(self, task: asyncio.Task[Any]) -> None:
        """An event stream answers in this task."""
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)
        if self._draining:
            task.cancel()

    @property
    def draining(self) -> bool:
        """Whether the process is about to end."""
        return self._draining

    def _account(self, scope: Scope, exchange: "_Exchange", elapsed_s: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        # The route's template, never the path: a path would make a time series per customer.
        route = getattr(scope.get("route"), "path_format", "unknown")
        REQUESTS.labels(method, route, str(exchange.status or "aborted")).inc()
        if not exchange.streams:
            SECONDS.labels(method, route).observe(elapsed_s)
        if self._access_log:
            log.info(
                "request",
                extra={
                    "method": method,
                    "path": printable(scope["path"]),
                    "status": exchange.status,
                    "ms": round(elapsed_s * 1000, 1),
                },
            )


class _Exchange:
    """One request and its answer."""

    def __init__(self, edge: Edge, scope: Scope, receive: Receive, send: Send) -> None:
        self._edge = edge
        self._scope = scope
        self._receive = receive
        self._send = send
        self._replaced = False
        self._finished = False
        self.status: int | None = None
        self.streams = False

    async def run(self, app: ASGIApp) -> None:
        if "\0" in self._scope["path"] or b"%00" in self._scope["query_string"]:
            reason = "contains the NUL character"
            field = "path" if "\0" in self._scope["path"] else "query"
            await problem_response(
                422,
                "invalid-request",
                f"{field}: {reason}",
                instance=printable(self._scope["path"]),
                errors=[FieldError(field=field, reason=reason)],
            )(self._scope, self._receive, self._forward)
            return
        try:
            await app(self._scope, self._receive, self._answer)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not (self.streams and self._edge.draining and task is not None):
                raise
            task.uncancel()
            if not self._finished:
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        except Exception:
            log.exception(
                "request failed",
                extra={"method": self._scope["method"], "path": printable(self._scope["path"])},
            )
            if self.status is None:
                await self._replace(500, {})
            elif not self._replaced and not self._finished:
                raise  # half an answer is out: the server cuts the connection, so that nobody takes it for whole

    async def _answer(self, message: Message) -> None:
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            headers = Headers(raw=message["headers"])
            content_type = headers.get("content-type", "")
            if message["status"] >= 400 and not content_type.startswith(MEDIA_TYPE):
                # Not from one of our handlers: the framework's own plain text.
                kept = {name: headers[name] for name in ("allow", "retry-after") if name in headers}
                await self._replace(message["status"], kept)
                return
            if content_type.startswith("text/event-stream"):
                self.streams = True
                task = asyncio.current_task()
                assert task is not None
                await self._forward(message)
                self._edge.stream_began(task)
                return
        await self._forward(message)

    async def _forward(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self._finished = True
        await self._send(message)

    async def _replace(self, status: int, headers: dict[str, str]) -> None:
        self._replaced = True
        detail = "an unexpected failure; it has been logged" if status == 500 else None
        instance = printable(self._scope["path"])
        response = of_status(status, instance=instance, detail=detail, headers=headers)
        await response(self._scope, self._receive, self._forward)
