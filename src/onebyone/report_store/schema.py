"""The schema of the report store, managed by alembic."""

from __future__ import annotations

from pathlib import Path

from onebyone.runtime import migration

SCRIPTS = Path(__file__).parent / "migrations"

VERSION_TABLE = "report_store_version"
"""Named after the store, because on PostgreSQL both stores may share one database."""


async def upgrade(url: str) -> None:
    """Migrate the report store at `url` to the newest revision."""
    await migration.upgrade(url, SCRIPTS)


async def require_known(url: str) -> None:
    """Raise `NewerSchema` if a newer release has migrated the report store at `url`."""
    await migration.require_known(url, SCRIPTS, VERSION_TABLE)
