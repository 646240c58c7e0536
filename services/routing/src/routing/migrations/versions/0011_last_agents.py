"""Who accepted something of a customer last, in each workspace."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "last_agents",
        sa.Column("workspace_id", sa.Text, primary_key=True),
        sa.Column("customer_id", sa.UUID(as_uuid=True), primary_key=True),
        sa.Column("agent_id", sa.Text, nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.execute("ALTER TABLE last_agents SET (fillfactor = 80)")
