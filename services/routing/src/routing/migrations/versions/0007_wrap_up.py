"""Wrap-up that agents may extend, or that lasts until they say so."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.alter_column("queues", "wrap_up_s", nullable=True)
    op.add_column("queues", sa.Column("wrap_up_extension_s", sa.Integer, nullable=False, server_default="0"))
    op.add_column("agents", sa.Column("wrap_up_limit", sa.DateTime(timezone=True)))
    op.execute("UPDATE agents SET wrap_up_limit = wrap_up_until")
