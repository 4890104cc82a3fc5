"""`user`: an account that logs in. Its password is write-only and stored as a hash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.auth import passwords
from onebyone.auth.password_rules import check_password
from onebyone.config_store import tables
from onebyone.errors import NotFound
from onebyone.resources.entity import Carried, Entity, Values
from onebyone.resources.fields import Body, Boolean, Name, ObjectId, State, Text255, TimeZone
from onebyone.resources.unit_of_work import UnitOfWork

Password = Annotated[
    str,
    AfterValidator(check_password),
    Field(json_schema_extra={"format": "password", "minLength": 10, "maxLength": 64}),
]
"""The documented policy (xandr-api-facts, section 1.1)."""


class _UserBody(Body):
    username: Name
    password: Password | None = None
    email: Text255 | None = None
    first_name: Text255 | None = None
    last_name: Text255 | None = None
    state: State = "active"
    timezone: TimeZone = "EST5EDT"
    reporting_decimal_type: Literal["decimal", "comma"] = "decimal"
    user_type: Literal["member", "advertiser", "publisher"] = "member"
    advertiser_id: ObjectId | None = None
    publisher_id: ObjectId | None = None
    read_only: Boolean = False


class User(Entity):
    """A user of the caller's member."""

    service = "user"
    table = tables.user
    body = _UserBody
    operations = ("read", "create", "update")
    search_column = "username"
    discriminators = frozenset({"username", "user_type"})
    derived = {  # noqa: RUF012
        "entity_id": "int",
        "entity_name": "string",
    }
    output = (
        "id",
        "username",
        "email",
        "first_name",
        "last_name",
        "state",
        "user_type",
        "entity_id",
        "entity_name",
        "advertiser_id",
        "publisher_id",
        "read_only",
        "timezone",
        "reporting_decimal_type",
        "last_modified",
    )

    async def check(self, work: UnitOfWork, values: Values, stored: Values | None, owners: Values) -> None:
        password = values.pop("password")
        if password is None and stored is None:
            work.invalid("password", "Field required")
        taken = await work.connection.scalar(
            select(self.table.c.id).where(self.table.c.username_key == values["username"].casefold())
        )
        if taken is not None and (stored is None or taken != stored["id"]):
            work.conflict("username", "already taken")
        await self._check_user_type(work, values)
        if password is not None and work.may_succeed:
            values["password_hash"] = await passwords.hash_password(password)
            values["password_ms"] = work.now_ms

    async def _check_user_type(self, work: UnitOfWork, values: Values) -> None:
        for kind, table in (("advertiser", tables.advertiser), ("publisher", tables.publisher)):
            field = f"{kind}_id"
            if values["user_type"] != kind:
                if values[field] is not None:
                    work.invalid(field, f"must be null unless user_type is {kind}")
            elif values[field] is None:
                work.invalid(field, f"required with user_type {kind}")
            elif await work.find_row(table, values[field]) is None:
                work.invalid(field, str(NotFound(kind, values[field])))

    def columns(self, values: Values) -> Values:
        return {"username_key": values["username"].casefold()}

    async def modified(self, work: UnitOfWork, before: Values, after: Values, carried: Carried) -> None:
        if before["password_hash"] != after["password_hash"] or after["state"] != "active":
            sessions = tables.session
            await work.connection.execute(delete(sessions).where(sessions.c.user_id == before["id"]))

    async def related(self, connection: AsyncConnection, rows: Sequence[Values]) -> dict[int, Values]:
        member_id = rows[0]["member_id"]
        name = await connection.scalar(select(tables.member.c.name).where(tables.member.c.id == member_id))
        return {row["id"]: {"entity_id": member_id, "entity_name": name} for row in rows}
