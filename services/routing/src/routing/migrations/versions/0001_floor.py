"""Workspaces and what they are configured with, work items and assignments, the picture of the customers."""

import sqlalchemy as sa
from alembic import op
from cordboard_chassis.schema import create_chassis_tables, enable_org_path_security
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)
_NOW = sa.text("now()")


def upgrade() -> None:
    create_chassis_tables(op)
    _create_configuration()
    _create_agents()
    _create_work()
    _create_customers()
    for table in ("agents", "work_items", "assignments", "queue_intervals", "customers"):
        enable_org_path_security(op, table)


def _create_configuration() -> None:
    op.create_table(
        "workspaces",
        sa.Column("workspace_id", sa.Text, primary_key=True),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("agent_order", sa.Text, nullable=False),
        sa.Column("misses_allowed", JSONB, nullable=False),
        sa.Column("weights", JSONB, nullable=False),
        sa.Column("reoffer_after_s", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("updated_at", _TIME, nullable=False, server_default=_NOW),
    )
    op.create_table(
        "queues",
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.workspace_id"), primary_key=True),
        sa.Column("queue_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("offer_timeout_s", sa.Integer, nullable=False),
        sa.Column("wrap_up_s", sa.Integer, nullable=False),
        sa.Column("service_level_s", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False, server_default=_NOW),
    )
    op.create_table(
        "rule_sets",
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.workspace_id"), primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("rules", JSONB, nullable=False),
        sa.Column("written_by", sa.Text, nullable=False),
        sa.Column("written_at", _TIME, nullable=False, server_default=_NOW),
    )
    op.create_table(
        "devices",
        sa.Column("workspace_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )


def _create_agents() -> None:
    op.create_table(
        "agents",
        # Other services know agents by this id alone, so it is unique over all workspaces.
        sa.Column("agent_id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.workspace_id"), nullable=False),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("device_id", sa.Text),
        sa.Column("skills", JSONB, nullable=False),
        sa.Column("territories", ARRAY(sa.Text), nullable=False),
        sa.Column("capacity", JSONB, nullable=False),
        sa.Column("capacity_total", sa.Integer),
        sa.Column("profile_version", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("mode_reason", sa.Text),
        sa.Column("device_state", sa.Text, nullable=False),
        sa.Column("idle_since", _TIME, nullable=False),
        sa.Column("wrap_up_until", _TIME),
        sa.Column("misses", sa.Integer, nullable=False),
        sa.UniqueConstraint("workspace_id", "device_id", name="agents_device"),
    )
    op.create_index("agents_workspace", "agents", ["workspace_id", "agent_id"])
    # Rows change with every call, but nothing that is indexed does: room for the new version on the same page.
    op.execute("ALTER TABLE agents SET (fillfactor = 60)")


def _create_work() -> None:
    op.create_table(
        "work_items",
        sa.Column("work_item_id", UUID, primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject_id", UUID, nullable=False),
        sa.Column("subject_sequence", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("requirement", JSONB, nullable=False),
        sa.Column("required_territory", sa.Text),
        sa.Column("territory", sa.Text),
        sa.Column("language", sa.Text),
        sa.Column("customer_id", UUID),
        sa.Column("customer_name", sa.Text, nullable=False),
        sa.Column("customer_tier", sa.Text),
        sa.Column("preferred_agent", sa.Text),
        sa.Column("pbx_id", sa.Text),
        sa.Column("from_number", sa.Text),
        sa.Column("dialled", sa.Text),
        sa.Column("attributes", JSONB, nullable=False),
        sa.Column("rule", sa.Text),
        sa.Column("rule_version", sa.BigInteger),
        sa.Column("avoid", sa.Text),
        sa.Column("avoid_until", _TIME),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("submitted_at", _TIME, nullable=False),
        sa.Column("accepted_at", _TIME),
        sa.Column("ended_at", _TIME),
        sa.Column("outcome", sa.Text),
    )
    op.create_index(
        "work_items_open", "work_items", ["workspace_id", "queue"], postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_index("work_items_submitted", "work_items", ["workspace_id", "submitted_at", "work_item_id"])
    op.create_index("work_items_queue", "work_items", ["workspace_id", "queue", "submitted_at", "work_item_id"])
    op.create_table(
        "assignments",
        sa.Column("assignment_id", UUID, primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("work_item_id", UUID, nullable=False),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("agent_id", sa.Text, nullable=False),
        sa.Column("device_id", sa.Text),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("offered_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("accepted_at", _TIME),
        sa.Column("ended_at", _TIME),
        sa.Column("outcome", sa.Text),
        sa.Column("reason", JSONB),
    )
    # The greatest token of a workspace is read from here, and a token that is given twice fails here.
    op.create_index("assignments_token", "assignments", ["workspace_id", "token"], unique=True)
    op.create_index("assignments_open", "assignments", ["workspace_id"], postgresql_where=sa.text("ended_at IS NULL"))
    op.create_index("assignments_agent", "assignments", ["agent_id", "offered_at", "assignment_id"])
    op.create_index("assignments_work_item", "assignments", ["work_item_id"])
    for table in ("work_items", "assignments"):
        op.execute(f"ALTER TABLE {table} SET (fillfactor = 80)")
    op.create_table(
        "queue_intervals",
        sa.Column("workspace_id", sa.Text, primary_key=True),
        sa.Column("queue_id", sa.Text, primary_key=True),
        sa.Column("org_path", sa.Text, primary_key=True),
        sa.Column("begins_at", _TIME, primary_key=True),
        sa.Column("submitted", sa.BigInteger, nullable=False),
        sa.Column("accepted", sa.BigInteger, nullable=False),
        sa.Column("accepted_in_time", sa.BigInteger, nullable=False),
        sa.Column("completed", sa.BigInteger, nullable=False),
        sa.Column("cancelled", sa.BigInteger, nullable=False),
        sa.Column("waited_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("queue_intervals_begin", "queue_intervals", ["workspace_id", "begins_at"])
    op.execute("ALTER TABLE queue_intervals SET (fillfactor = 50)")


def _create_customers() -> None:
    op.create_table(
        "customers",
        sa.Column("customer_id", UUID, primary_key=True),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("tier", sa.Text),
        sa.Column("owner_agent_id", sa.Text),
        sa.Column("language", sa.Text),
        sa.Column("territory", sa.Text),
        sa.Column("known_since", _TIME, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "customer_phones",
        sa.Column("number", sa.Text, primary_key=True),
        sa.Column("customer_id", UUID, sa.ForeignKey("customers.customer_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("own", sa.Boolean, nullable=False),
    )
    op.create_index("customer_phones_customer", "customer_phones", ["customer_id"])
