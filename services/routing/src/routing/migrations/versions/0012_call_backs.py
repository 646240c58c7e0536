"""Callers who hang up and are called back."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("work_items", sa.Column("call_back", sa.Text))
