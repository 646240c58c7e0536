"""Devices, and what routing needs to know of them."""

from dataclasses import dataclass, replace
from datetime import datetime

from telephony_gateway.domain.words import DeviceState


@dataclass(frozen=True)
class Device:
    """A phone. ``version`` is the sequence of the newest event that was published about it."""

    pbx_id: str
    device_id: str
    workspace: str
    org_path: str
    state: DeviceState
    changed_at: datetime
    told: DeviceState = DeviceState.IDLE
    """What was published last: IN_USE is news only when it is not one of our calls."""
    version: int = 0


def seen(
    device: Device, state: DeviceState, at: datetime, *, in_our_call: bool, certain: bool = False
) -> tuple[Device, bool]:
    """The device in another state, and whether that is to be published.

    A report that is older than what is known changes nothing, unless it is ``certain``: part of a snapshot.
    """
    if at < device.changed_at and device.version > 0 and not certain:
        return device, False
    news = DeviceState.IDLE if state is DeviceState.IN_USE and in_our_call else state
    tell = device.version == 0 or news is not device.told
    changed_at = min(device.changed_at, at) if state is device.state else at
    version = device.version + 1 if tell else device.version
    return replace(device, state=state, changed_at=changed_at, told=news, version=version), tell
