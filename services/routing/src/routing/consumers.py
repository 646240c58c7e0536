"""What routing hears on the bus."""

from collections.abc import Iterable
from typing import Any

from cordboard_chassis.database import Database
from cordboard_chassis.messaging import Queue
from cordboard_chassis.ownership import OwnerKind
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import Envelope, names
from cordboard_contracts.accounts import CustomerRegistered, CustomerUpdated

from routing.owner import owning
from routing.storage import queries
from routing.usecases.commit_group import MESSAGES
from routing.usecases.remember_customer import remember_customer

SERVICE = "routing"
WORKSPACE = "workspace"


async def _remember(uow: UnitOfWork, envelope: Envelope[Any]) -> None:
    await remember_customer(uow, envelope.data.customer, envelope.sequence)


QUEUES = (Queue(names.queue(SERVICE, "customers"), {CustomerRegistered: _remember, CustomerUpdated: _remember}),)
"""Shared by all replicas."""


async def _workspace_ids(database: Database) -> Iterable[str]:
    async with database.transaction() as uow:
        return await queries.workspace_ids(uow)


def workspace_owners(group_limit: int) -> OwnerKind:
    """One owner for each workspace: what is said for a workspace goes to its owner alone."""
    return OwnerKind(SERVICE, WORKSPACE, MESSAGES, _workspace_ids, owning(group_limit))
