"""Settings of this service."""

from typing import Annotated

from cordboard_chassis.settings import ServiceSettings
from cordboard_contracts import OwnerId
from pydantic import Field


class LeadsSettings(ServiceSettings):
    """See `ServiceSettings`."""

    default_workspace: OwnerId = "main"
    """Where a lead is routed that names no workspace."""
    import_rows: Annotated[int, Field(ge=1, le=20_000)] = 5_000
    """Lines of an uploaded file at most; all of them are one transaction."""
