"""How this service is put together."""

from cordboard_chassis.auth.api_keys import ApiKeyAuthenticator, StoredApiKey
from cordboard_chassis.auth.tokens import TokenVerifier
from cordboard_chassis.database import Database
from cordboard_chassis.service import Service

from leads.api import api_keys, imports, leads
from leads.consumers import QUEUES
from leads.settings import LeadsSettings
from leads.usecases.check_api_key import check_api_key


def build(settings: LeadsSettings) -> Service:
    """The service, not started."""
    database = Database(settings.database_url, service="leads")

    async def look_up(key_id: str) -> StoredApiKey | None:
        async with database.transaction() as uow:
            return await check_api_key(uow, key_id)

    return Service(
        name="leads",
        settings=settings,
        database=database,
        migrations="leads.migrations",
        description="Strangers who may become customers: callers, forms, partners and files, on their way to an agent.",
        routers=[leads.router, imports.router, api_keys.router],
        queues=QUEUES,
        authenticator=ApiKeyAuthenticator(
            look_up, TokenVerifier(settings.jwks, settings.jwt_issuer, settings.jwt_audience)
        ),
        state={"default_workspace": settings.default_workspace, "import_rows": settings.import_rows},
    )
