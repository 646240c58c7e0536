"""The routing service, put together."""

from cordboard_chassis.database import Database
from cordboard_chassis.service import Service

from routing import consumers
from routing.api import ROUTERS
from routing.settings import RoutingSettings


def build(settings: RoutingSettings) -> Service:
    """The service."""
    return Service(
        name=consumers.SERVICE,
        settings=settings,
        database=Database(settings.database_url, service=consumers.SERVICE),
        migrations="routing.migrations",
        description="Work items and the agents who take them: who gets what, and why.",
        routers=ROUTERS,
        queues=consumers.QUEUES,
        owners=[consumers.workspace_owners(settings.group_limit)],
    )
