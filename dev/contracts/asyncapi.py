"""One AsyncAPI 3.0 document per service: what it says on the bus, and what it listens to.

The messages' payloads are the JSON Schemas beside the documents.
"""

from typing import Any

import yaml
from cordboard_chassis.messaging.topology import Queue, exchange_of, queue_arguments
from cordboard_chassis.service import Service
from cordboard_contracts import COMMANDS, EVENTS, names

from dev.contracts.schemas import DIALECT, message_types

Document = dict[str, Any]

AMQP = "0.3.0"
"""Version of AsyncAPI's bindings for AMQP."""
ANY_OWNER = "{owner}"


def document(service: Service) -> Document:
    """The document of one service."""
    sends = [
        message_type
        for message_type in message_types()
        if exchange_of(message_type) == names.events_exchange(service.name)
    ]
    received = _received(service)
    described = sorted({*sends, *(message_type for types in received.values() for message_type in types)})
    commands = [message_type for message_type in COMMANDS if names.service_of(message_type) == service.name]
    channels: Document = {}
    operations: Document = {}
    for message_type in sends:
        channels[message_type] = _routing_key(message_type)
        operations[f"send {message_type}"] = _operation("send", message_type, [message_type])
    for message_type in commands:
        channels[message_type] = _routing_key(message_type)
    for queue, types in received.items():
        # Braces would have to be escaped in each reference.
        name = queue.replace(ANY_OWNER, "owner")
        channels[name] = _queue(service, queue, types)
        operations[f"receive {name}"] = _operation("receive", name, types)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"Cordboard {service.name}",
            "version": "1.0.0",
            "description": service.description or f"What {service.name} says on the bus, and what it listens to.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": {message_type: _message(message_type) for message_type in described}},
    }


def to_yaml(document: Document) -> str:
    """As it is committed."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Repeats what is said twice instead of naming it: anchors are hard to read in a diff."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _received(service: Service) -> dict[str, list[str]]:
    """The message types that come through each of the service's queues."""
    received: dict[str, list[str]] = {}
    for queue in service.queues:
        received[queue.name] = _types(queue)
    for kind in service.owners:
        name = f"{kind.consumer}.{kind.kind}.{ANY_OWNER}"
        received[name] = sorted(message.type for message in kind.messages)
    return dict(sorted(received.items()))


def _types(queue: Queue) -> list[str]:
    types = {message.type for message in queue.messages()}
    return sorted(types | set(EVENTS) if queue.every_event is not None else types)


def _routing_key(message_type: str) -> Document:
    kind = "direct" if message_type in COMMANDS else "topic"
    exchange = {"name": exchange_of(message_type), "type": kind, "durable": True, "autoDelete": False, "vhost": "/"}
    return {
        "address": message_type,
        "description": f"Routing key on the {kind} exchange `{exchange['name']}`.",
        "messages": {message_type: _component(message_type)},
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": AMQP}},
    }


def _queue(service: Service, queue: str, types: list[str]) -> Document:
    bound = ", ".join(f"`{exchange}`" for exchange in sorted({exchange_of(message_type) for message_type in types}))
    every = set(types) >= set(EVENTS)
    what = "every event of every service" if every else "the types below, by routing key"
    channel: Document = {
        "address": queue,
        "description": f"Bound to {bound}: {what}.",
        "messages": {message_type: _component(message_type) for message_type in types},
        "bindings": {
            "amqp": {
                "is": "queue",
                "queue": {"name": queue, "durable": True, "exclusive": False, "autoDelete": False, "vhost": "/"},
                "bindingVersion": AMQP,
            }
        },
        "x-queue-arguments": queue_arguments(service.name),
    }
    if ANY_OWNER in queue:
        kind = queue.split(".")[1]
        exchange = names.owners_exchange(service.name, kind)
        channel["description"] = (
            f"The queue of one {kind}, bound to the headers exchange `{exchange}` by the header `{kind}`;"
            f" that one is bound to {bound}. Only the replica that owns the {kind} consumes it."
        )
        channel["parameters"] = {"owner": {"description": f"Id of the {kind}."}}
    return channel


def _operation(action: str, channel: str, types: list[str]) -> Document:
    return {
        "action": action,
        "channel": {"$ref": _pointer("channels", channel)},
        "messages": [{"$ref": _pointer("channels", channel, "messages", message_type)} for message_type in types],
    }


def _component(message_type: str) -> Document:
    return {"$ref": _pointer("components", "messages", message_type)}


def _message(message_type: str) -> Document:
    data = message_types()[message_type]
    what = "command" if message_type in COMMANDS else "event"
    headers: Document = {
        "type": "object",
        "properties": {
            "workspace": {"type": "string", "description": "As the envelope's attribute, when it has one."},
            "pbx": {"type": "string", "description": "As the envelope's attribute, when it has one."},
            "traceparent": {"type": "string", "description": "W3C Trace Context."},
        },
    }
    return {
        "name": message_type,
        "title": data.__name__,
        "summary": (data.__doc__ or "").strip().splitlines()[0],
        "contentType": "application/cloudevents+json",
        "tags": [{"name": what}, {"name": names.service_of(message_type)}],
        "headers": headers,
        "payload": {
            "schemaFormat": f"application/schema+json;version={DIALECT.split('/')[-2]}",
            "schema": {"$ref": f"../schemas/{message_type}.json"},
        },
        "bindings": {"amqp": {"messageType": message_type, "bindingVersion": AMQP}},
    }


def _pointer(*parts: str) -> str:
    return "#/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in parts)
