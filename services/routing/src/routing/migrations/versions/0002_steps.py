"""What waiting items give up, and skills of which one is enough."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

_NOTHING = sa.text("'[]'")


def upgrade() -> None:
    op.add_column("queues", sa.Column("steps", JSONB, nullable=False, server_default=_NOTHING))
    op.add_column("work_items", sa.Column("any_of", JSONB, nullable=False, server_default=_NOTHING))
    op.add_column("work_items", sa.Column("step", sa.Integer, nullable=False, server_default="0"))
    op.add_column("work_items", sa.Column("queued_at", sa.DateTime(timezone=True)))
