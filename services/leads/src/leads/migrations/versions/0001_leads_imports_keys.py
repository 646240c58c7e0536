"""Leads, their audit, uploaded files, partners' API keys."""

import sqlalchemy as sa
from alembic import op
from cordboard_chassis.schema import create_chassis_tables, enable_org_path_security
from sqlalchemy.dialects.postgresql import JSONB, UUID

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)
_BY_BYTES = sa.Text(collation="C")
"""Sorted by bytes, so that one index serves ranges and prefixes on every operating system."""
_OPEN = "status IN ('submitted', 'accepted', 'converting')"


def upgrade() -> None:
    """Make them."""
    create_chassis_tables(op)
    _leads()
    _audit()
    _imports()
    _api_keys()
    for table in ("leads", "audit_entries", "lead_imports", "api_keys"):
        enable_org_path_security(op, table)


def _leads() -> None:
    op.create_table(
        "leads",
        sa.Column("lead_id", UUID, primary_key=True),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("org_path", _BY_BYTES, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("company", sa.Text, nullable=False),
        sa.Column("phone", _BY_BYTES),
        sa.Column("email", sa.Text),
        sa.Column("contact_key", _BY_BYTES, nullable=False),
        sa.Column("language", sa.Text),
        sa.Column("territory", sa.Text),
        sa.Column("interest", sa.Text, nullable=False),
        sa.Column("attributes", JSONB, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("submitted_by", sa.Text, nullable=False),
        sa.Column("partner_id", sa.Text),
        sa.Column("source_ref", sa.Text),
        sa.Column("owner_agent_id", sa.Text),
        sa.Column("call_id", UUID),
        sa.Column("customer_id", UUID),
        sa.Column("rejected_because", sa.Text),
        sa.Column("conversion_id", UUID),
        sa.Column("conversion_refused_because", sa.Text),
        sa.Column("item_version", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.CheckConstraint("source IN ('call', 'web', 'csv')", name="leads_source"),
        sa.CheckConstraint(f"{_OPEN} OR status IN ('rejected', 'converted')", name="leads_status"),
    )
    # Two agents must not call the same person: one open lead per number (or address) and part of the organisation.
    op.create_index(
        "leads_one_open", "leads", ["org_path", "contact_key"], unique=True, postgresql_where=sa.text(_OPEN)
    )
    # What was made into a lead once is not made into another: a call, a line of a file.
    op.create_index("leads_source_ref", "leads", ["org_path", "source_ref"], unique=True)
    op.create_index("leads_newest", "leads", ["created_at", "lead_id"])
    op.create_index("leads_by_status", "leads", ["status", "created_at", "lead_id"])
    op.create_index("leads_by_owner", "leads", ["owner_agent_id", "created_at", "lead_id"])
    op.create_index("leads_by_partner", "leads", ["partner_id", "created_at", "lead_id"])
    op.create_index("leads_by_org_path", "leads", ["org_path", "created_at", "lead_id"])
    op.create_index("leads_by_phone", "leads", ["phone"])


def _audit() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("audit_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("lead_id", UUID, nullable=False),
        sa.Column("org_path", _BY_BYTES, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("before", JSONB, nullable=False),
        sa.Column("after", JSONB, nullable=False),
        sa.Column("cause", UUID),
        sa.Column("at", _TIME, nullable=False),
    )
    op.create_index("audit_entries_lead", "audit_entries", ["lead_id", "audit_id"])


def _imports() -> None:
    op.create_table(
        "lead_imports",
        sa.Column("import_id", UUID, primary_key=True),
        sa.Column("org_path", _BY_BYTES, nullable=False),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("file_name", sa.Text, nullable=False),
        sa.Column("encoding", sa.Text, nullable=False),
        sa.Column("columns", JSONB, nullable=False),
        sa.Column("ignored_columns", JSONB, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("created", sa.Integer, nullable=False),
        sa.Column("duplicates", sa.Integer, nullable=False),
        sa.Column("rejected", sa.Integer, nullable=False),
        sa.Column("errors", JSONB, nullable=False),
        sa.Column("duplicate_rows", JSONB, nullable=False),
        sa.Column("imported_by", sa.Text, nullable=False),
        sa.Column("imported_at", _TIME, nullable=False),
    )
    op.create_index("lead_imports_once", "lead_imports", ["org_path", "digest"], unique=True)
    op.create_index("lead_imports_newest", "lead_imports", ["imported_at", "import_id"])


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("org_path", _BY_BYTES, nullable=False),
        sa.Column("partner_id", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("revoked_at", _TIME),
        sa.Column("revoked_by", sa.Text),
    )
    op.create_index("api_keys_newest", "api_keys", ["created_at", "key_id"])
