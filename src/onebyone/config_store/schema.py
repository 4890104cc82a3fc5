"""The configuration store's schema, kept by alembic."""

from __future__ import annotations

from pathlib import Path

from onebyone.runtime import migration

SCRIPTS = Path(__file__).parent / "migrations"

VERSION_TABLE = "config_store_version"
"""Named after the store: on PostgreSQL it may share its database with the report store."""


async def upgrade(url: str) -> None:
    """Brings the configuration store at `url` to the newest revision."""
    await migration.upgrade(url, SCRIPTS)
