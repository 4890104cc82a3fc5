"""docs/operations.md names every table of both stores, with what ends the life of its rows."""

from __future__ import annotations

import re
from pathlib import Path

import onebyone.config_store.tables as config_tables
import onebyone.report_store.tables as report_tables
from onebyone.settings import Settings, setting_name

PAGE = (Path(__file__).parents[1] / "docs" / "operations.md").read_text()


def test_every_table_is_named() -> None:
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall("`([a-z_]+)`", row[1])]
    assert sorted(named) == sorted([*config_tables.metadata.tables, *report_tables.metadata.tables])


def test_every_setting_of_retention_is_named() -> None:
    names = [setting_name(field) for field in Settings.model_fields if re.search("_(days|hours)$", field)]
    retention = set(names) - {"ONEBYONE_PASSWORD_DAYS", "ONEBYONE_NETWORK_LISTS_DAYS"}
    assert retention <= set(re.findall("ONEBYONE_[A-Z_]+", PAGE))
