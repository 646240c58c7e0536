"""What the owner of a PBX has in mind: its live calls and devices, and what the present group has changed of them.

It is rebuilt from the database at each takeover; when a group fails to commit, the owner begins anew.
"""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork

from telephony_gateway.domain.adapter_session import AdapterSession
from telephony_gateway.domain.announcements import announce
from telephony_gateway.domain.call import Call, call_id_of
from telephony_gateway.domain.devices import Device, seen
from telephony_gateway.domain.lines import Pbx
from telephony_gateway.domain.pbx_commands import Command
from telephony_gateway.domain.transitions import LEFT_ALONE_S
from telephony_gateway.domain.words import DeviceState
from telephony_gateway.storage import queries
from telephony_gateway.usecases.publish_call import publish_call, publish_device

AWAY_S = 5.0
"""A PBX that is away for longer cannot ring anybody's phone: routing shall not offer calls to them."""
REMEMBERED_CLEARED = 20_000
"""So many calls that ended lately are known by name, so that a late *offered* makes none of them anew."""


@dataclass
class Board:
    """See above. ``calls`` are by the PBX's name and live."""

    pbx: Pbx
    calls: dict[str, Call] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    connected: bool = False
    lost_at: datetime | None = None
    """When the PBX was last heard, while the connection is lost; None when not known."""
    session: AdapterSession | None = None
    """With the adapter of the open interface, while there is one."""
    commands: list[Command] = field(default_factory=list)
    """To be sent once the group is committed."""
    _names: dict[UUID, str] = field(default_factory=dict)
    _orders: dict[UUID, str] = field(default_factory=dict)
    """By each pending command's id, its call."""
    _busy: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By device, the calls in which it has a live leg."""
    _cleared: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _left_alone: dict[str, float] = field(default_factory=dict)
    """By call, until when (monotonic) the PBX may say what became of the customer."""
    _away_at: float | None = field(default_factory=lambda: time.monotonic() + AWAY_S)
    """When (monotonic) the PBX will have been away for too long; None while it is there, and once that is told."""
    _changed_calls: dict[UUID, Call] = field(default_factory=dict)
    _changed_devices: dict[str, Device] = field(default_factory=dict)

    @classmethod
    async def load(cls, uow: UnitOfWork, pbx: Pbx) -> "Board":
        """As the database has it."""
        board = cls(pbx)
        for call in await queries.live_calls(uow, pbx.pbx_id):
            board._remember(call)
        await board.load_devices(uow)
        return board

    async def reload(self, uow: UnitOfWork) -> None:
        """As the database has it, after a group that failed; what is known of the connection stays.

        Except of an adapter's: of its events some may be lost with the group.
        """
        if self.session is not None:
            self.see_connection(uow.now, connected=False)
        fresh = await Board.load(uow, self.pbx)
        self.calls, self.devices, self.commands = fresh.calls, fresh.devices, []
        self._names, self._orders, self._busy = fresh._names, fresh._orders, fresh._busy
        self._left_alone = fresh._left_alone
        self._changed_calls, self._changed_devices = {}, {}

    async def load_devices(self, uow: UnitOfWork) -> None:
        """Read the devices once more: where they belong may have been changed."""
        self.devices = {device.device_id: device for device in await queries.devices_of(uow, self.pbx.pbx_id)}
        for device_id, changed in self._changed_devices.items():
            stored = self.devices.get(device_id, changed)
            self.devices[device_id] = replace(changed, workspace=stored.workspace, org_path=stored.org_path)

    def was_cleared(self, pbx_call: str) -> bool:
        """Whether a call of this name ended lately."""
        return pbx_call in self._cleared

    def call_of_order(self, order_id: UUID) -> Call | None:
        """The live call to which a command belongs."""
        name = self._orders.get(order_id)
        return self.calls.get(name) if name is not None else None

    async def find(self, uow: UnitOfWork, call_id: UUID) -> Call | None:
        """A call of this PBX, live or over."""
        if call_id in self._changed_calls:
            return self._changed_calls[call_id]
        name = self._names.get(call_id)
        if name is not None:
            return self.calls[name]
        found = await queries.find_calls(uow, [call_id])
        return found[0] if found and found[0].pbx_id == self.pbx.pbx_id else None

    async def keep(self, uow: UnitOfWork, before: Call | None, after: Call, at: datetime) -> Call:
        """Take a call as it is now: to be written, announced, and its new commands sent after the commit."""
        if before is after:
            return after
        after = await self._with_agents(uow, before, after)
        known = {order.order_id for order in before.orders} if before is not None else set()
        self.commands.extend(order.command for order in after.pending if order.order_id not in known)
        after = publish_call(uow, after, announce(before, after), at)
        self._changed_calls[after.call_id] = after
        self._remember(after)
        return after

    def keep_quietly(self, call: Call) -> None:
        """Take a call whose change need not survive a crash."""
        self._remember(call)
        if call.call_id in self._changed_calls:
            self._changed_calls[call.call_id] = call

    def keep_device(
        self, uow: UnitOfWork, device_id: str, state: DeviceState, at: datetime, *, certain: bool = False
    ) -> None:
        """Take the state of a device; a new one belongs where the PBX does."""
        known = self.devices.get(device_id) or Device(
            pbx_id=self.pbx.pbx_id,
            device_id=device_id,
            workspace=self.pbx.workspace,
            org_path=self.pbx.org_path,
            state=state,
            changed_at=at,
        )
        in_our_call = bool(self._busy.get(device_id))
        device, tell = seen(known, state, at, in_our_call=in_our_call, certain=certain)
        if device == known:
            return
        self.devices[device_id] = self._changed_devices[device_id] = device
        if tell:
            publish_device(uow, device)

    async def write(self, uow: UnitOfWork) -> None:
        """Everything that the group has changed, in one statement per table."""
        await queries.write_calls(uow, self._changed_calls.values())
        await queries.write_devices(uow, self._changed_devices.values())
        self._changed_calls.clear()
        self._changed_devices.clear()

    def take_commands(self) -> list[Command]:
        """What is to be sent now; nothing while the connection is lost: it is repeated when that is back."""
        commands = {command.command_id: command for command in self.commands} if self.connected else {}
        self.commands = []
        return list(commands.values())

    def see_connection(self, lost_at: datetime | None = None, *, connected: bool) -> None:
        """The connection is up, or lost."""
        self.connected, self.lost_at = connected, lost_at
        if not connected:
            self.session = None
        self._away_at = None if connected else time.monotonic() + AWAY_S

    def presume_unreachable(self, uow: UnitOfWork) -> bool:
        """When the PBX has been away for too long, so are its devices; whether that is so now, for the first time."""
        if self._away_at is None or self._away_at > time.monotonic():
            return False
        self._away_at = None
        for device_id in list(self.devices):
            self.keep_device(uow, device_id, DeviceState.UNREACHABLE, uow.now, certain=True)
        return True

    def patience_s(self) -> float | None:
        """How long until something has to be presumed; None when there is nothing to wait for."""
        until = [*self._left_alone.values(), *([] if self._away_at is None else [self._away_at])]
        if self.session is not None:
            until.append(self.session.silent_at_s)
        return max(0.0, min(until) - time.monotonic()) if until else None

    def silent_s(self) -> float | None:
        """Since when the adapter has said nothing, in seconds, if that is too long."""
        now = time.monotonic()
        if self.session is None or self.session.silent_at_s > now:
            return None
        return now - self.session.heard_s

    def left_alone(self) -> list[Call]:
        """Calls of which the PBX should have said by now what became of the customer."""
        now = time.monotonic()
        return [self.calls[name] for name, until in self._left_alone.items() if until <= now]

    async def ended_calls(self, uow: UnitOfWork, names: Iterable[str]) -> dict[str, Call]:
        """Of calls that are not live here: those that we know all the same, and that are over."""
        ids = [call_id_of(self.pbx.pbx_id, name) for name in names]
        return {call.pbx_call: call for call in await queries.find_calls(uow, ids) if call.is_cleared}

    def _remember(self, call: Call) -> None:
        old = self.calls.pop(call.pbx_call, None)
        if old is not None:
            for order in old.pending:
                self._orders.pop(order.order_id, None)
            for connection in old.live():
                self._busy[connection.device_id].discard(call.pbx_call)
        if call.is_cleared or not call.leaving():
            self._left_alone.pop(call.pbx_call, None)
        else:
            self._left_alone.setdefault(call.pbx_call, time.monotonic() + LEFT_ALONE_S)
        if call.is_cleared:
            self._names.pop(call.call_id, None)
            self._cleared[call.pbx_call] = None
            if len(self._cleared) > REMEMBERED_CLEARED:
                self._cleared.popitem(last=False)
            return
        self.calls[call.pbx_call] = call
        self._names[call.call_id] = call.pbx_call
        for order in call.pending:
            self._orders[order.order_id] = call.pbx_call
        for connection in call.live():
            self._busy[connection.device_id].add(call.pbx_call)

    async def _with_agents(self, uow: UnitOfWork, before: Call | None, after: Call) -> Call:
        """Legs that the PBX made by itself: their agents are found by their devices."""
        known = {c.leg for c in before.connections} if before is not None else set()
        unknown = {c.device_id for c in after.connections if c.agent_id is None and c.leg not in known}
        if not unknown:
            return after
        agents = await queries.agents_at(uow, after.workspace, unknown)
        connections = tuple(
            c if c.agent_id is not None else replace(c, agent_id=agents.get(c.device_id)) for c in after.connections
        )
        return replace(after, connections=connections)
