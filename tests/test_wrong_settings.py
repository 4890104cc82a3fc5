"""Every setting with wrong values, on every command: one line that names the setting and why, all of them together.

The values are made from the declarations of the settings, so a new setting is tested without a change here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from onebyone.cli import app
from onebyone.runtime.store_urls import SCHEMES
from onebyone.settings import Settings, setting_name

SECRET = "s3cr3t"
"""In every value that may hold a password; no output may show it."""

COMMANDS = [
    ("serve",),
    ("edge",),
    ("api",),
    ("counter",),
    ("demo", "--password", "Given-0ne-Password"),
    ("check",),
    ("tail",),
    ("dead-letters", "list"),
    ("dead-letters", "replay"),
    ("missing", "list"),
    ("missing", "give-up", "0" * 16),
    ("member", "list"),
    ("user", "list"),
]
NEEDED = {"cache_url": "unix:///nowhere", "stream_url": "unix:///nowhere"}

DATABASE = [
    f"mysql://root:{SECRET}@h/d",
    f"postgresql://u:{SECRET}@h/d",
    f"postgresql+asyncpg://u:{SECRET}/x@h/d",
    f"postgresql+asyncpg://u:{SECRET}#x@h/d",
    f"postgresql+asyncpg://u:a@b:{SECRET}@h/d",
    f"postgresql+asyncpg://u:{SECRET}@b@h/d",
    f"postgresql+asyncpg://u:12?{SECRET}@h/d",
    f"postgresql+asyncpg://u:{SECRET}@h:99999/d",
    f"postgresql+asyncpg://u:{SECRET}@[::1/d",
    f"postgresql+asyncpg://u:{SECRET}\u2100@h/d",
    f"postgresql+asyncpg://u:{SECRET}@h/d?sslmode=sometimes",
    f"postgresql+asyncpg://u:{SECRET}@h/d?ssl=sometimes",
    f"postgresql+asyncpg://u:{SECRET}@h/d?sslmode=require&sslrootcert=/no/such/file",
    f"postgresql+asyncpg://u:{SECRET}@h/d?nosuch={SECRET}",
    "sqlite+aiosqlite:///",
    "sqlite+aiosqlite:///:memory:",
    "data.sqlite3",
]
SERVER = [
    f"http://u:{SECRET}@h",
    f"redis://:{SECRET}/x@h:6379",
    f"redis://:{SECRET}#x@h:6379",
    f"redis://:12?{SECRET}@h:6379",
    f"redis://:{SECRET}@h:port",
    f"redis://:{SECRET}@h:99999",
    f"redis://:{SECRET}@h:6379/zero",
    f"redis://:{SECRET}@h:6379?db=zero",
    f"redis://:{SECRET}@h:6379?nosuch={SECRET}",
    f"redis://:{SECRET}@h:6379?ssl_cert_reqs=none",
    f"rediss://:{SECRET}@h:6379?ssl_cert_reqs=maybe",
    f"rediss://:{SECRET}@h:6379?ssl_ca_certs=/no/such/file",
    "unix://",
    "localhost:6379",
]
TEXTS: dict[str, list[str]] = {
    "valkey_maxmemory": ["much", "256", "1tb", "-1mb"],
    "admin_username": ["x" * 256],
    "object_limits": ["line-item", "line-item=many", "=3", "site=-1"],
    "trusted_proxies": ["10.0.0.0/99", "proxy.example", "10.0.0.1;10.0.0.2"],
    "metrics_from": ["10.0.0.0/99", "everywhere"],
    "ops_hosts": ["a b", "host:80"],
    "ops_token": [SECRET, f"{SECRET} with blanks in it"],
    "client_address_header": ["X Forwarded", "X:Y"],
    "public_url": ["ftp://x", f"https://u:{SECRET}@x", "http://", "x.example", "https://x?y=1"],
    **dict.fromkeys(("database_url", "report_database_url"), DATABASE),
    **dict.fromkeys(("cache_url", "stream_url"), SERVER),
}
FREE = {"data_dir", "metrics_dir", "host", "admin_password", "network_lists_dir"}
"""Any text may be right; what is wrong with it shows where it is used."""


def wrong_values(name: str, field: FieldInfo) -> Iterator[str]:
    """Yield values that a setting cannot have."""
    if name in TEXTS:
        yield from TEXTS[name]
        return
    if get_origin(field.annotation) is Literal:
        yield from ("other", get_args(field.annotation)[0].upper() + "!")
        return
    assert field.annotation in (int, float), f"{name}: give wrong values here"
    yield from ("many", "", "1e999", "nan", "-1", "10" * 20, "0x10", "1,5")


CASES = [
    (name, value)
    for name, field in Settings.model_fields.items()
    if name not in FREE
    for value in wrong_values(name, field)
    if value
]


def run(command: tuple[str, ...], **settings: str) -> tuple[int, list[str]]:
    """Return the exit code and the lines on standard error of a command that must not start."""
    env: dict[str, Any] = {setting_name(name): value for name, value in (NEEDED | settings).items()}
    result = CliRunner().invoke(app, list(command), env=env)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert SECRET not in result.output
    return result.exit_code, result.stderr.splitlines()


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_wrong_value_is_one_line_that_names_the_setting(name: str, value: str) -> None:
    code, lines = run(("check",), **{name: value})
    assert code == 2
    (line,) = lines
    assert line.startswith(f"onebyone: {setting_name(name)}: ")
    assert len(line) > len(f"onebyone: {setting_name(name)}: ")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_all_wrong_settings_are_told_together(command: tuple[str, ...]) -> None:
    wrong = dict(reversed(CASES))
    if command[0] == "demo":
        # The demo names its user itself.
        del wrong["admin_username"]
    code, lines = run(command, **wrong)
    assert code == 2
    assert sorted(line.split(": ")[1] for line in lines) == sorted(setting_name(name) for name in wrong)


def test_what_is_missing_is_told_with_what_is_wrong() -> None:
    code, lines = run(("edge",), cache_url="", stream_url="", edge_port="many", report_database_url="x")
    assert code == 2
    assert [line.split()[1] for line in lines] == [
        "ONEBYONE_EDGE_PORT:",
        "ONEBYONE_REPORT_DATABASE_URL:",
        "ONEBYONE_CACHE_URL",
        "ONEBYONE_STREAM_URL",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "postgresql+asyncpg://u:p%23@h:5432/d?sslmode=require&application_name=x"),
        ("database_url", "postgresql+asyncpg://u@/d?host=/run/postgresql&prepared_statement_cache_size=0"),
        ("database_url", "sqlite+aiosqlite:////srv/config.sqlite3"),
        ("cache_url", "redis://user:p%40ss@h:6379/3?health_check_interval=5"),
        ("cache_url", "rediss://h?ssl_cert_reqs=none"),
        ("cache_url", "unix:///run/valkey.sock?db=2"),
    ],
)
def test_right_urls_are_taken(name: str, value: str) -> None:
    from onebyone.runtime.store_urls import url_fault

    assert name in SCHEMES
    assert url_fault(name, value) is None


@pytest.mark.processes
@pytest.mark.parametrize("role", ["edge", "api", "counter", "demo"])
def test_a_role_that_is_started_alone_says_the_same(role: str) -> None:
    env = os.environ | {"ONEBYONE_WORKERS": "many", "ONEBYONE_CACHE_URL": f"http://:{SECRET}@h"}
    done = subprocess.run(
        [sys.executable, "-m", f"onebyone.{role}"], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert [line.rpartition(": ")[0].split(": ")[0] for line in done.stderr.splitlines()] == [f"onebyone {role}"] * 2
    assert SECRET not in done.stderr
