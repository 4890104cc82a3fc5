"""Stores that answer and refuse: a start ends with one line for each wrong setting, without a traceback or a loop."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from onebyone.config_store import schema as config_schema
from onebyone.report_store import schema as report_schema
from onebyone.runtime import sql
from tests.support.newer_schema import newer_schema
from tests.support.valkey import ValkeyProcess, start_valkey

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

PASSWORD = "R1ght-Passw0rd"
WRONG = "Wr0ng-Passw0rd"
REFUSED_PASSWORD = "the server refuses the user name or password"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyProcess]:
    """A server that wants a password."""
    folder = tmp_path_factory.mktemp("locked")
    server = start_valkey(folder)
    with server.client() as client:
        client.config_set("requirepass", PASSWORD)
    yield server
    server.remove()


def locked_url(server: ValkeyProcess, password: str) -> str:
    """Return the URL of a server with a password."""
    return server.url.replace("unix://", f"unix://:{password}@", 1)


def start(tmp_path: Path, command: str, **settings: object) -> tuple[int, list[str]]:
    """Return exit code and standard error of a start that must fail by itself."""
    given = {
        "data_dir": tmp_path / "data",
        **dict.fromkeys(("edge_port", "api_port", "counter_port"), 0),
        "workers": 2,
        **settings,
    }
    env = os.environ | {f"ONEBYONE_{name.upper()}": str(value) for name, value in given.items()}
    done = subprocess.run(
        [sys.executable, "-m", "onebyone", command], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    assert WRONG not in done.stderr + done.stdout
    return done.returncode, [line for line in done.stderr.splitlines() if line.startswith("onebyone: ")]


@pytest.mark.parametrize(
    ("command", "wrong"),
    [("edge", ["cache_url", "stream_url"]), ("api", ["cache_url"]), ("counter", ["stream_url"])],
)
def test_a_wrong_password_of_a_server(tmp_path: Path, locked: ValkeyProcess, command: str, wrong: list[str]) -> None:
    code, lines = start(tmp_path, command, **dict.fromkeys(wrong, locked_url(locked, WRONG)))
    assert code == 1
    assert lines == [f"onebyone: ONEBYONE_{name.upper()}: {REFUSED_PASSWORD}" for name in wrong]


@pytest.mark.parametrize("command", ["api", "counter", "serve"])
def test_a_newer_schema(tmp_path: Path, shared_valkey: ValkeyProcess, command: str) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'reports.sqlite3'}"
    newer_schema(url, report_schema.upgrade, report_schema.VERSION_TABLE)
    servers = {"cache_url": shared_valkey.url, "stream_url": shared_valkey.url}
    code, lines = start(tmp_path, command, report_database_url=url, **servers)
    assert code == 1
    assert len(lines) == 1
    assert lines[0].startswith("onebyone: ONEBYONE_REPORT_DATABASE_URL: its schema is of a newer release")
    assert "9999" in lines[0]


def test_all_stores_of_the_api_are_told_together(tmp_path: Path, locked: ValkeyProcess) -> None:
    config, reports = (f"sqlite+aiosqlite:///{tmp_path / name}.sqlite3" for name in ("config", "reports"))
    newer_schema(config, config_schema.upgrade, config_schema.VERSION_TABLE)
    (tmp_path / "reports.sqlite3").write_bytes(b"no database " * 100)
    code, lines = start(
        tmp_path, "api", database_url=config, report_database_url=reports, cache_url=locked_url(locked, WRONG)
    )
    assert code == 1
    assert [line.split(": ")[1] for line in lines] == [
        "ONEBYONE_CACHE_URL",
        "ONEBYONE_DATABASE_URL",
        "ONEBYONE_REPORT_DATABASE_URL",
    ]
    assert lines[2].endswith("the file is not a SQLite database")


@pytest.mark.parametrize("command", ["api", "counter"])
def test_a_file_that_cannot_be_created(tmp_path: Path, shared_valkey: ValkeyProcess, command: str) -> None:
    servers = {"cache_url": shared_valkey.url, "stream_url": shared_valkey.url}
    url = "sqlite+aiosqlite:////no/such/folder/x.sqlite3"
    code, lines = start(tmp_path, command, database_url=url, **servers)
    assert (code, lines) == (1, ["onebyone: ONEBYONE_DATABASE_URL: the file cannot be opened or created"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda url: f"{url}?sslmode=require", "the server does not speak TLS, which sslmode demands"),
        (lambda url: f"{url}?ssl=require", "the server does not speak TLS, which sslmode demands"),
        (lambda url: f"{url}_gone", "the server has no such database"),
        (lambda url: url.replace("onebyone@", f"nobody:{WRONG}@"), "the server refuses this user"),
    ],
    ids=["sslmode", "ssl", "database", "user"],
)
def test_postgresql_refuses(
    tmp_path: Path, shared_valkey: ValkeyProcess, postgres_url: str, change: Callable[[str], str], reason: str
) -> None:
    servers = {"cache_url": shared_valkey.url, "stream_url": shared_valkey.url}
    code, lines = start(tmp_path, "counter", database_url=change(postgres_url), **servers)
    assert (code, lines) == (1, [f"onebyone: ONEBYONE_DATABASE_URL: {reason}"])


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
async def test_sslmode_is_understood(postgres_url: str, mode: str, anyio_backend: str) -> None:
    engine = sql.create_engine(f"{postgres_url}?sslmode={mode}&application_name=mine")
    async with sql.reading(engine) as connection:
        assert (await connection.execute(text("SHOW application_name"))).scalar_one() == "mine"
    await engine.dispose()
