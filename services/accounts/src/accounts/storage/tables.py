"""The tables, as the migrations made them."""

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, Date, DateTime, Identity, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata = MetaData()
_time = DateTime(timezone=True)
_uuid = UUID(as_uuid=True)

customers = Table(
    "customers",
    metadata,
    Column("customer_id", _uuid, primary_key=True),
    Column("org_path", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("tier", Text),
    Column("owner_agent_id", Text),
    Column("language", Text),
    Column("territory", Text),
    Column("born_on", Date),
    Column("source_ref", Text),
    Column("version", Integer, nullable=False),
    Column("created_at", _time, nullable=False),
    Column("updated_at", _time, nullable=False),
)

contacts = Table(
    "contacts",
    metadata,
    Column("contact_id", _uuid, primary_key=True),
    Column("customer_id", _uuid, nullable=False),
    Column("org_path", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("email", Text),
    Column("position", BigInteger, Identity(always=True)),
)

phones = Table(
    "phones",
    metadata,
    Column("phone_id", _uuid, primary_key=True),
    Column("number", Text, nullable=False),
    Column("customer_id", _uuid, nullable=False),
    Column("contact_id", _uuid),
    Column("org_path", Text, nullable=False),
    Column("position", BigInteger, Identity(always=True)),
)

registrations = Table(
    "registrations",
    metadata,
    Column("source_ref", Text, primary_key=True),
    Column("customer_id", _uuid, nullable=False),
    Column("org_path", Text, nullable=False),
    Column("registered_at", _time, nullable=False),
)

interactions = Table(
    "interactions",
    metadata,
    Column("interaction_id", _uuid, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("workspace", Text, nullable=False),
    Column("org_path", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("from_number", Text),
    Column("dialled", Text, nullable=False),
    Column("agent_ids", ARRAY(Text), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("started_at", _time, nullable=False),
    Column("answered_at", _time),
    Column("ended_at", _time),
    Column("customer_id", _uuid),
    Column("contact_id", _uuid),
    Column("recorded", Boolean, nullable=False),
)

notes = Table(
    "notes",
    metadata,
    Column("note_id", _uuid, primary_key=True),
    Column("customer_id", _uuid, nullable=False),
    Column("org_path", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", _time, nullable=False),
)

service_requests = Table(
    "service_requests",
    metadata,
    Column("service_request_id", _uuid, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("org_path", Text, nullable=False),
    Column("customer_id", _uuid, nullable=False),
    Column("customer_name", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("skills", JSONB, nullable=False),
    Column("language", Text),
    Column("territory", Text),
    Column("attributes", JSONB, nullable=False),
    Column("agent_id", Text),
    Column("opened_at", _time, nullable=False),
    Column("ended_at", _time),
    Column("resolution", Text, nullable=False),
    Column("work_item_sequence", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("entry_id", BigInteger, Identity(always=True), primary_key=True),
    Column("customer_id", _uuid, nullable=False),
    Column("org_path", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("entity_id", _uuid, nullable=False),
    Column("action", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", _time, nullable=False),
    Column("cause_id", _uuid),
    Column("reason", Text, nullable=False),
    Column("before", JSONB),
    Column("after", JSONB),
)
