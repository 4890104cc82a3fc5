"""Entry point that alembic runs for each command."""

from __future__ import annotations

from onebyone.report_store.schema import VERSION_TABLE
from onebyone.report_store.tables import metadata
from onebyone.runtime import migration

migration.run_revisions(metadata, VERSION_TABLE)
