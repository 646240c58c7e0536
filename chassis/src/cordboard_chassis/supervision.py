"""Tasks that shall run as long as the process does: one that ends or fails is started again, after a pause."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0
"""Half as much again by chance: consumers are back within seconds of their server, with room in the 10 s they have."""
CANCEL_AGAIN_S = 0.5
HEALTHY_AFTER_S = 6.0
"""A task that ran for so long was well (no attempt to connect takes longer than 5 s); its next failure is a first one
again."""


@dataclass(frozen=True)
class Background:
    """Work beside requests and messages, in the processes that have the role ``worker``."""

    name: str
    run: Callable[[], Awaitable[None]]


@dataclass
class Supervised:
    """A running `Background`; ``failures`` in a row, for the readiness probe."""

    background: Background
    failures: int = 0
    last_error: str = ""
    began_at: float = 0.0
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)

    def start(self) -> None:
        """Begin, and begin again whenever it ends."""
        self.task = asyncio.create_task(self._keep_running(), name=self.background.name)

    @property
    def settled(self) -> bool:
        """Whether it has run long enough to count as well again."""
        return asyncio.get_running_loop().time() - self.began_at > HEALTHY_AFTER_S

    async def stop(self) -> None:
        """Cancel it and wait until it is over."""
        if self.task is not None:
            await cancel(self.task)

    async def _keep_running(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.began_at = loop.time()
            try:
                await self.background.run()
                self.last_error = "ended"
            except asyncio.CancelledError as error:
                # A library may raise CancelledError for a cancelled future of its own; only ours means "end".
                self.last_error = f"cancelled from within: {error}"
            except Exception as error:  # noqa: BLE001 (whatever it is, the task runs again)
                self.last_error = f"{type(error).__name__}: {error}"
            end_if_cancelled()
            if self.settled:
                self.failures = 0
            self.failures += 1
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self.failures - 1, 10))
            pause_s *= 0.5 + random.random()  # noqa: S311 (spreads restarts, guards nothing)
            log.warning(
                "background task restarts",
                extra={
                    "task": self.background.name,
                    "error": self.last_error[:500],
                    "pause_s": round(pause_s, 2),
                },
            )
            await asyncio.sleep(pause_s)


def being_cancelled() -> bool:
    """Whether somebody really cancelled the current task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def end_if_cancelled() -> None:
    """End a task that catches everything: a library may have turned its cancellation into an error of its own."""
    if being_cancelled():
        raise asyncio.CancelledError


class PartEnded(Exception):
    """One of several things that belong together ended."""


async def until_one_ends(*parts: Coroutine[Any, Any, None]) -> None:
    """Run them side by side until the first ends, then cancel the others; never returns without an exception.

    Raises:
        PartEnded: one returned; or whatever one raised.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            if not task.cancelled() and (error := task.exception()):
                raise error
        raise PartEnded(", ".join(task.get_name() for task in ended))
    finally:
        await cancel(*tasks)


async def cancel(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait for their end; their errors are theirs."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        # Again after a while: a library amid a call may swallow one cancellation.
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # looked at, so that nobody warns of it
