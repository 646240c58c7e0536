"""What each service's first migration makes for the chassis, and row-level security for its own tables."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, UUID

SCOPE = "current_setting('cordboard.org_path', true)"
"""The part of the organisation that the transaction may see; nothing when it is not set."""


def create_chassis_tables(op: Any) -> None:
    """Outbox, inbox, idempotency keys, inputs of owners, parked and refused messages."""
    now = sa.text("now()")
    time = sa.DateTime(timezone=True)
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("event_id", UUID, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("partition_key", sa.Text, nullable=False),
        sa.Column("workspace", sa.Text),
        sa.Column("pbx", sa.Text),
        sa.Column("traceparent", sa.Text),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("written_at", time, nullable=False, server_default=now),
    )
    op.create_table(
        "inbox",
        sa.Column("queue", sa.Text, primary_key=True),
        sa.Column("event_id", UUID, primary_key=True),
        sa.Column("received_at", time, nullable=False, server_default=now),
    )
    op.create_index("inbox_received_at", "inbox", ["received_at"])
    # Rows come and go by the thousand; without this the dead ones are read again and again.
    for table in ("outbox", "inbox"):
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,"
            " autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000)"
        )
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("headers", JSONB),
        sa.Column("body", sa.Text),
        sa.Column("written_at", time, nullable=False, server_default=now),
    )
    op.create_index("idempotency_keys_written_at", "idempotency_keys", ["written_at"])
    op.create_table(
        "owner_inputs",
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("id", UUID, nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("owner_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("payload", JSONB, nullable=False),
        sa.Column("caller", JSONB, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("result", JSONB),
        sa.Column("written_at", time, nullable=False, server_default=now),
        sa.Column("done_at", time),
        sa.UniqueConstraint("subject", "key", name="owner_inputs_key"),
    )
    op.create_index(
        "owner_inputs_waiting",
        "owner_inputs",
        ["kind", "owner_id", "position"],
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_index("owner_inputs_done_at", "owner_inputs", ["done_at"])
    op.create_table(
        "parked_messages",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("headers", JSONB, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("parked_at", time, nullable=False, server_default=now),
        sa.UniqueConstraint("queue", "message_id", name="parked_messages_once"),
    )
    op.create_table(
        "refused_messages",
        sa.Column("queue", sa.Text, primary_key=True),
        sa.Column("event_id", UUID, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("refused_at", time, nullable=False, server_default=now),
    )
    op.create_index("refused_messages_refused_at", "refused_messages", ["refused_at"])


def enable_org_path_security(op: Any, table: str) -> None:
    """Rows of ``table`` are seen and written only within the transaction's scope, whatever a query forgets.

    FORCE lets it hold for the tables' owner, too. Works on a column ``org_path``.
    """
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY within_scope ON {table} USING ({SCOPE} = '/' OR org_path = {SCOPE}"
        f" OR starts_with(org_path, {SCOPE} || '/'))"
    )
