"""How many requests a caller may make: counted in Redis over all replicas of a service, and unlimited without Redis."""

import logging
import math
import time

from prometheus_client import Counter
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

LIMITED = Counter("cordboard_http_limited_total", "HTTP requests refused because their caller made too many.")
UNCOUNTED = Counter("cordboard_http_uncounted_total", "HTTP requests let through uncounted: Redis was away.")

WINDOW_S = 60
TIMEOUT_S = 0.1
"""A request waits no longer than this for its count,"""
AWAY_S = 1.0
"""and after that nobody asks Redis for so long."""


class TooManyRequests(Exception):
    """The caller shall come back in ``retry_after_s``."""

    def __init__(self, limit: int, retry_after_s: int) -> None:
        super().__init__(f"more than {limit} requests within {WINDOW_S} s")
        self.retry_after_s = retry_after_s


class RateLimit:
    """At most ``limit`` requests of a caller within any ``WINDOW_S``; 0 is no limit.

    A sliding window of two counters: what was counted in the window before counts for the part of it that is still
    within reach. What is refused is not counted.
    """

    def __init__(self, redis_url: str, service: str, limit: int) -> None:
        self._service = service
        self._limit = limit
        self._away_until = 0.0
        self._redis: Redis = Redis.from_url(
            redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )

    async def count(self, caller: str) -> None:
        """One request more.

        Raises:
            TooManyRequests: it is one too many.
        """
        if not self._limit:
            return
        if time.monotonic() < self._away_until:
            UNCOUNTED.inc()
            return
        try:
            await self._count(caller, time.time())
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + AWAY_S
            UNCOUNTED.inc()
            log.warning("requests are not counted: Redis is away", extra={"error": str(error)[:200]})

    async def _count(self, caller: str, now_s: float) -> None:
        window, elapsed_s = divmod(now_s, WINDOW_S)
        name = f"cordboard:requests:{self._service}:{caller}"
        earlier, present = f"{name}:{int(window) - 1}", f"{name}:{int(window)}"
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.get(earlier)
            pipeline.incr(present)
            pipeline.expire(present, 2 * WINDOW_S)
            before, made, _ = await pipeline.execute()
        wait_s = wait_for_room_s(int(before or 0), made - 1, self._limit, elapsed_s)
        if wait_s > 0:
            await self._redis.decr(present)
            LIMITED.inc()
            raise TooManyRequests(self._limit, math.ceil(wait_s))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def wait_for_room_s(before: int, made: int, limit: int, elapsed_s: float) -> float:
    """Seconds until one request more is within ``limit``; 0 when it is now.

    ``before`` were made in the window before, ``made`` in this one, of which ``elapsed_s`` have passed.
    """
    if before * (WINDOW_S - elapsed_s) / WINDOW_S + made + 1 <= limit:
        return 0.0
    if made < limit:
        return WINDOW_S - elapsed_s - (limit - made - 1) / before * WINDOW_S
    return WINDOW_S - elapsed_s + (made - limit + 1) / made * WINDOW_S
