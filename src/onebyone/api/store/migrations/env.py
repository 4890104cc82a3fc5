"""Run by alembic for each command."""

from __future__ import annotations

from onebyone.api.store.schema import VERSION_TABLE
from onebyone.api.store.tables import metadata
from onebyone.runtime import migration

migration.run(metadata, VERSION_TABLE)
