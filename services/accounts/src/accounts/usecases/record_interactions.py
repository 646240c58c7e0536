"""Write calls into the history, each as it is by its newest event."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import Envelope
from cordboard_contracts import accounts as contract

from accounts.domain.interactions import Interaction
from accounts.storage import queries


async def record_interactions(
    uow: UnitOfWork, interactions: Sequence[Interaction], causes: Mapping[UUID, Envelope[Any]] = MappingProxyType({})
) -> None:
    """Store what is newer than what is there, whatever the order and however often it comes; one for each call.

    Of those that are over for the first time, find whose they are and tell that they stand in the history; never
    again. ``causes`` are the messages, by call.
    """
    told = await queries.store_interactions(uow, interactions)
    for interaction in interactions:
        if interaction.over and told.get(interaction.interaction_id) is False:
            uow.cause = causes.get(interaction.interaction_id)
            await _conclude(uow, interaction)


async def _conclude(uow: UnitOfWork, interaction: Interaction) -> None:
    customer_id, contact_id = await _whose(uow, interaction)
    await queries.record_end(uow, interaction.interaction_id, customer_id, contact_id)
    uow.emit(
        contract.InteractionRecorded(
            interaction=contract.Interaction(
                interaction_id=interaction.interaction_id,
                org_path=interaction.org_path,
                channel=contract.InteractionChannel.CALL,
                customer_id=customer_id,
                call_id=interaction.interaction_id,
                direction=interaction.direction,
                from_number=interaction.from_number,
                dialled=interaction.dialled,
                agent_ids=interaction.agent_ids,
                outcome=contract.InteractionOutcome(interaction.outcome),
                started_at=interaction.started_at,
                answered_at=interaction.answered_at,
                ended_at=interaction.ended_at,
            )
        ),
        subject=interaction.interaction_id,
        sequence=interaction.sequence,
        orgpath=interaction.org_path,
    )


async def _whose(uow: UnitOfWork, interaction: Interaction) -> tuple[UUID | None, UUID | None]:
    number = interaction.from_number
    if number is None:
        return None, None
    rows = await queries.find_callers(uow, number, interaction.org_path)
    if not rows:
        # Perhaps somebody is just making this caller a customer, and gives earlier interactions to them without
        # seeing this one, which is not committed. Whoever comes second sees the other's work.
        await queries.await_number(uow, number)
        rows = await queries.find_callers(uow, number, interaction.org_path)
    if not rows:
        return None, None
    customer_id = rows[0].customer_id
    callers = (row.caller_id for row in rows if row.customer_id == customer_id and row.caller_id is not None)
    return customer_id, next(callers, None)
