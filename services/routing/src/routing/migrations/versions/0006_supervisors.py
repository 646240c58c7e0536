"""Queues that are paused, and who did what to a workspace."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("queues", sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.text("false")))
    op.create_table(
        "audit",
        sa.Column("entry_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.workspace_id"), nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("done_by", sa.Text, nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.Column("details", JSONB, nullable=False),
    )
    op.create_index("audit_workspace", "audit", ["workspace_id", "entry_id"])
