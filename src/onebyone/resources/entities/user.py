"""`user`: an account that logs in. Its password is write-only and stored as a hash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.auth import passwords
from onebyone.auth.password_rules import check_password
from onebyone.auth.sessions import end_sessions
from onebyone.clock import DAY_MS
from onebyone.config_store import tables
from onebyone.errors import Forbidden, NotFound
from onebyone.resources import user_rights, validation
from onebyone.resources.entity import Carried, Entity, Values
from onebyone.resources.fields import Body, Boolean, LongText, Name, ObjectId, State, Text50, Text255, TimeZone
from onebyone.resources.unit_of_work import UnitOfWork, timestamp
from onebyone.settings import Settings

Password = Annotated[
    str,
    AfterValidator(check_password),
    Field(json_schema_extra={"format": "password", "minLength": 10, "maxLength": 64}),
]
"""The documented policy (xandr-api-facts, section 1.1)."""

OldPassword = Annotated[
    str,
    Field(
        max_length=64,
        description="The password until now. Required to change the own password; not read otherwise.",
        json_schema_extra={"format": "password"},
    ),
]


def _as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


ExpiredLoginStatus = Annotated[
    Literal["401", "200"],
    BeforeValidator(_as_text),
    Field(
        description=(
            "HTTP status of the answer `NOAUTH` to a session that has ended: some clients log in again only after 401, "
            "others only after 200."
        )
    ),
]
_SHOWN_OBJECTS = ("user_type", "advertiser_id", "publisher_id")


class _UserBody(Body):
    username: Name
    password: Password | None = None
    old_password: OldPassword | None = None
    email: Text255 | None = None
    first_name: Text255 | None = None
    last_name: Text255 | None = None
    state: State = "active"
    phone: Text50 = ""
    custom_data: LongText | None = None
    send_safety_budget_notifications: Boolean = False
    timezone: TimeZone = "EST5EDT"
    reporting_decimal_type: Literal["decimal", "comma"] = "decimal"
    decimal_mark: Literal["period", "comma"] = "period"
    thousand_separator: Literal["comma", "space", "period"] = "comma"
    expired_login_status: ExpiredLoginStatus = "401"
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
        "entity_reporting_decimal_type": "string",
        "is_admin": "boolean",
        "password_expires_on": "date",
    }
    fixed = {  # noqa: RUF012
        "api_login": ("boolean", True),
        "is_developer": ("boolean", False),
        "role_id": ("int", None),
        "advertiser_access": ("array of objects", None),
        "publisher_access": ("array of objects", None),
    }
    output = (
        *("id", "first_name", "last_name", "phone", "username", "email", "user_type", "read_only", "api_login"),
        *("entity_id", "publisher_id", "advertiser_id", "custom_data", "send_safety_budget_notifications"),
        *("entity_name", "timezone", "entity_reporting_decimal_type", "reporting_decimal_type", "decimal_mark"),
        *("thousand_separator", "is_admin", "last_modified", "is_developer", "role_id", "state"),
        *("password_expires_on", "advertiser_access", "publisher_access", "expired_login_status"),
    )

    def unwritable(self, work: UnitOfWork, stored: Values | None) -> Values:
        return {**super().unwritable(work, stored), "is_admin": stored is not None and stored["admin"]}

    def fields_of_row(self, row: Values, settings: Settings) -> Values:
        days = settings.password_days
        expires = timestamp(row["password_ms"] + days * DAY_MS) if days else None
        return {"is_admin": row["admin"], "password_expires_on": expires}

    async def allow_create(self, work: UnitOfWork) -> None:
        await self._require_admin_still(work)

    async def allow_update(self, work: UnitOfWork, stored: Values) -> None:
        if work.request.caller is not None:
            user_rights.require_target(work.request.caller, stored["id"])
            if stored["id"] != work.request.caller.user_id:
                await self._require_admin_still(work)

    async def _require_admin_still(self, work: UnitOfWork) -> None:
        """Raise `Forbidden` when another admin took the caller's rights while this request waited for its turn."""
        caller, user = work.request.caller, self.table.c
        if caller is None:
            return
        whole = (user.state == "active", user.admin, user.user_type == "member", ~user.read_only)
        if not await work.exists(self.table, user.id == caller.user_id, *whole):
            raise Forbidden("the user is no longer an admin")

    async def check(self, work: UnitOfWork, values: Values, stored: Values | None, owners: Values) -> None:
        password, old_password = values.pop("password"), values.pop("old_password")
        caller = work.request.caller
        if caller is not None and stored is not None:
            before = {name: self.default(name) for name in values} | validation.stored_values(self, stored)
            user_rights.require_fields(caller, stored["id"], before, values)
        if password is None and stored is None:
            work.invalid("password", "Field required")
        taken = await work.connection.scalar(
            select(self.table.c.id).where(self.table.c.username_key == values["username"].casefold())
        )
        if taken is not None and (stored is None or taken != stored["id"]):
            work.conflict("username", "already taken")
        await self._check_user_type(work, values)
        if values["decimal_mark"] == values["thousand_separator"]:
            work.invalid("thousand_separator", "must not be decimal_mark")
        if password is not None and caller is not None and stored is not None and stored["id"] == caller.user_id:
            await self._check_old_password(work, stored, old_password)
        if password is not None and work.may_succeed:
            values["password_hash"] = await passwords.hash_password(password)
            values["password_ms"] = work.now_ms

    async def _check_old_password(self, work: UnitOfWork, stored: Values, old_password: str | None) -> None:
        """Add a fault unless the old password is right. Raise `TooManyRequests` after too many wrong ones."""
        if old_password is None:
            work.invalid("old_password", "required to change the own password")
        elif work.may_succeed:
            wrong = work.request.wrong_passwords
            wrong.require_room(stored["id"], work.now_ms)
            if not await passwords.verify_old_password(stored["password_hash"], old_password):
                wrong.note(stored["id"], work.now_ms)
                work.invalid("old_password", "not the password of the user")

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
        ending = ("password_hash", *user_rights.RIGHTS)
        if any(before[name] != after[name] for name in ending):
            await end_sessions(work.connection, before["id"])
        if any(before[name] != after[name] for name in _SHOWN_OBJECTS):
            # They may show what the user no longer sees.
            await work.delete(tables.report, tables.report.c.user_id == before["id"])

    async def related(self, connection: AsyncConnection, rows: Sequence[Values]) -> dict[int, Values]:
        member_id = rows[0]["member_id"]
        query = select(tables.member.c.name, tables.member.c.doc).where(tables.member.c.id == member_id)
        member = (await connection.execute(query)).one()
        entity = {
            "entity_id": member_id,
            "entity_name": member.name,
            "entity_reporting_decimal_type": member.doc["reporting_decimal_type"],
        }
        return {row["id"]: entity for row in rows}
