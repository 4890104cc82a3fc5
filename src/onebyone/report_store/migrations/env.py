"""Run by alembic for each command."""

from __future__ import annotations

from onebyone import migration
from onebyone.report_store.schema import VERSION_TABLE
from onebyone.report_store.tables import metadata

migration.run(metadata, VERSION_TABLE)
