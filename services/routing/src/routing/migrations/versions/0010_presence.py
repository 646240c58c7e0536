"""When agents whose phone or desktop is gone are given up."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("workspaces", sa.Column("presence_grace_s", sa.Integer))
    op.add_column("agents", sa.Column("device_lost_at", sa.DateTime(timezone=True)))
    op.add_column("agents", sa.Column("desktop_lost_at", sa.DateTime(timezone=True)))
