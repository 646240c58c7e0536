"""Tasks that shall run as long as the process does: one that ends or fails is started again, after a pause."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
HEALTHY_AFTER_S = 10.0
"""A task that ran for so long was well; its next failure is a first one again."""


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
                if being_cancelled():
                    raise
                self.last_error = f"cancelled from within: {error}"
            except Exception as error:  # noqa: BLE001 (whatever it is, the task runs again)
                self.last_error = f"{type(error).__name__}: {error}"
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


async def cancel(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait for their end; their errors are theirs."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
