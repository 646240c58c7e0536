"""How many events a second go from a service's outbox through its relay and the bus into another's inbox.

The events are written into the outbox of leads, as fast as transactions of ``GROUP`` take them; leads publishes them,
notifications handles each in the transaction with its inbox row and its place in the event stream. Measured from the
first commit until the last event is committed there.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import psycopg
from cordboard_chassis.database import Database
from cordboard_contracts import new_id
from cordboard_contracts.leads import Lead, LeadSource, LeadStatus, LeadUpdated

from bench.machine import cpu_s, quiet
from dev.system import System

GROUP = 20
LOOK_S = 0.1
LIMIT_S = 300.0
_HANDLED = "SELECT count(*) FROM inbox WHERE queue = 'notifications.events'"


def run(events: int) -> dict[str, Any]:
    """Send so many."""
    with System("bench", fresh=True, say=quiet) as system, cpu_s(system) as cpu:
        took_s = asyncio.run(_send(system, events))
    return {
        "events": events,
        "per_s": round(events / took_s),
        "cpu_ms_per_event": {name: round(cpu[name] * 1000 / events, 2) for name in ("leads-1", "notifications-1")},
    }


async def _send(system: System, events: int) -> float:
    leads = Database(system.databases["leads"].app_url, service="leads")
    inbox = system.databases["notifications"].owner_url.replace("+psycopg", "")
    began = time.monotonic()
    try:
        async with await psycopg.AsyncConnection.connect(inbox, autocommit=True) as connection:
            for _ in range(0, events, GROUP):
                async with leads.transaction() as uow:
                    for _ in range(GROUP):
                        lead = _lead()
                        uow.emit(LeadUpdated(lead=lead), subject=lead.lead_id, sequence=2, orgpath=lead.org_path)
            async with asyncio.timeout(LIMIT_S):
                while True:
                    row = await (await connection.execute(_HANDLED)).fetchone()
                    if row is not None and row[0] >= events:
                        break
                    await asyncio.sleep(LOOK_S)
    finally:
        await leads.close()
    return time.monotonic() - began


def _lead() -> Lead:
    return Lead(
        lead_id=new_id(),
        workspace="bench",
        org_path="/cn/east",
        source=LeadSource.WEB,
        status=LeadStatus.SUBMITTED,
        name="访客",
        created_at=datetime.now(UTC),
    )
