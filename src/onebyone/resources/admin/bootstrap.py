"""The first start on an empty store: the store's id, member 1 and one user."""

from __future__ import annotations

import secrets

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from onebyone.auth import passwords
from onebyone.auth.password_rules import check_password
from onebyone.clock import now_ms
from onebyone.config_store import tables
from onebyone.resources.unit_of_work import UnitOfWork, WriteRequest, timestamp
from onebyone.runtime import sql
from onebyone.settings import Settings

_log = structlog.get_logger()


class BadAdminPassword(Exception):
    """The password for the first user breaks the rule for passwords; the text names the setting and the rule."""


async def bootstrap(store: AsyncEngine, settings: Settings) -> str | None:
    """Fill an empty store; several processes may call it at the same time.

    Return the line that shows a generated password, to the one process that generated it. Raise `BadAdminPassword`
    when the store is empty and the configured password is too weak. On a store that has users, warn when the
    configured password is not the stored one.
    """
    configured = settings.admin_password.get_secret_value()
    async with sql.reading(store) as connection:
        if await connection.scalar(select(func.count()).select_from(tables.store_state)):
            if configured:
                await _compare_password(connection, settings.admin_username, configured)
            return None
    if configured:
        try:
            check_password(configured)
        except ValueError as error:
            raise BadAdminPassword(f"ONEBYONE_ADMIN_PASSWORD: {error}") from None
    password = configured or secrets.token_urlsafe(18)
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
    if configured:
        return None
    return f"Created user '{settings.admin_username}' with password '{password}' (shown once)"


async def _compare_password(connection: AsyncConnection, username: str, configured: str) -> None:
    user = tables.user.c
    stored = await connection.scalar(select(user.password_hash).where(user.username_key == username.casefold()))
    if stored is None:
        _log.warning(
            "ONEBYONE_ADMIN_USERNAME names no user: only the first start creates one; "
            "`onebyone user create` creates others",
            username=username,
        )
    elif not await passwords.verify_password(stored, configured):
        _log.warning(
            "ONEBYONE_ADMIN_PASSWORD is not the stored password, which stays: only the first start sets it; "
            f"`onebyone user password {username}` changes it",
            username=username,
        )


async def add_member(connection: AsyncConnection, name: str, *, trackers: bool = True) -> int:
    """Create a member, which may create trackers unless told otherwise, and return its id. Runs inside a write."""
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
    inserted = await connection.execute(tables.member.insert().values(row).returning(tables.member.c.id))
    member_id = int(inserted.scalar_one())
    work = UnitOfWork(connection, WriteRequest(member_id), now)
    work.republish_member()
    await work.record_changes()
    return member_id


async def add_user(
    connection: AsyncConnection, member_id: int, username: str, password_hash: str, **more: object
) -> int:
    """Create a user of a member and return its id. Runs inside a write."""
    row = {
        "username": username,
        "username_key": username.casefold(),
        "password_hash": password_hash,
        "state": "active",
        "password_ms": now_ms(),
        "doc": {"timezone": "EST5EDT", "reporting_decimal_type": "decimal"},
        **more,
    }
    return await UnitOfWork(connection, WriteRequest(member_id), now_ms()).insert(tables.user, row)
