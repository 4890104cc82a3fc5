"""The first user's password: its rule at the first start, and the warning of a later start with another one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from onebyone.auth import passwords
from onebyone.config_store import schema, tables
from onebyone.resources.admin import administration
from onebyone.resources.admin.bootstrap import BadAdminPassword, bootstrap
from onebyone.runtime import sql
from onebyone.settings import Settings

pytestmark = pytest.mark.anyio

PASSWORD = "First-0ne-Password"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """A configuration store of SQLite in `tmp_path`, without a row."""
    engine = sql.create_engine(settings(tmp_path).config_store_url)
    await schema.upgrade(settings(tmp_path).config_store_url)
    yield engine
    await engine.dispose()


def settings(folder: Path, password: str = "", **more: Any) -> Settings:
    return Settings(data_dir=folder, admin_password=SecretStr(password), **more)


@pytest.mark.parametrize(
    "password",
    ["short", "no-upper-case-1", "NO-LOWER-CASE-1", "No-digit-at-all", "NoSpecial1character", "Too-l0ng" * 9],
)
async def test_a_weak_password_stops_the_first_start(store: AsyncEngine, tmp_path: Path, password: str) -> None:
    with pytest.raises(BadAdminPassword, match=r"^ONEBYONE_ADMIN_PASSWORD: must have 10 to 64 characters, with upper"):
        await bootstrap(store, settings(tmp_path, password))
    async with sql.reading(store) as connection:
        assert await connection.scalar(select(func.count()).select_from(tables.user)) == 0
    with pytest.raises(administration.AdministrationError, match="the store is empty"):
        await administration.list_users(settings(tmp_path))


async def test_the_rule_is_that_of_the_command(store: AsyncEngine, tmp_path: Path) -> None:
    with pytest.raises(BadAdminPassword) as stopped:
        await bootstrap(store, settings(tmp_path, "weak"))
    await bootstrap(store, settings(tmp_path, PASSWORD))
    with pytest.raises(administration.AdministrationError) as refused:
        await administration.set_user(settings(tmp_path), "admin", password="weak")
    assert str(refused.value).partition(": ")[2] == str(stopped.value).partition(": ")[2]


@pytest.mark.parametrize(
    ("password", "username", "warning"),
    [
        (PASSWORD, "admin", ""),
        (PASSWORD, "ADMIN", ""),
        ("", "admin", ""),
        ("An0ther-Password", "admin", "`onebyone user password admin` changes it"),
        ("weak", "admin", "ONEBYONE_ADMIN_PASSWORD is not the stored password, which stays"),
        (PASSWORD, "root", "ONEBYONE_ADMIN_USERNAME names no user"),
    ],
)
async def test_a_later_start_keeps_the_password_and_says_so(
    store: AsyncEngine, tmp_path: Path, password: str, username: str, warning: str
) -> None:
    await bootstrap(store, settings(tmp_path, PASSWORD))
    with capture_logs() as logs:
        assert await bootstrap(store, settings(tmp_path, password, admin_username=username)) is None
    assert [line["log_level"] for line in logs] == (["warning"] if warning else [])
    assert warning in "".join(line["event"] for line in logs)
    async with sql.reading(store) as connection:
        stored = await connection.scalar(select(tables.user.c.password_hash))
    assert await passwords.verify_password(stored, PASSWORD)
