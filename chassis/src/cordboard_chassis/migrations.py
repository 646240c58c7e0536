"""Brings a service's database to the newest version of its tables. Safe to run from several places at once."""

import hashlib
import importlib.resources
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url

from cordboard_chassis import schema

LOCK_TIMEOUT_S = 5
"""A migration that waits for a lock holds up everybody behind it; better to fail and be run again."""
STATEMENT_TIMEOUT_S = 300


def _scripts(package: str) -> ScriptDirectory:
    config = Config()
    directory = importlib.resources.files(package)
    config.set_main_option("script_location", str(directory))
    return ScriptDirectory.from_config(config)


def head(package: str) -> str | None:
    """The newest version in the package of migrations."""
    return _scripts(package).get_current_head()


def migrate(package: str, owner_url: str, app_role: str | None) -> Sequence[str]:
    """Upgrade as the tables' owner and grant ``app_role`` what it needs; returns the versions that ran."""
    scripts = _scripts(package)
    config = Config()
    config.set_main_option("script_location", scripts.dir)
    ran: list[str] = []
    engine = create_engine(
        owner_url,
        connect_args={
            "application_name": "cordboard-migrate",
            "options": f"-c lock_timeout={LOCK_TIMEOUT_S}s -c statement_timeout={STATEMENT_TIMEOUT_S}s",
        },
    )
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(hashtextextended('cordboard.migrate', 0))"))
            connection.commit()

            def upgrade(revision: Any, _context: object) -> list[Any]:
                steps = scripts._upgrade_revs("head", revision)
                ran.extend(step.revision.revision for step in steps)
                return list(steps)

            with EnvironmentContext(config, scripts, fn=upgrade) as environment:
                environment.configure(connection=connection, transaction_per_migration=True)
                with environment.begin_transaction():
                    environment.run_migrations()
            if app_role is not None and app_role != make_url(owner_url).username:
                _grant(connection, app_role)
            connection.commit()
    finally:
        engine.dispose()
    return ran


def _grant(connection: Connection, role: str) -> None:
    quoted = '"' + role.replace('"', '""') + '"'
    connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {quoted}"))
    connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {quoted}"))
    connection.execute(text(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {quoted}"))


def digest(package: str) -> str:
    """A hash over the migrations' text: databases made by the same text have the same tables."""
    files = [Path(schema.__file__), *sorted(Path(_scripts(package).dir, "versions").glob("*.py"))]
    seen = hashlib.sha256()
    for file in files:
        seen.update(file.read_bytes())
    return seen.hexdigest()
