"""Where notifications is wired."""

from cordboard_chassis.auth.api_keys import ApiKeyAuthenticator, StoredApiKey
from cordboard_chassis.auth.tokens import TokenVerifier
from cordboard_chassis.database import Database
from cordboard_chassis.service import Service
from cordboard_chassis.supervision import Background
from cordboard_chassis.wakeups import Wakeups

from notifications import consumers
from notifications.api import api_keys, deliveries, endpoints, stream
from notifications.dispatcher import Dispatcher
from notifications.purger import keep_purging
from notifications.settings import NotificationsSettings
from notifications.usecases.find_api_key import find_valid_api_key
from notifications.usecases.follow_stream import EventStreams
from notifications.usecases.record_events import Retention
from notifications.usecases.reseal_secrets import unreadable_secrets

NAME = "notifications"
DESCRIPTION = """Tells others what happens in the contact centre: partners by signed webhooks
(Standard Webhooks 1.0.0), desktops by an event stream with resume."""


def build(settings: NotificationsSettings) -> Service:
    """The service with these settings."""
    database = Database(settings.database_url, service=NAME)
    wakeups = Wakeups(settings.database_url, NAME)

    async def find_key(key_id: str) -> StoredApiKey | None:
        async with database.transaction() as uow:
            return await find_valid_api_key(uow, key_id)

    async def signing_secrets() -> str | None:
        async with database.transaction() as uow:
            return await unreadable_secrets(uow, keyring)

    keyring = settings.keyring
    tokens = TokenVerifier(settings.jwks, settings.jwt_issuer, settings.jwt_audience)
    return Service(
        name=NAME,
        settings=settings,
        database=database,
        migrations="notifications.migrations",
        description=DESCRIPTION,
        routers=[endpoints.router, deliveries.router, api_keys.router, stream.router],
        queues=consumers.queues(Retention(settings.ledger_retention_s, settings.stream_retention_s)),
        background=[
            Background("dispatcher", Dispatcher(database, wakeups, settings).run),
            Background("purger", lambda: keep_purging(database, settings)),
        ],
        authenticator=ApiKeyAuthenticator(find_key, tokens),
        keyring=keyring,
        checks={"signing secrets": signing_secrets},
        state={"settings": settings, "streams": EventStreams(database, settings)},
        wakeups=wakeups,
    )
