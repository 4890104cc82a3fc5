"""The first start on an empty store: the store's name, member 1 and one user."""

from __future__ import annotations

import secrets

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from onebyone.auth import passwords
from onebyone.clock import now_ms
from onebyone.config_store import tables
from onebyone.resources.unit_of_work import UnitOfWork, timestamp
from onebyone.runtime import sql
from onebyone.settings import Settings


async def bootstrap(store: AsyncEngine, settings: Settings) -> str | None:
    """Fills an empty store; safe to run in several processes at once.

    Returns the line to print when a password had to be made, to the one process that made it.
    """
    async with sql.reading(store) as connection:
        if await connection.scalar(select(func.count()).select_from(tables.store_state)):
            return None
    given = settings.admin_password.get_secret_value()
    password = given or secrets.token_urlsafe(18)
    encoded = await passwords.hash_password(password)
    try:
        async with sql.writing(store) as connection:
            # The row that only one process can insert goes first: the others wait here, and then fail.
            state = {"id": 1, "store_id": secrets.token_hex(16), "version": 0}
            await connection.execute(tables.store_state.insert().values(state))
            member_id = await add_member(connection, "Default Member")
            await add_user(connection, member_id, settings.admin_username, encoded, admin=True)
    except IntegrityError:
        return None
    if given:
        return None
    return f"Created user '{settings.admin_username}' with password '{password}' (shown once)"


async def add_member(connection: AsyncConnection, name: str, *, trackers: bool = True) -> int:
    """A new member that may create trackers; returns its id. Runs inside a write."""
    doc = {
        "timezone": "EST5EDT",
        "default_currency": "USD",
        "reporting_decimal_type": "decimal",
        "enable_click_and_imp_trackers": trackers,
        "redirect_policy": "approved",
        "redirect_domains": [],
    }
    now = now_ms()
    row = {"name": name, "state": "active", "last_modified": timestamp(now), "doc": doc}
    found = await connection.execute(tables.member.insert().values(row).returning(tables.member.c.id))
    member_id = int(found.scalar_one())
    work = UnitOfWork(connection, member_id, now)
    work.member_changed()
    await work.record()
    return member_id


async def add_user(
    connection: AsyncConnection, member_id: int, username: str, password_hash: str, **more: object
) -> int:
    """A new user of a member; returns its id. Runs inside a write."""
    row = {
        "username": username,
        "username_key": username.casefold(),
        "password_hash": password_hash,
        "state": "active",
        "password_ms": now_ms(),
        "doc": {"timezone": "EST5EDT", "reporting_decimal_type": "decimal"},
        **more,
    }
    return await UnitOfWork(connection, member_id, now_ms()).insert(tables.user, row)
