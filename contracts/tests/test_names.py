"""Names on the bus."""

import pytest
from cordboard_contracts import COMMANDS, EVENTS, names


@pytest.mark.parametrize("message_type", [*EVENTS, *COMMANDS])
def test_every_type_is_a_well_formed_routing_key(message_type: str) -> None:
    assert names.TYPE_PATTERN.fullmatch(message_type)
    assert len(message_type.encode()) <= 255  # AMQP's limit on a routing key


@pytest.mark.parametrize(
    "wrong",
    [
        "telephony.call.answered",
        "telephony.call.v1",
        "Telephony.call.answered.v1",
        "telephony.call.answered.v0",
        "a..b.v1",
    ],
)
def test_other_words_are_not_types(wrong: str) -> None:
    assert not names.TYPE_PATTERN.fullmatch(wrong)


def test_exchanges_and_queues() -> None:
    assert names.events_exchange("telephony") == "telephony.events"
    assert names.commands_exchange("telephony") == "telephony.commands"
    assert names.queue("accounts", "interactions") == "accounts.interactions"
    assert names.owners_exchange("routing", "workspace") == "routing.workspaces"
    assert names.owner_queue("routing", "workspace", "shanghai-1") == "routing.workspace.shanghai-1"
    assert names.service_of("telephony.call.answered.v1") == "telephony"


def test_satellites_belong_to_a_consumer() -> None:
    assert names.retry_queue("accounts", 10).startswith("accounts.")
    assert names.parked_queue("accounts").startswith("accounts.")


@pytest.mark.parametrize("owner_id", ["", "Main", "a.b", "上海", "-main", "x" * 64, "main\n", "#"])
def test_an_owner_that_does_not_fit_a_queue_name_is_refused(owner_id: str) -> None:
    with pytest.raises(ValueError, match="workspace"):
        names.owner_queue("routing", "workspace", owner_id)
