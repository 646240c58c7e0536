"""Endpoints, the ledger of webhooks, the event stream, API keys."""

import sqlalchemy as sa
from alembic import op
from cordboard_chassis.schema import create_chassis_tables, enable_org_path_security
from sqlalchemy.dialects.postgresql import ARRAY, UUID

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    create_chassis_tables(op)
    now = sa.text("now()")
    time = sa.DateTime(timezone=True)

    op.create_table(
        "endpoints",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("partner_id", sa.Text),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("event_types", ARRAY(sa.Text), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("disabled_reason", sa.Text),
        sa.Column("version", sa.Integer, nullable=False, server_default="1"),
        sa.Column("created_at", time, nullable=False, server_default=now),
        sa.Column("updated_at", time, nullable=False, server_default=now),
        sa.Column("deleted_at", time),
    )
    op.create_index("endpoints_partner", "endpoints", ["partner_id", "id"])
    op.create_table(
        "signing_secrets",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("endpoint_id", UUID, sa.ForeignKey("endpoints.id", ondelete="CASCADE"), nullable=False),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("created_at", time, nullable=False, server_default=now),
        sa.Column("expires_at", time),
    )
    op.create_index("signing_secrets_endpoint", "signing_secrets", ["endpoint_id"])
    # Apart from the endpoint: it changes with every failure, the endpoint only when somebody edits it.
    op.create_table(
        "endpoint_health",
        sa.Column("endpoint_id", UUID, sa.ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("consecutive_failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("pauses", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failing_since", time),
        sa.Column("blocked_until", time),
    )
    # Grows with each change of who gets what; by it replicas know that what they have in memory is old.
    op.create_table(
        "subscription_version",
        sa.Column("one", sa.Boolean, sa.CheckConstraint("one"), primary_key=True, server_default=sa.true()),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO subscription_version (version) VALUES (1)")

    op.create_table(
        "events",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("position", sa.BigInteger),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("agents", ARRAY(sa.Text), nullable=False),
        sa.Column("occurred_at", time, nullable=False),
        sa.Column("received_at", time, nullable=False, server_default=now),
        sa.Column("delete_after", time, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.execute("CREATE SEQUENCE events_position AS bigint OWNED BY events.position")
    op.create_index(
        "events_position_key",
        "events",
        ["position"],
        unique=True,
        postgresql_where=sa.text("position IS NOT NULL"),
    )
    op.create_index("events_received_at", "events", ["received_at"])
    op.create_index("events_delete_after", "events", ["delete_after"])
    op.create_table(
        "stream_state",
        sa.Column("one", sa.Boolean, sa.CheckConstraint("one"), primary_key=True, server_default=sa.true()),
        sa.Column("floor", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO stream_state (floor) VALUES (0)")

    op.create_table(
        "deliveries",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("event_id", UUID, sa.ForeignKey("events.id", ondelete="CASCADE"), nullable=False),
        sa.Column("endpoint_id", UUID, sa.ForeignKey("endpoints.id", ondelete="CASCADE"), nullable=False),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column(
            "state",
            sa.Text,
            sa.CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="deliveries_state"),
            nullable=False,
        ),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("round_began", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_attempt_at", time),
        sa.Column("lease_until", time),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", time, nullable=False, server_default=now),
        sa.Column("ended_at", time),
        sa.UniqueConstraint("event_id", "endpoint_id", name="deliveries_once"),
        sa.CheckConstraint("(state = 'pending') = (next_attempt_at IS NOT NULL)", name="deliveries_due"),
    )
    op.create_index(
        "deliveries_due",
        "deliveries",
        ["endpoint_id", "next_attempt_at"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("deliveries_endpoint", "deliveries", ["endpoint_id", "id"])
    op.create_table(
        "attempts",
        sa.Column("delivery_id", UUID, sa.ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("started_at", time, nullable=False),
        sa.Column("ended_at", time),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text),
        sa.Column("excerpt", sa.Text),
        sa.Column("duration_ms", sa.Integer),
    )
    # Each delivery is updated twice within milliseconds; its old versions would be read again and again.
    for table in ("deliveries", "attempts"):
        op.execute(
            f"ALTER TABLE {table} SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02,"
            " autovacuum_vacuum_threshold = 2000, autovacuum_analyze_scale_factor = 0.05)"
        )

    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("partner_id", sa.Text, nullable=False),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", time, nullable=False, server_default=now),
        sa.Column("expires_at", time),
        sa.Column("revoked_at", time),
    )
    op.create_index("api_keys_created_at", "api_keys", ["created_at", "id"])

    for table in (
        "endpoints",
        "signing_secrets",
        "endpoint_health",
        "events",
        "deliveries",
        "attempts",
        "api_keys",
    ):
        enable_org_path_security(op, table)
