"""PBXs, their devices and calls, and who sits at which device."""

import sqlalchemy as sa
from alembic import op
from cordboard_chassis.schema import create_chassis_tables, enable_org_path_security
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    create_chassis_tables(op)
    time = sa.DateTime(timezone=True)
    now = sa.text("now()")
    op.create_table(
        "pbxs",
        sa.Column("pbx_id", sa.Text, primary_key=True),
        sa.Column("driver", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("trunks", JSONB, nullable=False),
        sa.Column("outbound_prefixes", ARRAY(sa.Text), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("devices_version", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("updated_at", time, nullable=False, server_default=now),
        # What its owner says about the connection.
        sa.Column("connected", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("connection_since", time),
        sa.Column("connection_detail", sa.Text, nullable=False, server_default=""),
        sa.Column("owned_by", sa.Text),
    )
    op.create_table(
        "devices",
        sa.Column("pbx_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("configured", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("config_version", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("changed_at", time, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "calls",
        sa.Column("call_id", UUID, primary_key=True),
        sa.Column("pbx_id", sa.Text, nullable=False),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("direction", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("from_number", sa.Text),
        sa.Column("agent_ids", ARRAY(sa.Text), nullable=False),
        sa.Column("offered_at", time, nullable=False),
        sa.Column("cleared_at", time),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("body", JSONB, nullable=False),
    )
    op.create_index("calls_newest", "calls", ["offered_at", "call_id"])
    op.create_index("calls_live", "calls", ["pbx_id"], postgresql_where=sa.text("cleared_at IS NULL"))
    op.create_index("calls_cleared_at", "calls", ["cleared_at"])
    op.create_index("calls_from_number", "calls", ["from_number", "offered_at"])
    op.create_index("calls_agents", "calls", ["agent_ids"], postgresql_using="gin")
    # A call is written half a dozen times while it lasts; room on the page keeps that cheap.
    op.execute("ALTER TABLE calls SET (fillfactor = 70)")
    op.create_table(
        "agents",
        sa.Column("workspace", sa.Text, primary_key=True),
        sa.Column("agent_id", sa.Text, primary_key=True),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("device_id", sa.Text),
        sa.Column("on_duty", sa.Boolean, nullable=False),
        sa.Column("since", time, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("agents_device", "agents", ["workspace", "device_id"])
    for table in ("pbxs", "devices", "calls", "agents"):
        enable_org_path_security(op, table)
