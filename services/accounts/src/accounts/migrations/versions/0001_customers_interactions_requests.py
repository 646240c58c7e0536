"""Customers with contacts and phones, interactions, notes, service requests, the audit."""

import sqlalchemy as sa
from alembic import op
from cordboard_chassis.schema import create_chassis_tables, enable_org_path_security
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)
_BY_BYTES = sa.Text(collation="C")
"""Sorted by bytes, so that one index serves ranges, prefixes and order alike, on every operating system."""


def upgrade() -> None:
    """Make them."""
    create_chassis_tables(op)
    _customers()
    _contacts_and_phones()
    _registrations()
    _interactions()
    _notes()
    _service_requests()
    _audit()
    for table in (
        "customers",
        "contacts",
        "phones",
        "registrations",
        "interactions",
        "notes",
        "service_requests",
        "audit_entries",
    ):
        enable_org_path_security(op, table)


def _customers() -> None:
    op.create_table(
        "customers",
        sa.Column("customer_id", UUID, primary_key=True),
        sa.Column("org_path", _BY_BYTES, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", _BY_BYTES, nullable=False),
        sa.Column("tier", sa.Text),
        sa.Column("owner_agent_id", sa.Text),
        sa.Column("language", sa.Text),
        sa.Column("territory", sa.Text),
        sa.Column("born_on", sa.Date),
        sa.Column("source_ref", sa.Text),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.CheckConstraint("kind IN ('organisation', 'person')", name="customers_kind"),
        sa.CheckConstraint("status IN ('active', 'frozen')", name="customers_status"),
    )
    op.create_index("customers_name", "customers", ["name_key", "customer_id"])
    op.create_index("customers_org_path", "customers", ["org_path"])


def _contacts_and_phones() -> None:
    op.create_table(
        "contacts",
        sa.Column("contact_id", UUID, primary_key=True),
        sa.Column("customer_id", UUID, sa.ForeignKey("customers.customer_id", ondelete="CASCADE"), nullable=False),
        sa.Column("org_path", _BY_BYTES, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True)),
    )
    op.create_index("contacts_customer", "contacts", ["customer_id"])
    op.create_table(
        "phones",
        sa.Column("phone_id", UUID, primary_key=True),
        sa.Column("number", _BY_BYTES, nullable=False),
        sa.Column("customer_id", UUID, sa.ForeignKey("customers.customer_id", ondelete="CASCADE"), nullable=False),
        sa.Column("contact_id", UUID, sa.ForeignKey("contacts.contact_id", ondelete="CASCADE")),
        sa.Column("org_path", _BY_BYTES, nullable=False),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True)),
    )
    # The look-up of a caller: everything it wants of a phone is in the index.
    op.create_index("phones_number", "phones", ["number"], postgresql_include=["customer_id", "contact_id", "org_path"])
    op.create_index("phones_customer", "phones", ["customer_id"])
    op.create_index("phones_contact", "phones", ["contact_id"])


def _registrations() -> None:
    op.create_table(
        "registrations",
        sa.Column("source_ref", sa.Text, primary_key=True),
        sa.Column("customer_id", UUID, sa.ForeignKey("customers.customer_id", ondelete="CASCADE"), nullable=False),
        sa.Column("org_path", _BY_BYTES, nullable=False),
        sa.Column("registered_at", _TIME, nullable=False),
    )
    op.create_index("registrations_customer", "registrations", ["customer_id"])


def _interactions() -> None:
    op.create_table(
        "interactions",
        sa.Column("interaction_id", UUID, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("org_path", _BY_BYTES, nullable=False),
        sa.Column("direction", sa.Text, nullable=False),
        sa.Column("from_number", _BY_BYTES),
        sa.Column("dialled", sa.Text, nullable=False),
        sa.Column("agent_ids", ARRAY(sa.Text), nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("answered_at", _TIME),
        sa.Column("ended_at", _TIME),
        sa.Column("customer_id", UUID, sa.ForeignKey("customers.customer_id", ondelete="SET NULL")),
        sa.Column("contact_id", UUID, sa.ForeignKey("contacts.contact_id", ondelete="SET NULL")),
        sa.Column("recorded", sa.Boolean, nullable=False),
        sa.CheckConstraint("outcome IN ('waiting', 'answered', 'abandoned')", name="interactions_outcome"),
    )
    op.create_index("interactions_started_at", "interactions", ["started_at", "interaction_id"])
    op.create_index("interactions_org_path", "interactions", ["org_path"])
    op.create_index("interactions_customer", "interactions", ["customer_id", "started_at", "interaction_id"])
    op.create_index("interactions_from_number", "interactions", ["from_number", "started_at", "interaction_id"])
    op.create_index(
        "interactions_contact",
        "interactions",
        ["contact_id"],
        postgresql_where=sa.text("contact_id IS NOT NULL"),
    )


def _notes() -> None:
    op.create_table(
        "notes",
        sa.Column("note_id", UUID, primary_key=True),
        sa.Column("customer_id", UUID, sa.ForeignKey("customers.customer_id", ondelete="CASCADE"), nullable=False),
        sa.Column("org_path", _BY_BYTES, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_index("notes_customer", "notes", ["customer_id", "created_at", "note_id"])


def _service_requests() -> None:
    op.create_table(
        "service_requests",
        sa.Column("service_request_id", UUID, primary_key=True),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("org_path", _BY_BYTES, nullable=False),
        sa.Column("customer_id", UUID, sa.ForeignKey("customers.customer_id", ondelete="CASCADE"), nullable=False),
        sa.Column("customer_name", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("skills", JSONB, nullable=False),
        sa.Column("language", sa.Text),
        sa.Column("territory", sa.Text),
        sa.Column("attributes", JSONB, nullable=False),
        sa.Column("agent_id", sa.Text),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("resolution", sa.Text, nullable=False),
        sa.Column("work_item_sequence", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.CheckConstraint("status IN ('open', 'assigned', 'resolved', 'cancelled')", name="service_requests_status"),
        sa.CheckConstraint("priority BETWEEN 0 AND 1000", name="service_requests_priority"),
    )
    op.create_index("service_requests_opened_at", "service_requests", ["opened_at", "service_request_id"])
    op.create_index("service_requests_customer", "service_requests", ["customer_id", "opened_at", "service_request_id"])
    op.create_index(
        "service_requests_not_ended",
        "service_requests",
        ["status", "opened_at", "service_request_id"],
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _audit() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("entry_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("customer_id", UUID, nullable=False),
        sa.Column("org_path", _BY_BYTES, nullable=False),
        sa.Column("entity", sa.Text, nullable=False),
        sa.Column("entity_id", UUID, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.Column("cause_id", UUID),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("before", JSONB),
        sa.Column("after", JSONB),
        sa.CheckConstraint("action IN ('created', 'changed', 'removed')", name="audit_entries_action"),
    )
    op.create_index("audit_entries_customer", "audit_entries", ["customer_id", "entry_id"])
    # No foreign key: the entries outlive what they tell of. And nobody rewrites them, not even by mistake.
    op.execute(
        """
        CREATE FUNCTION audit_entries_stay() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'audit entries are never changed or removed' USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
        FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_stay()
        """
    )
