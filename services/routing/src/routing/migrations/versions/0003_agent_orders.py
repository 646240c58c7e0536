"""An order of agents for each queue, what orders compare, and skills that are wanted but not needed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("queues", sa.Column("agent_order", sa.Text))
    op.add_column("agents", sa.Column("offers", sa.Integer, nullable=False, server_default="0"))
    op.add_column("agents", sa.Column("last_token", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("work_items", sa.Column("wanted", JSONB, nullable=False, server_default=sa.text("'{}'")))
