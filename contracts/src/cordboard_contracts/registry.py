"""Which type is which model. A type that is not here cannot be published and is parked when received."""

from typing import Any, TypeVar

from pydantic import ValidationError

from cordboard_contracts.envelope import CommandData, Envelope, EventData
from cordboard_contracts.names import TYPE_PATTERN

MessageT = TypeVar("MessageT", bound=EventData | CommandData)

EVENTS: dict[str, type[EventData]] = {}
COMMANDS: dict[str, type[CommandData]] = {}
_ENVELOPES: dict[str, type[Envelope[Any]]] = {}


class UnknownType(ValueError):
    """No model is registered under this type: a message of a future version, or not ours at all."""


class MalformedMessage(ValueError):
    """The body is not an envelope, or its data does not fit its type."""


def event(message_type: str) -> Any:
    """Register the decorated model as the data of an event type."""
    return _register(message_type, EVENTS)


def command(message_type: str) -> Any:
    """Register the decorated model as the data of a command type."""
    return _register(message_type, COMMANDS)


def _register(message_type: str, into: dict[str, Any]) -> Any:
    def register(model: type[MessageT]) -> type[MessageT]:
        if not TYPE_PATTERN.fullmatch(message_type):
            raise ValueError(f"{message_type!r} is not <service>.<entity>.<verb>.v<major>")
        if message_type in EVENTS or message_type in COMMANDS:
            raise ValueError(f"{message_type} is registered twice")
        model.type = message_type
        into[message_type] = model
        return model

    return register


def parse(message_type: str, body: bytes) -> Envelope[Any]:
    """Read the envelope of a message that arrived under ``message_type`` (its routing key).

    Raises:
        UnknownType: nothing is registered under this type.
        MalformedMessage: the body does not fit.
    """
    model = EVENTS.get(message_type) or COMMANDS.get(message_type)
    if model is None:
        raise UnknownType(f"no contract for {message_type!r}")
    envelope_model = _ENVELOPES.get(message_type)
    if envelope_model is None:
        envelope_model = _ENVELOPES[message_type] = Envelope[model]  # type: ignore[valid-type]
    try:
        envelope = envelope_model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise MalformedMessage(f"{message_type}: {where}: {first['msg']}") from error
    if envelope.type != message_type:
        raise MalformedMessage(f"type {envelope.type!r} arrived under {message_type!r}")
    return envelope
