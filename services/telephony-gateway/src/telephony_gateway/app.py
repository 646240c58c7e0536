"""The telephony gateway put together: the only place where its parts meet."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial

from cordboard_chassis.database import Database
from cordboard_chassis.ownership import OwnerKind, Ownership
from cordboard_chassis.service import Service
from cordboard_chassis.supervision import Background

from telephony_gateway.api import calls, devices, pbxs
from telephony_gateway.consumers import QUEUES
from telephony_gateway.drivers.asterisk_ami import AsteriskAmiDriver
from telephony_gateway.drivers.asterisk_ari import AsteriskAriDriver
from telephony_gateway.drivers.freeswitch_esl import FreeswitchEslDriver
from telephony_gateway.drivers.interface import DriverFactory
from telephony_gateway.drivers.virtual import VirtualDriver
from telephony_gateway.settings import GatewaySettings
from telephony_gateway.storage import queries
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


def build(settings: GatewaySettings) -> Service:
    """The service, not yet running."""
    database = Database(settings.database_url, service="telephony")
    watch = Watch(settings.pbx_grace_s)

    async def ids(database: Database) -> Iterable[str]:
        async with database.transaction() as uow:
            return await queries.enabled_pbx_ids(uow)

    async def run(own: Ownership) -> None:
        await own_pbx(own, DRIVERS, watch, settings.instance)

    return Service(
        name="telephony",
        settings=settings,
        database=database,
        migrations="telephony_gateway.migrations",
        description=DESCRIPTION.strip(),
        routers=(pbxs.router, devices.router, calls.router),
        queues=QUEUES,
        owners=(OwnerKind("telephony", "pbx", MESSAGES, ids, run),),
        background=(
            Background("purge of calls", partial(purge_calls, database, timedelta(days=settings.call_retention_days))),
        ),
        state={"drivers": frozenset(DRIVERS)},
        checks={"PBXs": watch.problem},
    )
