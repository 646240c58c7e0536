"""How much may be dialled."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add them, and what counting needs."""
    op.add_column("pbxs", sa.Column("outbound_limits", JSONB, nullable=False, server_default="[]"))
    op.create_index(
        "calls_outbound", "calls", ["org_path", "offered_at"], postgresql_where=sa.text("direction = 'outbound'")
    )
