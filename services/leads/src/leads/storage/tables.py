"""The tables, as the migrations made them."""

from sqlalchemy import BigInteger, Column, DateTime, Identity, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata = MetaData()
_time = DateTime(timezone=True)
_uuid = UUID(as_uuid=True)

leads = Table(
    "leads",
    metadata,
    Column("lead_id", _uuid, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("org_path", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("company", Text, nullable=False),
    Column("phone", Text),
    Column("email", Text),
    Column("contact_key", Text, nullable=False),
    Column("language", Text),
    Column("territory", Text),
    Column("interest", Text, nullable=False),
    Column("attributes", JSONB, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("submitted_by", Text, nullable=False),
    Column("partner_id", Text),
    Column("source_ref", Text),
    Column("owner_agent_id", Text),
    Column("call_id", _uuid),
    Column("customer_id", _uuid),
    Column("rejected_because", Text),
    Column("conversion_id", _uuid),
    Column("conversion_refused_because", Text),
    Column("item_version", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", _time, nullable=False),
    Column("updated_at", _time, nullable=False),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("audit_id", BigInteger, Identity(always=True), primary_key=True),
    Column("lead_id", _uuid, nullable=False),
    Column("org_path", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("action", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("before", JSONB, nullable=False),
    Column("after", JSONB, nullable=False),
    Column("cause", _uuid),
    Column("at", _time, nullable=False),
)

lead_imports = Table(
    "lead_imports",
    metadata,
    Column("import_id", _uuid, primary_key=True),
    Column("org_path", Text, nullable=False),
    Column("workspace", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("encoding", Text, nullable=False),
    Column("columns", JSONB, nullable=False),
    Column("ignored_columns", JSONB, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("created", Integer, nullable=False),
    Column("duplicates", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("errors", JSONB, nullable=False),
    Column("duplicate_rows", JSONB, nullable=False),
    Column("imported_by", Text, nullable=False),
    Column("imported_at", _time, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("org_path", Text, nullable=False),
    Column("partner_id", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", _time, nullable=False),
    Column("expires_at", _time),
    Column("revoked_at", _time),
    Column("revoked_by", Text),
)
