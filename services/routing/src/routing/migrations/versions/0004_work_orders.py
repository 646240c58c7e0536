"""In which order work goes to agents: classes, acceleration, deadlines."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("queues", sa.Column("priority_class", sa.Integer, nullable=False, server_default="0"))
    op.add_column("queues", sa.Column("acceleration", sa.Integer, nullable=False, server_default="1"))
    op.add_column("queues", sa.Column("due_after_s", sa.Integer, nullable=False, server_default="0"))
    op.add_column("work_items", sa.Column("due_at", sa.DateTime(timezone=True)))
