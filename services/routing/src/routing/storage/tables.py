"""The tables, as queries see them."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

metadata = MetaData()

_TIME = DateTime(timezone=True)

workspaces = Table(
    "workspaces",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("org_path", Text),
    Column("name", Text),
    Column("agent_order", Text),
    Column("misses_allowed", JSONB),
    Column("weights", JSONB),
    Column("reoffer_after_s", Integer),
    Column("presence_grace_s", Integer),
    Column("interrupts", JSONB),
    Column("version", BigInteger),
    Column("created_at", _TIME),
    Column("updated_at", _TIME),
)

queues = Table(
    "queues",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("queue_id", Text, primary_key=True),
    Column("name", Text),
    Column("priority", Integer),
    Column("offer_timeout_s", Integer),
    Column("wrap_up_s", Integer),
    Column("wrap_up_extension_s", Integer),
    Column("service_level_s", Integer),
    Column("steps", JSONB),
    Column("agent_order", Text),
    Column("priority_class", Integer),
    Column("acceleration", Integer),
    Column("due_after_s", Integer),
    Column("paused", Boolean),
    Column("hours", Text),
    Column("after_hours", JSONB(none_as_null=True)),
    Column("version", BigInteger),
    Column("updated_at", _TIME),
)

calendars = Table(
    "calendars",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("calendar_id", Text, primary_key=True),
    Column("document", JSONB),
    Column("version", BigInteger),
    Column("updated_at", _TIME),
)

rule_sets = Table(
    "rule_sets",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("rules", JSONB),
    Column("written_by", Text),
    Column("written_at", _TIME),
)

audit = Table(
    "audit",
    metadata,
    Column("entry_id", BigInteger, primary_key=True),
    Column("workspace_id", Text),
    Column("action", Text),
    Column("done_by", Text),
    Column("done_at", _TIME),
    Column("details", JSONB),
)

devices = Table(
    "devices",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    Column("state", Text),
    Column("sequence", BigInteger),
)

agents = Table(
    "agents",
    metadata,
    Column("agent_id", Text, primary_key=True),
    Column("workspace_id", Text),
    Column("org_path", Text),
    Column("name", Text),
    Column("device_id", Text),
    Column("skills", JSONB),
    Column("territories", ARRAY(Text)),
    Column("capacity", JSONB),
    Column("capacity_total", Integer),
    Column("profile_version", BigInteger),
    Column("version", BigInteger),
    Column("state", Text),
    Column("reason", Text),
    Column("since", _TIME),
    Column("mode", Text),
    Column("mode_reason", Text),
    Column("device_state", Text),
    Column("idle_since", _TIME),
    Column("wrap_up_until", _TIME),
    Column("wrap_up_limit", _TIME),
    Column("misses", Integer),
    Column("offers", Integer),
    Column("last_token", BigInteger),
    Column("device_lost_at", _TIME),
    Column("desktop_lost_at", _TIME),
)

work_items = Table(
    "work_items",
    metadata,
    Column("work_item_id", UUID(as_uuid=True), primary_key=True),
    Column("workspace_id", Text),
    Column("org_path", Text),
    Column("kind", Text),
    Column("subject_id", UUID(as_uuid=True)),
    Column("subject_sequence", BigInteger),
    Column("state", Text),
    Column("queue", Text),
    Column("priority", Integer),
    Column("requirement", JSONB),
    Column("any_of", JSONB),
    Column("wanted", JSONB),
    Column("step", Integer),
    Column("queued_at", _TIME),
    Column("due_at", _TIME),
    Column("preferred_until", _TIME),
    Column("required_territory", Text),
    Column("territory", Text),
    Column("language", Text),
    Column("customer_id", UUID(as_uuid=True)),
    Column("customer_name", Text),
    Column("customer_tier", Text),
    Column("preferred_agent", Text),
    Column("pbx_id", Text),
    Column("from_number", Text),
    Column("dialled", Text),
    Column("call_back", Text),
    Column("attributes", JSONB),
    Column("rule", Text),
    Column("rule_version", BigInteger),
    Column("avoid", Text),
    Column("avoid_until", _TIME),
    Column("version", BigInteger),
    Column("submitted_at", _TIME),
    Column("accepted_at", _TIME),
    Column("ended_at", _TIME),
    Column("outcome", Text),
)

assignments = Table(
    "assignments",
    metadata,
    Column("assignment_id", UUID(as_uuid=True), primary_key=True),
    Column("workspace_id", Text),
    Column("work_item_id", UUID(as_uuid=True)),
    Column("org_path", Text),
    Column("agent_id", Text),
    Column("device_id", Text),
    Column("token", BigInteger),
    Column("state", Text),
    Column("offered_at", _TIME),
    Column("expires_at", _TIME),
    Column("accepted_at", _TIME),
    Column("ended_at", _TIME),
    Column("outcome", Text),
    Column("reason", JSONB),
)

queue_intervals = Table(
    "queue_intervals",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("queue_id", Text, primary_key=True),
    Column("org_path", Text, primary_key=True),
    Column("begins_at", _TIME, primary_key=True),
    Column("submitted", BigInteger),
    Column("accepted", BigInteger),
    Column("accepted_in_time", BigInteger),
    Column("completed", BigInteger),
    Column("cancelled", BigInteger),
    Column("waited_ms", BigInteger),
)

customers = Table(
    "customers",
    metadata,
    Column("customer_id", UUID(as_uuid=True), primary_key=True),
    Column("org_path", Text),
    Column("name", Text),
    Column("active", Boolean),
    Column("tier", Text),
    Column("owner_agent_id", Text),
    Column("language", Text),
    Column("territory", Text),
    Column("known_since", _TIME),
    Column("sequence", BigInteger),
)
