"""What a routing process is told from outside."""

from typing import Annotated

from cordboard_chassis.settings import ServiceSettings
from pydantic import Field


class RoutingSettings(ServiceSettings):
    """Settings of routing."""

    group_limit: Annotated[int, Field(ge=1, le=1000)] = 200
    """Messages and inputs that the owner of a workspace takes into one transaction at most."""
