"""Phones as Asterisk names them, and its words for what they do, whichever interface tells them."""

from collections.abc import Mapping

from telephony_gateway.domain.words import DeviceState

PHONES = frozenset({"PJSIP", "SIP", "IAX2", "SCCP", "DAHDI"})
"""Technologies of devices; others (Local, Announcer, Queue ...) are Asterisk's own inventions."""

DEVICE_STATES: Mapping[str, DeviceState] = {
    "NOT_INUSE": DeviceState.IDLE,
    "INUSE": DeviceState.IN_USE,
    "BUSY": DeviceState.IN_USE,
    "RINGING": DeviceState.IN_USE,
    "RINGINUSE": DeviceState.IN_USE,
    "ONHOLD": DeviceState.IN_USE,
    "UNAVAILABLE": DeviceState.UNREACHABLE,
    "INVALID": DeviceState.UNREACHABLE,
}
