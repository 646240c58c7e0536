"""What the gateway is told from outside, beside what every service is."""

from typing import Annotated

from cordboard_chassis.settings import ServiceSettings
from pydantic import Field


class GatewaySettings(ServiceSettings):
    """Settings of the telephony gateway."""

    call_retention_days: Annotated[int, Field(ge=1, le=3650)] = 90
    """How long calls that are over can be looked up here; accounts keeps their history."""
    pbx_grace_s: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """How long a PBX may be away before the process that owns it is not ready."""
