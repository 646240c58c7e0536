"""Commands that wait for an adapter: written by the PBX's owner, read wherever the adapter asks."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cordboard_chassis.database import Database
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_chassis.wakeups import Wakeups

from telephony_gateway.domain.pbx_commands import Command
from telephony_gateway.drivers.http_messages import of_command
from telephony_gateway.drivers.interface import Disconnected
from telephony_gateway.storage import queries

LIMIT = 100
"""At once."""
MAX_WAITING = 2_000
LOOK_S = 0.5


@dataclass(frozen=True)
class Waiting:
    """A command, and its place in the order in which they were given."""

    position: int
    body: dict[str, Any]


class CommandBox:
    """The commands of one PBX."""

    def __init__(self, database: Database, pbx_id: str) -> None:
        self._database = database
        self._pbx_id = pbx_id

    async def put(self, commands: Sequence[Command]) -> None:
        """Have them wait; a command that waits already does so once.

        Raises:
            Disconnected: too many wait.
        """
        bodies = [of_command(command).model_dump(mode="json") for command in commands]
        async with self._database.transaction() as uow:
            if await queries.put_adapter_commands(uow, self._pbx_id, bodies) > MAX_WAITING:
                raise Disconnected(f"more than {MAX_WAITING} commands wait for the adapter")

    async def after(self, position: int) -> list[Waiting]:
        """The next that wait."""
        async with self._database.transaction() as uow:
            rows = await queries.adapter_commands(uow, self._pbx_id, position, LIMIT)
        return [Waiting(row.position, row.body) for row in rows]


async def wait_for_commands(
    box: CommandBox, wakeups: Wakeups, pbx_id: str, after: int, wait_s: float, in_a_hurry: Callable[[], bool]
) -> list[Waiting]:
    """The next commands; an empty list when there are none within ``wait_s``, or before somebody is in a hurry."""
    given = asyncio.Event()

    def hear(payload: str) -> None:
        if payload in ("", pbx_id):
            given.set()

    deadline_s = asyncio.get_running_loop().time() + wait_s
    async with wakeups.listening(queries.ADAPTER_COMMANDS_CHANNEL, hear):
        while True:
            given.clear()
            found = await box.after(after)
            left_s = deadline_s - asyncio.get_running_loop().time()
            if found or left_s <= 0 or in_a_hurry():
                return found
            try:
                async with asyncio.timeout(min(LOOK_S, left_s)):
                    await given.wait()
            except TimeoutError:
                continue


async def forget_commands(uow: UnitOfWork, pbx_id: str, command_ids: Iterable[UUID] | None) -> None:
    """They are answered; None: whatever waits belongs to a session that is over."""
    await queries.delete_adapter_commands(uow, pbx_id, None if command_ids is None else list(command_ids))
