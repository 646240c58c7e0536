"""The committed AsyncAPI documents: every message is in one, and every reference leads somewhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cordboard_contracts import COMMANDS, EVENTS, names

FOLDER = Path(__file__).parents[1] / "asyncapi"
DOCUMENTS = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.yaml"))}


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


@pytest.mark.parametrize("service", DOCUMENTS)
def test_every_reference_leads_somewhere(service: str) -> None:
    for reference in references(DOCUMENTS[service]):
        file, _, pointer = reference.partition("#")
        if file:
            assert (FOLDER / file).is_file(), reference
            continue
        target = DOCUMENTS[service]
        for part in pointer.strip("/").split("/"):
            target = target[part]


def test_every_message_is_said_or_heard_by_its_service() -> None:
    assert set(DOCUMENTS) == {names.service_of(message_type) for message_type in EVENTS}
    for message_type in EVENTS:
        document = DOCUMENTS[names.service_of(message_type)]
        assert document["operations"][f"send {message_type}"]["action"] == "send"
        exchange = document["channels"][message_type]["bindings"]["amqp"]["exchange"]
        assert (exchange["name"], exchange["type"]) == (names.events_exchange(names.service_of(message_type)), "topic")
    for message_type in COMMANDS:
        channel = DOCUMENTS[names.service_of(message_type)]["channels"][message_type]
        assert channel["bindings"]["amqp"]["exchange"]["type"] == "direct"


def test_every_event_that_is_consumed_exists() -> None:
    for document in DOCUMENTS.values():
        for operation in document["operations"].values():
            if operation["action"] == "receive":
                assert {reference["$ref"].rpartition("/")[2] for reference in operation["messages"]} <= (
                    EVENTS.keys() | COMMANDS.keys()
                )
