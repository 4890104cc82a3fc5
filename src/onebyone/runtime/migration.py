"""Migrate a store's schema to the newest revision with alembic, in one process at a time."""

from __future__ import annotations

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, column, inspect, select, table, text

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


async def require_known(url: str, scripts: Path, version_table: str) -> None:
    """Raise `NewerSchema` if the database at `url` has a revision that the alembic folder `scripts` lacks.

    For commands that read and write a store without migrating it. A database without the table of versions passes.
    """
    engine = sql.create_engine(url)
    try:
        async with sql.reading(engine) as connection:
            revisions = await connection.run_sync(_revisions, version_table)
    finally:
        await engine.dispose()
    known = {script.revision for script in ScriptDirectory(str(scripts)).walk_revisions()}
    for revision in revisions - known:
        raise NewerSchema(f"its schema is of a newer release: no revision {revision!r} here; use that release")


def _revisions(connection: Connection, version_table: str) -> set[str]:
    if not inspect(connection).has_table(version_table):
        return set()
    return set(connection.scalars(select(column("version_num")).select_from(table(version_table))))


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
