"""The report store's schema, kept by alembic."""

from __future__ import annotations

from pathlib import Path

from onebyone.runtime import migration

SCRIPTS = Path(__file__).parent / "migrations"

VERSION_TABLE = "report_store_version"
"""Named after the store: on PostgreSQL it may share its database with the configuration store."""


async def upgrade(url: str) -> None:
    """Brings the report store at `url` to the newest revision."""
    await migration.upgrade(url, SCRIPTS)
