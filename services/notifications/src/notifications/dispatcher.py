"""Sends webhooks: claims what is due, posts it, settles what came of it. Any number of processes share the work."""

import asyncio
import logging
import time
from collections import Counter as Tally
from collections.abc import Sequence
from uuid import UUID

from cordboard_chassis.database import Database
from cordboard_chassis.messaging import Intake
from cordboard_chassis.messaging.consumer import database_is_away
from cordboard_chassis.signatures import headers
from cordboard_chassis.supervision import cancel
from cordboard_chassis.wakeups import Wakeups
from prometheus_client import Counter, Histogram

from notifications.channels.webhook import WebhookChannel
from notifications.domain.deliveries import Outcome, Verdict
from notifications.domain.endpoints import secret_context
from notifications.settings import NotificationsSettings
from notifications.storage.queries import DELIVERIES_CHANNEL
from notifications.usecases.claim_deliveries import Claimed, claim_deliveries
from notifications.usecases.settle_deliveries import Result, judge, settle_deliveries

log = logging.getLogger(__name__)

ATTEMPTS = Counter("cordboard_webhook_attempts_total", "Attempts to send a webhook.", ("verdict",))
SECONDS = Histogram(
    "cordboard_webhook_seconds",
    "From the event's arrival in the ledger to the success of a webhook's first attempt.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)

DATABASE_PAUSE_S = 0.5
SETTLE_LIMIT = 200
"""Results in one transaction."""
GRACE = 0.6
"""Of the time for shutdown, so much is for attempts that are under way; the rest is for writing the results."""


class Dispatcher:
    """The dispatcher of this process."""

    def __init__(self, database: Database, wakeups: Wakeups, settings: NotificationsSettings) -> None:
        self._database = database
        self._wakeups = wakeups
        self._settings = settings

    async def run(self) -> None:
        """Dispatch until cancelled; then finish what is under way. Run supervised."""
        settings = self._settings
        async with (
            self._wakeups.event(DELIVERIES_CHANNEL) as woken,
            WebhookChannel(
                timeout_s=settings.webhook_timeout_s, allow_private=settings.webhook_allow_private
            ) as channel,
        ):
            await _Dispatching(self._database, channel, settings, woken).run()


class _Dispatching:
    def __init__(
        self, database: Database, channel: WebhookChannel, settings: NotificationsSettings, woken: asyncio.Event
    ) -> None:
        self._database = database
        self._channel = channel
        self._settings = settings
        self._keyring = settings.keyring
        self._woken = woken
        # Long enough for an attempt that began late, and short enough that a crash delays nothing for long.
        self._lease_s = 2 * settings.webhook_timeout_s + 1.0
        self._busy: Tally[UUID] = Tally()
        self._sending: set[asyncio.Task[None]] = set()
        self._results = Intake()
        self._unsettled = 0
        self._all_settled = asyncio.Event()
        self._all_settled.set()

    async def run(self) -> None:
        settling = asyncio.create_task(self._settle(), name="settle webhooks")
        claiming = asyncio.create_task(self._claim(), name="claim webhooks")
        try:
            ended, _ = await asyncio.wait({settling, claiming}, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            await cancel(claiming)
            if self._sending:
                await asyncio.wait(self._sending, timeout=self._settings.shutdown_s * GRACE)
            await cancel(*self._sending)
            await self._flush(settling)

    async def _flush(self, settling: "asyncio.Task[None]") -> None:
        if not settling.done():
            try:
                async with asyncio.timeout(self._settings.shutdown_s * (1 - GRACE)):
                    await self._all_settled.wait()
            except TimeoutError:
                log.warning("results are lost, their webhooks are sent again", extra={"number": self._unsettled})
        await cancel(settling)

    async def _claim(self) -> None:
        while True:
            self._woken.clear()
            try:
                claimed = await self._take(self._settings.webhook_concurrency - self._unsettled)
            except Exception as error:
                if not database_is_away(error):
                    raise
                log.warning("waiting for the database", extra={"error": str(error)[:200]})
                await asyncio.sleep(DATABASE_PAUSE_S)
                continue
            for delivery in claimed:
                self._begin(delivery)
            await self._rest()

    async def _take(self, free: int) -> Sequence[Claimed]:
        if free <= 0:
            return ()
        async with self._database.transaction() as uow:
            return await claim_deliveries(
                uow,
                free=free,
                busy={endpoint_id: number for endpoint_id, number in self._busy.items() if number},
                endpoint_limit=self._settings.webhook_endpoint_concurrency,
                lease_s=self._lease_s,
            )

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._settings.webhook_poll_s):
                await self._woken.wait()
        except TimeoutError:
            pass

    def _begin(self, claimed: Claimed) -> None:
        self._unsettled += 1
        self._all_settled.clear()
        self._busy[claimed.endpoint_id] += 1
        task = asyncio.create_task(self._send(claimed, time.monotonic()))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, claimed: Claimed, claimed_at: float) -> None:
        settings = self._settings
        outcome = Outcome(status=None, error="unknown: the sender stopped waiting for the answer", interrupted=True)
        try:
            # A process that was paused may wake up after its lease is over: then the webhook is another's.
            if time.monotonic() - claimed_at < self._lease_s - settings.webhook_timeout_s:
                context = secret_context(claimed.endpoint_id)
                secrets = [self._keyring.open(sealed, context) for sealed in claimed.sealed_secrets]
                signed = headers(str(claimed.id), int(time.time()), claimed.body, secrets)
                outcome = await self._channel.post(claimed.url, signed, claimed.body)
        except Exception as error:
            log.exception("a webhook could not be sent", extra={"delivery_id": str(claimed.id)})
            outcome = Outcome(status=None, error=f"{type(error).__name__}: {error}"[:300])
        finally:
            result = judge(claimed, outcome, settings.webhook_retry_scale)
            ATTEMPTS.labels("interrupted" if outcome.interrupted else result.decision.verdict.value).inc()
            self._results.put_nowait(result)

    async def _settle(self) -> None:
        while True:
            results: list[Result] = await self._results.drain(SETTLE_LIMIT)
            await self._write(results)
            self._free(results)

    async def _write(self, results: list[Result]) -> None:
        """Write results down, whatever the database says; a lost one only means that a webhook comes twice."""
        while True:
            try:
                async with self._database.transaction() as uow:
                    await settle_deliveries(uow, results, self._settings.webhook_retry_scale)
            except Exception as error:
                if database_is_away(error):
                    log.warning("waiting for the database", extra={"error": str(error)[:200]})
                    await asyncio.sleep(DATABASE_PAUSE_S)
                    continue
                if len(results) > 1:
                    for result in results:
                        await self._write([result])
                else:
                    log.exception("a result is lost", extra={"delivery_id": str(results[0].claimed.id)})
            return

    def _free(self, results: Sequence[Result]) -> None:
        loop = asyncio.get_running_loop()
        full = self._unsettled >= self._settings.webhook_concurrency
        self._unsettled -= len(results)
        for result in results:
            claimed, decision = result.claimed, result.decision
            self._busy[claimed.endpoint_id] -= 1
            if not self._busy[claimed.endpoint_id]:
                del self._busy[claimed.endpoint_id]
            full = full or claimed.fills
            if decision.delay_s is not None and decision.delay_s < self._settings.webhook_poll_s:
                loop.call_later(decision.delay_s, self._woken.set)  # sooner than polling would look
            if decision.verdict is Verdict.DELIVERED and claimed.number == 1:
                SECONDS.observe(max(0.0, time.time() - claimed.received_at.timestamp()))
        if not self._unsettled:
            self._all_settled.set()
        if full:
            self._woken.set()
