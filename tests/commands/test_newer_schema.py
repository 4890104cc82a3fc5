"""Commands on a store that a newer release has migrated: one line that says so, and nothing read or written."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from onebyone.cli import app
from onebyone.config_store import schema as config_schema
from onebyone.report_store import schema as report_schema
from tests.support.newer_schema import newer_schema


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The settings of two stores that a release has migrated whose revision 9999 is unknown here."""
    config, reports = (f"sqlite+aiosqlite:///{tmp_path / name}.sqlite3" for name in ("config", "reports"))
    newer_schema(config, config_schema.upgrade, config_schema.VERSION_TABLE)
    newer_schema(reports, report_schema.upgrade, report_schema.VERSION_TABLE)
    return {
        "ONEBYONE_DATA_DIR": str(tmp_path),
        "ONEBYONE_DATABASE_URL": config,
        "ONEBYONE_REPORT_DATABASE_URL": reports,
    }


@pytest.mark.parametrize(
    "command",
    [
        "member list",
        "member create Second",
        "user list",
        "signing-key list --member 1",
        "dead-letters list",
        "dead-letters replay",
        "missing list",
        "missing give-up 0123456789abcdef",
    ],
)
def test_a_command_refuses(environment: dict[str, str], command: str) -> None:
    result = CliRunner().invoke(app, command.split(), env=environment)
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert "its schema is of a newer release" in line
    assert "9999" in line


def test_the_check_says_so(environment: dict[str, str]) -> None:
    result = CliRunner().invoke(app, ["check"], env=environment)
    assert result.exit_code == 1
    assert "its schema is of a newer release" in result.output
    assert "9999" in result.output
