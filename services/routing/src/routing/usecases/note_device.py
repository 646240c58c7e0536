"""A phone became reachable, unreachable, or busy with something else."""

from cordboard_contracts.telephony import Device

from routing import engine as core
from routing.live import DeviceEntry, LiveWorkspace


def note_device(live: LiveWorkspace, device: Device, sequence: int) -> None:
    """Remember it, whether or not an agent has this phone now, unless something newer is known."""
    entry = live.devices.get(device.device_id)
    if entry is not None and sequence <= entry.sequence:
        return
    state = core.DeviceState(device.state)
    live.devices[device.device_id] = live.changes.devices[device.device_id] = DeviceEntry(state, sequence)
    agent_id = live.agent_at.get(device.device_id)
    if agent_id is not None:
        live.step(core.SetDevice(agent_id, state))
