"""The tables as statements see them; `migrations` makes them."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

metadata = sa.MetaData()
_time = sa.DateTime(timezone=True)

pbxs = sa.Table(
    "pbxs",
    metadata,
    sa.Column("pbx_id", sa.Text, primary_key=True),
    sa.Column("driver", sa.Text),
    sa.Column("host", sa.Text),
    sa.Column("port", sa.Integer),
    sa.Column("workspace", sa.Text),
    sa.Column("org_path", sa.Text),
    sa.Column("trunks", JSONB),
    sa.Column("outbound_prefixes", ARRAY(sa.Text)),
    sa.Column("outbound_limits", JSONB),
    sa.Column("enabled", sa.Boolean),
    sa.Column("version", sa.BigInteger),
    sa.Column("devices_version", sa.BigInteger),
    sa.Column("updated_at", _time),
    sa.Column("connected", sa.Boolean),
    sa.Column("connection_since", _time),
    sa.Column("connection_detail", sa.Text),
    sa.Column("owned_by", sa.Text),
)

devices = sa.Table(
    "devices",
    metadata,
    sa.Column("pbx_id", sa.Text, primary_key=True),
    sa.Column("device_id", sa.Text, primary_key=True),
    sa.Column("workspace", sa.Text),
    sa.Column("org_path", sa.Text),
    sa.Column("configured", sa.Boolean),
    sa.Column("config_version", sa.BigInteger),
    sa.Column("state", sa.Text),
    sa.Column("told", sa.Text),
    sa.Column("changed_at", _time),
    sa.Column("version", sa.BigInteger),
)

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("call_id", UUID, primary_key=True),
    sa.Column("pbx_id", sa.Text),
    sa.Column("workspace", sa.Text),
    sa.Column("org_path", sa.Text),
    sa.Column("direction", sa.Text),
    sa.Column("state", sa.Text),
    sa.Column("from_number", sa.Text),
    sa.Column("agent_ids", ARRAY(sa.Text)),
    sa.Column("offered_at", _time),
    sa.Column("cleared_at", _time),
    sa.Column("version", sa.BigInteger),
    sa.Column("body", JSONB),
)

adapter_commands = sa.Table(
    "adapter_commands",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True),
    sa.Column("pbx_id", sa.Text),
    sa.Column("command_id", UUID),
    sa.Column("body", JSONB),
)

agents = sa.Table(
    "agents",
    metadata,
    sa.Column("workspace", sa.Text, primary_key=True),
    sa.Column("agent_id", sa.Text, primary_key=True),
    sa.Column("org_path", sa.Text),
    sa.Column("device_id", sa.Text),
    sa.Column("on_duty", sa.Boolean),
    sa.Column("since", _time),
    sa.Column("version", sa.BigInteger),
)
