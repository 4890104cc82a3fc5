"""What an operator does to members and users from the command line, directly on the configuration store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.auth import passwords
from onebyone.auth.password_rules import check_password
from onebyone.auth.sessions import end_sessions
from onebyone.clock import now_ms
from onebyone.config_store import tables
from onebyone.resources.admin.bootstrap import add_member, add_user
from onebyone.resources.fields import Name
from onebyone.resources.unit_of_work import timestamp
from onebyone.runtime import sql
from onebyone.settings import Settings

_name: TypeAdapter[str] = TypeAdapter(Name)


class AdministrationError(Exception):
    """The request cannot be carried out; the text says why."""


@asynccontextmanager
async def writing(settings: Settings) -> AsyncIterator[AsyncConnection]:
    """Open a transaction on the store, in which no other writer runs. Raise `AdministrationError` if it is empty."""
    engine = sql.create_engine(settings.config_store_url)
    try:
        async with sql.writing(engine) as connection:
            state = select(tables.store_state.c.version).with_for_update()
            if (await connection.execute(state)).first() is None:
                raise AdministrationError("the store is empty: start the API once")
            yield connection
    finally:
        await engine.dispose()


def _checked(check: Callable[[str], str], value: str, what: str) -> str:
    """Return the checked value, or raise `AdministrationError`, which begins with `what`."""
    try:
        return check(value)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    except ValueError as error:
        reason = str(error)
    raise AdministrationError(f"{what}: {reason}")


async def list_members(settings: Settings) -> list[tuple[int, str, str]]:
    """Return id, state and name of each member. Raise `AdministrationError`, as all these functions do."""
    member = tables.member.c
    async with writing(settings) as connection:
        rows = await connection.execute(select(member.id, member.state, member.name).order_by(member.id))
        return [(row.id, row.state, row.name) for row in rows]


async def create_member(settings: Settings, name: str, *, trackers: bool) -> int:
    """Create a member, which may create trackers or not, and return its id."""
    checked = _checked(_name.validate_python, name, "name")
    async with writing(settings) as connection:
        return await add_member(connection, checked, trackers=trackers)


async def set_member(settings: Settings, member_id: int, *, active: bool) -> None:
    """Enable or disable the logins of a member's users."""
    values = {"state": "active" if active else "inactive", "last_modified": timestamp(now_ms())}
    change = update(tables.member).where(tables.member.c.id == member_id).values(values).returning(tables.member.c.id)
    async with writing(settings) as connection:
        if (await connection.execute(change)).first() is None:
            raise AdministrationError(f"no member {member_id}")


async def set_trackers(settings: Settings, member_id: int, *, allowed: bool) -> None:
    """Allow or forbid a member to create trackers; those that it has keep counting."""
    member = tables.member
    async with writing(settings) as connection:
        doc = await connection.scalar(select(member.c.doc).where(member.c.id == member_id))
        if doc is None:
            raise AdministrationError(f"no member {member_id}")
        values = {"doc": {**doc, "enable_click_and_imp_trackers": allowed}, "last_modified": timestamp(now_ms())}
        await connection.execute(update(member).where(member.c.id == member_id).values(values))


async def list_users(settings: Settings) -> list[tuple[int, int, str, str, str]]:
    """Return id, member, state, kind and name of each user."""
    user = tables.user.c
    async with writing(settings) as connection:
        rows = (await connection.execute(select(tables.user).order_by(user.id))).mappings()
        return [
            (row["id"], row["member_id"], row["state"], "admin" if row["admin"] else row["user_type"], row["username"])
            for row in rows
        ]


async def create_user(settings: Settings, member_id: int, username: str, password: str, *, admin: bool) -> int:
    """Create a user of a member and return its id."""
    name = _checked(_name.validate_python, username, "username")
    encoded = await passwords.hash_password(_checked(check_password, password, "password"))
    user, member = tables.user.c, tables.member.c
    async with writing(settings) as connection:
        if await connection.scalar(select(member.id).where(member.id == member_id)) is None:
            raise AdministrationError(f"no member {member_id}")
        if await connection.scalar(select(user.id).where(user.username_key == name.casefold())) is not None:
            raise AdministrationError(f"username: already taken: {name}")
        return await add_user(connection, member_id, name, encoded, admin=admin)


async def set_user(
    settings: Settings, username: str, *, password: str | None = None, active: bool | None = None
) -> None:
    """Change the password or the state of a user, where given, and end the user's sessions."""
    values: dict[str, object] = {"last_modified": timestamp(now_ms())}
    if password is not None:
        encoded = await passwords.hash_password(_checked(check_password, password, "password"))
        values |= {"password_hash": encoded, "password_ms": now_ms()}
    if active is not None:
        values["state"] = "active" if active else "inactive"
    user = tables.user
    async with writing(settings) as connection:
        change = update(user).where(user.c.username_key == username.casefold()).values(values).returning(user.c.id)
        user_id = await connection.scalar(change)
        if user_id is None:
            raise AdministrationError(f"no user {username}")
        await end_sessions(connection, user_id)
