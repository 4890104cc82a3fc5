"""Logins: a random token for a right password, and the caller behind a token.

A token lives 2 hours after its last use and never longer than 24 hours (xandr-api-facts, section 1.2). The store
keeps its SHA-256 only.
"""

from __future__ import annotations

import hashlib
import secrets

import structlog
from sqlalchemy import bindparam, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.api import metrics
from onebyone.auth import passwords
from onebyone.auth.caller import Caller
from onebyone.config_store import tables
from onebyone.errors import Forbidden, NotFound, TooManyRequests, Unauthenticated
from onebyone.resources.context import ApiContext
from onebyone.runtime import sql

COOKIE = "HBFAPI_SESSID"
"""The cookie that carries a token."""
IDLE_MS = 2 * 3_600_000
_log = structlog.get_logger()

DAY_MS = 24 * 3_600_000
HARD_MS = 24 * 3_600_000
LOGINS_MS = 5 * 60_000
"""The time in which a user may log in `ONEBYONE_LOGINS` times (xandr-api-facts, section 1.1)."""
TOUCH_MS = 60_000
"""A use is written at most this often; the idle limit is longer by as much, so nobody loses a minute of it."""

DATACENTER = "obo1"
TOKEN_MAX = 200
CROWDED_SECONDS = 5
"""What a login that was turned away is told to wait."""


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


_CALLER = (
    select(tables.user, tables.session.c.created_ms, tables.session.c.used_ms)
    .join(tables.session, tables.session.c.user_id == tables.user.c.id)
    .join(tables.member, tables.member.c.id == tables.user.c.member_id)
    .where(
        tables.session.c.token_hash == bindparam("token_hash"),
        tables.user.c.state == "active",
        tables.member.c.state == "active",
    )
)
"""The user behind a token; made once, because every request asks."""


class Sessions:
    """Sessions in the configuration store, shared by all API processes."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    async def login(self, username: str, password: str) -> str:
        """A new token. Raises `DomainError`; takes as long for an unknown user as for a wrong password."""
        user = tables.user.c
        async with sql.reading(self._context.store) as connection:
            found = await connection.execute(
                select(user.id, user.password_hash, user.password_ms, user.state, tables.member.c.state.label("alive"))
                .join(tables.member, tables.member.c.id == user.member_id)
                .where(user.username_key == username.casefold())
            )
            row = found.first()
        try:
            right = await passwords.verify(None if row is None else row.password_hash, password)
        except passwords.Crowded:
            metrics.LOGINS.labels("crowded").inc()
            raise TooManyRequests(
                "too many logins at once", retry_after=CROWDED_SECONDS, made=passwords.WAITING, user_id=0
            ) from None
        if not right or row is None:
            metrics.LOGINS.labels("refused").inc()
            raise Unauthenticated("No match found for user/pass", "wrong password")
        if row.state != "active" or row.alive != "active":
            metrics.LOGINS.labels("disabled").inc()
            raise Unauthenticated("the user is not active", "disabled")
        days = self._context.settings.password_days
        if days and self._context.clock() >= row.password_ms + days * DAY_MS:
            metrics.LOGINS.labels("expired").inc()
            raise Unauthenticated("the password of the user has expired", "expired")
        token = await self._open(row.id)
        metrics.LOGINS.labels("ok").inc()
        return token

    async def switch(self, caller: Caller, user_id: int) -> str:
        """A token of another active user, for an admin. Raises `DomainError`."""
        if not caller.admin:
            raise Forbidden("only an admin may switch to another user")
        user, member = tables.user, tables.member
        alive = select(user.c.id).join(member, member.c.id == user.c.member_id)
        alive = alive.where(user.c.id == user_id, user.c.state == "active", member.c.state == "active")
        async with sql.reading(self._context.store) as connection:
            if await connection.scalar(alive) is None:
                raise NotFound("user", user_id)
        _log.info("switched user", admin=caller.user_id, user=user_id)
        return await self._open(user_id)

    async def _open(self, user_id: int) -> str:
        user = tables.user.c
        token = f"hbapi:{user_id}:{secrets.token_hex(16)}:{DATACENTER}"
        now = self._context.clock()
        session = tables.session
        async with sql.writing(self._context.store) as connection:
            await connection.execute(select(user.id).where(user.id == user_id).with_for_update())
            await self._refuse_excess(connection, user_id, now)
            dead = or_(session.c.created_ms < now - HARD_MS, session.c.used_ms < now - IDLE_MS - TOUCH_MS)
            await connection.execute(delete(session).where(dead))
            values = {"token_hash": _digest(token), "user_id": user_id, "created_ms": now, "used_ms": now}
            await connection.execute(insert(session).values(values))
        return token

    async def _refuse_excess(self, connection: AsyncConnection, user_id: int, now: int) -> None:
        """The sessions of the last five minutes are the successful logins; all processes see the same."""
        created = tables.session.c.created_ms
        found = select(func.count(), func.min(created)).where(
            tables.session.c.user_id == user_id, created > now - LOGINS_MS
        )
        made, first = (await connection.execute(found)).one()
        if made >= self._context.settings.logins:
            metrics.LOGINS.labels("limited").inc()
            wait = max(1, (first + LOGINS_MS - now) // 1000)
            raise TooManyRequests(f"{made} logins in 5 minutes", retry_after=wait, made=made + 1, user_id=user_id)

    async def caller(self, token: str | None) -> Caller:
        """The user of a live token. Raises `DomainError`."""
        if not token or len(token) > TOKEN_MAX:
            raise Unauthenticated("Authentication failed - not logged in", "no session")
        now = self._context.clock()
        session = tables.session
        async with sql.reading(self._context.store) as connection:
            row = (await connection.execute(_CALLER, {"token_hash": _digest(token)})).mappings().first()
        if row is None or now >= row["created_ms"] + HARD_MS or now >= row["used_ms"] + IDLE_MS + TOUCH_MS:
            raise Unauthenticated("Authentication failed - not logged in", "no session")
        if now >= row["used_ms"] + TOUCH_MS:
            async with sql.writing(self._context.store) as connection:
                used = update(session).where(session.c.token_hash == _digest(token)).values(used_ms=now)
                await connection.execute(used)
        doc = row["doc"]
        name = " ".join(filter(None, (doc.get("first_name"), doc.get("last_name"))))
        column = f"{row['user_type']}_id"
        # A limit without a value is one that nothing meets.
        limit = None if row["user_type"] == "member" else (column, int(row[column] or 0))
        return Caller(
            row["id"],
            row["username"],
            name or row["username"],
            row["member_id"],
            doc["timezone"],
            admin=row["admin"],
            read_only=row["read_only"],
            limit=limit,
        )
