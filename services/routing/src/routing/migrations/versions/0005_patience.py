"""Until when an item waits for its preferred agent alone."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("work_items", sa.Column("preferred_until", sa.DateTime(timezone=True)))
