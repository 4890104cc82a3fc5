"""Entry point that alembic runs for each command."""

from __future__ import annotations

from onebyone.config_store.schema import VERSION_TABLE
from onebyone.config_store.tables import metadata
from onebyone.runtime import migration

migration.run_revisions(metadata, VERSION_TABLE)
