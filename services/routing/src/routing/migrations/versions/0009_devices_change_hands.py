"""Devices may change hands within one statement: who has which is compared when it is done."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.drop_constraint("agents_device", "agents", type_="unique")
    op.create_unique_constraint("agents_device", "agents", ["workspace_id", "device_id"], deferrable=True)
