"""Every event and command of Cordboard: the only code that services share about each other."""

from cordboard_contracts import accounts, leads, notifications, routing, telephony
from cordboard_contracts.envelope import CommandData, Envelope, EventData, OrgPath, OwnerId, Value, new_id
from cordboard_contracts.registry import COMMANDS, EVENTS, MalformedMessage, UnknownType, parse

__all__ = [
    "COMMANDS",
    "EVENTS",
    "CommandData",
    "Envelope",
    "EventData",
    "MalformedMessage",
    "OrgPath",
    "OwnerId",
    "UnknownType",
    "Value",
    "accounts",
    "leads",
    "new_id",
    "notifications",
    "parse",
    "routing",
    "telephony",
]
