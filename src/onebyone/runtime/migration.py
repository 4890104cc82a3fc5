"""Migrate a store's schema to the newest revision with alembic, in one process at a time."""

from __future__ import annotations

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, text

from onebyone.runtime import sql

_PG_LOCK = 7_129_455
"""An arbitrary constant: the key of the PostgreSQL advisory lock that a migrating process holds."""


class NewerSchema(Exception):
    """The store has a revision that this release does not know; the text says which."""


async def upgrade(url: str, scripts: Path) -> None:
    """Run the revisions of the alembic folder `scripts` that the database at `url` lacks."""
    engine = sql.create_engine(url)
    try:
        async with sql.writing(engine) as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PG_LOCK})
            await connection.run_sync(_upgrade, scripts)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, scripts: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise NewerSchema(f"its schema is of a newer release: {error}; install that release again") from None


def run_revisions(metadata: MetaData, version_table: str) -> None:
    """Run revisions on the connection that `upgrade` opened: the body of a store's `env.py`."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        version_table=version_table,
        render_as_batch=True,
        transactional_ddl=True,
    )
    context.run_migrations()
