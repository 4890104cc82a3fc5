"""Run by alembic for each command."""

from __future__ import annotations

from onebyone import migration
from onebyone.api.store.schema import VERSION_TABLE
from onebyone.api.store.tables import metadata

migration.run(metadata, VERSION_TABLE)
