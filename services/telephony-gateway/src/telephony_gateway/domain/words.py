"""The words of CSTA (ECMA-269) that calls, PBXs and contracts share, with the contracts' values."""

from enum import StrEnum


class Direction(StrEnum):
    """Who began the call, seen from the contact centre."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class CallState(StrEnum):
    """Where a call is, from the customer's point of view."""

    OFFERED = "offered"
    ALERTING = "alerting"
    ESTABLISHED = "established"
    CLEARED = "cleared"


class LegState(StrEnum):
    """Where one agent's leg (a CSTA connection) is. The last two are final."""

    INITIATED = "initiated"
    ALERTING = "alerting"
    CONNECTED = "connected"
    HELD = "held"
    FAILED = "failed"
    CLEARED = "cleared"


class FailureReason(StrEnum):
    """Why a device was not connected."""

    NO_ANSWER = "no_answer"
    BUSY = "busy"
    DECLINED = "declined"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"
    """The caller left, or the gateway wanted the leg no more."""
    DIVERTED = "diverted"
    """The device passed the call on to another."""


class Party(StrEnum):
    """Who ended a call."""

    CUSTOMER = "customer"
    AGENT = "agent"
    GATEWAY = "gateway"
    PBX = "pbx"


class DeviceState(StrEnum):
    """What a device could do just now."""

    IDLE = "idle"
    IN_USE = "in_use"
    UNREACHABLE = "unreachable"
