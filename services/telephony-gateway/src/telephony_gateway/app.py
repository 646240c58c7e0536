"""The telephony gateway put together: the only place where its parts meet."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial

from cordboard_chassis.database import Database
from cordboard_chassis.ownership import OwnerKind, Ownership
from cordboard_chassis.service import Interface, Service
from cordboard_chassis.supervision import Background

from telephony_gateway.api import adapter, calls, devices, pbxs
from telephony_gateway.consumers import QUEUES
from telephony_gateway.drivers.asterisk_ami import AsteriskAmiDriver
from telephony_gateway.drivers.asterisk_ari import AsteriskAriDriver
from telephony_gateway.drivers.freeswitch_esl import FreeswitchEslDriver
from telephony_gateway.drivers.http import HttpDriver
from telephony_gateway.drivers.interface import DriverFactory
from telephony_gateway.drivers.virtual import VirtualDriver
from telephony_gateway.settings import GatewaySettings
from telephony_gateway.storage import queries
from telephony_gateway.usecases.adapter_commands import CommandBox
from telephony_gateway.usecases.own_pbx import MESSAGES, Watch, own_pbx
from telephony_gateway.usecases.purge_calls import purge_calls

DRIVERS: Mapping[str, DriverFactory] = {
    "asterisk-ami": AsteriskAmiDriver,
    "asterisk-ari": AsteriskAriDriver,
    "freeswitch-esl": FreeswitchEslDriver,
    "virtual": VirtualDriver,
}

DESCRIPTION = """
What PBXs say, normalised: calls, their connections to agents, and devices, in the words of CSTA (ECMA-269).
PBXs, their lines and devices are configured here. Calls are told as events on the bus; what is asked for here is
ordered from the PBX, and what comes of it are events again.
"""

ADAPTER_DESCRIPTION = """
The open interface for PBXs that no driver of ours speaks with. A small adapter beside the PBX sends a snapshot of all
that is up, then events, numbered without a gap, and takes commands: by long poll, or as webhooks. It answers each
with an event. Every request is signed as Standard Webhooks 1.0.0 says, with the secret of the PBX.
"""

BODY_LIMIT = 4_194_304
"""Bytes; a snapshot of thousands of calls is large."""


def build(settings: GatewaySettings) -> Service:
    """The service, not yet running."""
    database = Database(settings.database_url, service="telephony")
    watch = Watch(settings.pbx_grace_s)

    async def ids(database: Database) -> Iterable[str]:
        async with database.transaction() as uow:
            return await queries.enabled_pbx_ids(uow)

    drivers: dict[str, DriverFactory] = {
        **DRIVERS,
        "http": lambda endpoint: HttpDriver(endpoint, CommandBox(database, endpoint.pbx_id)),
    }

    async def run(own: Ownership) -> None:
        await own_pbx(own, drivers, watch, settings.instance)

    return Service(
        name="telephony",
        settings=settings,
        database=database,
        migrations="telephony_gateway.migrations",
        description=DESCRIPTION.strip(),
        routers=(pbxs.router, devices.router, calls.router),
        body_limit=BODY_LIMIT,
        interfaces=(Interface("adapter", ADAPTER_DESCRIPTION.strip(), (adapter.router,), adapter.webhooks),),
        queues=QUEUES,
        owners=(OwnerKind("telephony", "pbx", MESSAGES, ids, run),),
        background=(
            Background("purge of calls", partial(purge_calls, database, timedelta(days=settings.call_retention_days))),
        ),
        state={"drivers": frozenset(drivers)},
        checks={"PBXs": watch.problem},
    )
