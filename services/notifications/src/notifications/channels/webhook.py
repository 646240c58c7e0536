"""One HTTP POST to somebody else's server, which may be slow, huge, hostile, or not theirs at all."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from notifications.domain.addresses import is_public
from notifications.domain.deliveries import Outcome

MAX_BODY_BYTES = 16_384
"""So much of an answer's body is read at most."""
EXCERPT_CHARACTERS = 500
BODY_TIMEOUT_S = 1.0
"""The status has come and says it all; for the body we wait no longer than this."""
KEEP_ALIVE_S = 1.5
"""Shorter than any server's, so that we do not send on a connection that is being closed at the other end."""
MAX_LOOKUPS = 16
"""Threads that wait for name servers."""
USER_AGENT = "Cordboard-Webhooks/1"

Lookup = Callable[[str, int], list[tuple[Any, ...]]]
"""As `socket.getaddrinfo` with host and port; blocks."""


class NotPublic(OSError):
    """The host is not, or not only, at public addresses."""


def _getaddrinfo(host: str, port: int) -> list[tuple[Any, ...]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


class _Resolver(AbstractResolver):
    """Looks names up and refuses those with any address that is not public: which of them we would get is chance.

    What is looked up here is what is connected to; nobody asks a second time and gets another answer.
    """

    def __init__(self, lookup: Lookup, *, allow_private: bool) -> None:
        self._lookup = lookup
        self._allow_private = allow_private
        self._threads = ThreadPoolExecutor(MAX_LOOKUPS, "lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._lookup, host, port)
        results: list[ResolveResult] = []
        for address_family, _type, protocol, _name, address in found:
            if not self._allow_private:
                _require_public(str(address[0]))
            if family in (socket.AF_UNSPEC, address_family):
                results.append(
                    ResolveResult(
                        hostname=host,
                        host=str(address[0]),
                        port=port,
                        family=address_family,
                        proto=protocol,
                        flags=socket.AI_NUMERICHOST,
                    )
                )
        return results

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _require_public(address: str) -> None:
    if not is_public(address):
        raise NotPublic(f"{address} is not a public address")


def _public_socket(info: tuple[Any, ...]) -> socket.socket:
    """The last door, which literal addresses pass, too: no socket is made for an address that is not public."""
    family, kind, protocol, _name, address = info
    _require_public(str(address[0]))
    return socket.socket(family, kind, protocol)


class WebhookChannel:
    """Sends webhooks. Follows no redirect, keeps no cookie, uses no proxy."""

    def __init__(self, *, timeout_s: float, allow_private: bool, lookup: Lookup = _getaddrinfo) -> None:
        self._timeout_s = timeout_s
        self._allow_private = allow_private
        self._lookup = lookup
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(self._lookup, allow_private=self._allow_private),
            limit=0,  # whoever calls has a limit
            keepalive_timeout=KEEP_ALIVE_S,
            socket_factory=None if self._allow_private else _public_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            connector_owner=True,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"User-Agent": USER_AGENT, "Content-Type": "application/json", "Accept": "*/*"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            resolver = session.connector._resolver if isinstance(session.connector, aiohttp.TCPConnector) else None
            await session.close()
            if resolver is not None:
                await resolver.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Send it and say what came of it; fails only by being cancelled."""
        assert self._session is not None
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._session.post(url, data=body, headers=headers, allow_redirects=False)
        except TimeoutError:
            return self._failure(f"no answer within {self._timeout_s:g} s", began)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return self._failure(_reason(error), began)
        try:
            excerpt = await _excerpt(response)
            return Outcome(
                status=response.status,
                error=None if 200 <= response.status < 300 else f"answered {response.status}",
                retry_after_s=_retry_after_s(response.headers.get("Retry-After")),
                excerpt=excerpt,
                duration_ms=_since_ms(began),
            )
        finally:
            if response.content.at_eof():
                response.release()
            else:
                response.close()

    def _failure(self, error: str, began: float) -> Outcome:
        return Outcome(status=None, error=error, duration_ms=_since_ms(began))


def _since_ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _reason(error: BaseException) -> str:
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, NotPublic):
            return str(inner)
        inner = inner.__cause__ or getattr(inner, "os_error", None)
    return f"{type(error).__name__}: {error}"[:300]


async def _excerpt(response: aiohttp.ClientResponse) -> str:
    """The beginning of the body, as far as it comes soon; for people who look for what went wrong."""
    body = bytearray()
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while len(body) < MAX_BODY_BYTES:
                chunk = await response.content.read(MAX_BODY_BYTES - len(body))
                if not chunk:
                    break
                body += chunk
    return body.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")[:EXCERPT_CHARACTERS]


def _retry_after_s(value: str | None) -> float | None:
    """Seconds, or a date (RFC 9110, section 10.2.3); None when it is neither."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value[:12])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
