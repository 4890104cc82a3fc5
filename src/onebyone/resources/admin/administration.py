"""What an operator does to members and users from the command line, on the configuration store itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.auth import passwords
from onebyone.clock import now_ms
from onebyone.config_store import tables
from onebyone.resources.admin.bootstrap import add_member, add_user
from onebyone.resources.entities.user import Password
from onebyone.resources.fields import Name
from onebyone.resources.unit_of_work import timestamp
from onebyone.runtime import sql
from onebyone.settings import Settings

_password: TypeAdapter[str] = TypeAdapter(Password)
_name: TypeAdapter[str] = TypeAdapter(Name)


class AdministrationError(Exception):
    """What was asked cannot be done; the text says why."""


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[AsyncConnection]:
    engine = sql.create_engine(settings.config_store_url)
    try:
        async with sql.writing(engine) as connection:
            state = select(tables.store_state.c.version).with_for_update()
            if (await connection.execute(state)).first() is None:
                raise AdministrationError("the store is empty: start the API once")
            yield connection
    finally:
        await engine.dispose()


def _checked(adapter: TypeAdapter[str], value: str, what: str) -> str:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        text = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise AdministrationError(f"{what}: {text}") from None


async def members(settings: Settings) -> list[tuple[int, str, str]]:
    """Id, state and name of each member."""
    member = tables.member.c
    async with _store(settings) as connection:
        rows = await connection.execute(select(member.id, member.state, member.name).order_by(member.id))
        return [(row.id, row.state, row.name) for row in rows]


async def create_member(settings: Settings, name: str, *, trackers: bool) -> int:
    """A new member; its id. Raises `AdministrationError`."""
    checked = _checked(_name, name, "name")
    async with _store(settings) as connection:
        return await add_member(connection, checked, trackers=trackers)


async def set_member(settings: Settings, member_id: int, *, active: bool) -> None:
    """Lets the users of a member in, or none of them. Raises `AdministrationError`."""
    values = {"state": "active" if active else "inactive", "last_modified": timestamp(now_ms())}
    async with _store(settings) as connection:
        found = await connection.execute(
            update(tables.member).where(tables.member.c.id == member_id).values(values).returning(tables.member.c.id)
        )
        if found.first() is None:
            raise AdministrationError(f"no member {member_id}")


async def users(settings: Settings) -> list[tuple[int, int, str, str, str]]:
    """Id, member, state, kind and name of each user."""
    user = tables.user.c
    async with _store(settings) as connection:
        rows = (await connection.execute(select(tables.user).order_by(user.id))).mappings()
        return [
            (row["id"], row["member_id"], row["state"], "admin" if row["admin"] else row["user_type"], row["username"])
            for row in rows
        ]


async def create_user(settings: Settings, member_id: int, username: str, password: str, *, admin: bool) -> int:
    """A new user of a member; its id. Raises `AdministrationError`."""
    name = _checked(_name, username, "username")
    encoded = await passwords.hash_password(_checked(_password, password, "password"))
    user, member = tables.user.c, tables.member.c
    async with _store(settings) as connection:
        if await connection.scalar(select(member.id).where(member.id == member_id)) is None:
            raise AdministrationError(f"no member {member_id}")
        if await connection.scalar(select(user.id).where(user.username_key == name.casefold())) is not None:
            raise AdministrationError(f"username: already taken: {name}")
        return await add_user(connection, member_id, name, encoded, admin=admin)


async def set_user(settings: Settings, username: str, *, password: str = "", active: bool | None = None) -> None:
    """Changes the password or the state of a user and ends its sessions. Raises `AdministrationError`."""
    values: dict[str, object] = {"last_modified": timestamp(now_ms())}
    if password:
        encoded = await passwords.hash_password(_checked(_password, password, "password"))
        values |= {"password_hash": encoded, "password_ms": now_ms()}
    if active is not None:
        values["state"] = "active" if active else "inactive"
    user = tables.user
    async with _store(settings) as connection:
        changed = update(user).where(user.c.username_key == username.casefold()).values(values).returning(user.c.id)
        user_id = await connection.scalar(changed)
        if user_id is None:
            raise AdministrationError(f"no user {username}")
        await connection.execute(delete(tables.session).where(tables.session.c.user_id == user_id))
