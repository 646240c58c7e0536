"""Settings of the service."""

from cordboard_chassis.settings import ServiceSettings


class AccountsSettings(ServiceSettings):
    """Nothing beyond what every service is told."""
