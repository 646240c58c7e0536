"""Which kinds of work interrupt which."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("workspaces", sa.Column("interrupts", JSONB, nullable=False, server_default=sa.text("'{}'")))
