"""The composition root: what the service consists of."""

from cordboard_chassis.database import Database
from cordboard_chassis.service import Service

from accounts.api import DESCRIPTION, ROUTERS
from accounts.consumers import QUEUES
from accounts.settings import AccountsSettings


def build(settings: AccountsSettings) -> Service:
    """The service with these settings; nothing is connected yet."""
    return Service(
        name="accounts",
        settings=settings,
        database=Database(settings.database_url, service="accounts"),
        migrations="accounts.migrations",
        description=DESCRIPTION,
        routers=ROUTERS,
        queues=QUEUES,
    )
