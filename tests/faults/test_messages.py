"""Messages as they should not be: nonsense is parked, what comes twice, late or in the wrong order changes nothing."""

from typing import Any
from uuid import UUID, uuid4

from cordboard_chassis.testing.deployment import eventually
from cordboard_contracts import Envelope, names, new_id
from cordboard_contracts.telephony import CallCleared, CallEvent

from tests.faults import ON_ONE_SYSTEM, seeds
from tests.faults.centre import Centre
from tests.faults.conftest import Flowing

pytestmark = ON_ONE_SYSTEM

POISON = {
    "garbage": ("telephony.call.cleared.v1", b"\xff\x00 not even text"),
    "no envelope": ("telephony.call.cleared.v1", b'{"data": {}}'),
    "unknown type": ("telephony.call.teleported.v1", b"{}"),
    "unknown version": ("telephony.call.cleared.v9", b"{}"),
}
_PARKED = "SELECT queue, message_id FROM parked_messages WHERE message_id = ANY(%s)"
_INTERACTION = """
    SELECT outcome, agent_ids, started_at, answered_at, ended_at FROM interactions WHERE interaction_id = %s
"""
_ITEM = "SELECT kind, state, queue FROM work_items WHERE subject_id = %s"


@seeds()
async def test_poison_in_every_queue_is_parked_and_the_rest_goes_on(
    centre: Centre, traffic: Flowing, seed: int
) -> None:
    async with traffic(seed) as flowing, centre.bus() as bus:
        queues = [name for name in await centre.queues() if not name.endswith(".parked")]
        for kind, (message_type, body) in POISON.items():
            await flowing.more(1)
            for queue in queues:
                flowing.poison.append(f"{seed}: {kind} for {queue}")
                await bus.put(queue, body, message_type=message_type, message_id=flowing.poison[-1])

        def parked() -> bool:
            services = {names.service_of(queue) for queue in queues}
            rows = [row for service in services for row in centre.rows(service, _PARKED, (flowing.poison,))]
            assert sorted(row["message_id"] for row in rows) == sorted(flowing.poison)
            return all(row["message_id"].endswith(f" {row['queue']}") for row in rows)

        await eventually(parked)
        await flowing.must_balance()


@seeds()
async def test_every_message_comes_again_and_again_too_late(centre: Centre, traffic: Flowing, seed: int) -> None:
    """First as it was, which the inbox knows; then under another id, as from a producer that lost its memory, in any
    order: nothing that is older than what is known may change it."""
    async with traffic(seed) as flowing, centre.bus() as bus:
        await flowing.more(10)
        heard = list(bus.heard)
        for envelope in reversed(heard):
            await bus.send(envelope)
        flowing.chance.shuffle(heard)
        for envelope in heard:
            forged = envelope.model_copy(update={"id": new_id()})
            flowing.forged.add(str(forged.id))
            await bus.send(forged)
        await flowing.must_balance()


@seeds()
async def test_the_life_of_a_call_is_heard_backwards(centre: Centre, traffic: Flowing, seed: int) -> None:
    """The events of calls that are over, told of other calls, the last one first: the same history comes of it."""
    async with traffic(seed) as flowing, centre.bus() as bus:
        over = (CallCleared, lambda envelope: envelope.data.call.answered_at is not None)
        await bus.expect(*over, timeout_s=30, count=4)
        twins = {envelope.data.call.call_id: uuid4() for envelope in bus.said(*over)}
        lives = [envelope for envelope in bus.heard if isinstance(envelope.data, CallEvent)]
        for envelope in reversed(lives):
            if envelope.data.call.call_id in twins:
                await bus.send(_of_another_call(envelope, twins[envelope.data.call.call_id]))
        await flowing.must_balance()
        for call_id, twin_id in twins.items():
            assert centre.rows("accounts", _INTERACTION, (twin_id,)) == centre.rows(
                "accounts", _INTERACTION, (call_id,)
            )
            assert centre.rows("routing", _ITEM, (twin_id,)) == centre.rows("routing", _ITEM, (call_id,))


def _of_another_call(envelope: Envelope[Any], call_id: UUID) -> Envelope[Any]:
    call = envelope.data.call.model_copy(update={"call_id": call_id, "pbx_call_id": f"twin-{call_id}"})
    data = envelope.data.model_copy(update={"call": call})
    changes = {"id": new_id(), "subject": str(call_id), "partitionkey": str(call_id), "data": data}
    return envelope.model_copy(update=changes)
