"""Who calls from this number? What an agent's desktop asks while the phone rings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from sqlalchemy import Row

from accounts.domain.customers import Contact
from accounts.domain.interactions import Interaction
from accounts.storage import queries


@dataclass(frozen=True)
class Match:
    """One customer who may be calling: their row, the contact who has the number, what happened last."""

    customer: Row[Any]
    contact: Contact | None
    last_interactions: Sequence[Interaction]


async def look_up_caller(uow: UnitOfWork, number: str, interactions: int) -> list[Match]:
    """Everybody who has the number (E.164), best first: see `queries.callers_statement`; `queries.MAX_MATCHES` at most.

    Two statements: one index hit that finds them, one for their latest ``interactions``.
    """
    found: dict[UUID, tuple[Row[Any], Contact | None]] = {}
    for row in await queries.find_callers(uow, number):
        customer, contact = found.get(row.customer_id, (row, None))
        if contact is None and row.caller_id is not None:
            contact = Contact(row.caller_id, row.caller_name, row.caller_role, row.caller_email)
        found[row.customer_id] = (customer, contact)
    best = list(found.items())[: queries.MAX_MATCHES]
    history = await queries.last_interactions(uow, [customer_id for customer_id, _ in best], interactions)
    return [Match(customer, contact, history.get(customer_id, [])) for customer_id, (customer, contact) in best]
