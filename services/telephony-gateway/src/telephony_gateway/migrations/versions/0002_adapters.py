"""Commands that wait for the adapters of the open interface."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "adapter_commands",
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("pbx_id", sa.Text, sa.ForeignKey("pbxs.pbx_id", ondelete="CASCADE"), nullable=False),
        sa.Column("command_id", UUID, nullable=False),
        sa.Column("body", JSONB, nullable=False),
        sa.UniqueConstraint("pbx_id", "command_id", name="adapter_commands_once"),
    )
    op.create_index("adapter_commands_waiting", "adapter_commands", ["pbx_id", "position"])
