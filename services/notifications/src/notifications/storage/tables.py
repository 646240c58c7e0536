"""Tables as the migrations make them, for the statements that are built in Python."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, UUID

metadata = MetaData()
_Time = DateTime(timezone=True)

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("org_path", Text),
    Column("partner_id", Text),
    Column("url", Text),
    Column("description", Text),
    Column("event_types", ARRAY(Text)),
    Column("enabled", Boolean),
    Column("disabled_reason", Text),
    Column("version", Integer),
    Column("created_at", _Time),
    Column("updated_at", _Time),
    Column("deleted_at", _Time),
)

signing_secrets = Table(
    "signing_secrets",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("endpoint_id", UUID),
    Column("org_path", Text),
    Column("sealed", Text),
    Column("created_at", _Time),
    Column("expires_at", _Time),
)

endpoint_health = Table(
    "endpoint_health",
    metadata,
    Column("endpoint_id", UUID, primary_key=True),
    Column("org_path", Text),
    Column("consecutive_failures", Integer),
    Column("pauses", Integer),
    Column("failing_since", _Time),
    Column("blocked_until", _Time),
)

events = Table(
    "events",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("position", BigInteger),
    Column("type", Text),
    Column("org_path", Text),
    Column("agents", ARRAY(Text)),
    Column("occurred_at", _Time),
    Column("received_at", _Time),
    Column("delete_after", _Time),
    Column("body", Text),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("event_id", UUID),
    Column("endpoint_id", UUID),
    Column("org_path", Text),
    Column("event_type", Text),
    Column("state", Text),
    Column("attempts", Integer),
    Column("round_began", Integer),
    Column("next_attempt_at", _Time),
    Column("lease_until", _Time),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("created_at", _Time),
    Column("ended_at", _Time),
)

attempts = Table(
    "attempts",
    metadata,
    Column("delivery_id", UUID, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("org_path", Text),
    Column("started_at", _Time),
    Column("ended_at", _Time),
    Column("status", Integer),
    Column("error", Text),
    Column("excerpt", Text),
    Column("duration_ms", Integer),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partner_id", Text),
    Column("org_path", Text),
    Column("description", Text),
    Column("digest", Text),
    Column("created_by", Text),
    Column("created_at", _Time),
    Column("expires_at", _Time),
    Column("revoked_at", _Time),
)
