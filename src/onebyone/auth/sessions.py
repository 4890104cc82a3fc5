"""Logins and sessions: a token in exchange for a password, and the caller whom a token stands for.

A session ends `IDLE_MS` after its last use, and `ONEBYONE_SESSION_HOURS` after the login at the latest
(xandr-api-facts, section 1.2). All processes share the sessions in the configuration store.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import RowMapping, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from onebyone.auth import metrics, passwords
from onebyone.auth.caller import Caller
from onebyone.auth.login_guard import PEER_PLACES, LoginGuard, LoginsDelayed, PeerCrowded
from onebyone.auth.tokens import TOKEN_MAX, claimed_user_id, new_token, token_digest
from onebyone.clock import DAY_MS, HOUR_MS
from onebyone.config_store import tables
from onebyone.errors import Forbidden, LoginCause, NotFound, TooManyRequests, Unauthenticated
from onebyone.runtime import sql
from onebyone.runtime.client_address import truncate_address
from onebyone.settings import Settings

IDLE_MS = 2 * HOUR_MS
"""As documented (xandr-api-facts, section 1.2)."""
AHEAD_MS = HOUR_MS
"""A session from further in the future is over: the clock that dated it was wrong, and it would hardly ever end."""
PRUNED_SESSIONS = 500
"""Sessions that one transaction deletes: a few milliseconds during which a SQLite store has no other writer."""
LOGIN_WINDOW_MS = 5 * 60_000
"""The time in which a user may log in `ONEBYONE_LOGINS` times (xandr-api-facts, section 1.1)."""
TOUCH_MS = 60_000
"""A use is written at most this often, or each read would be a write. The idle time is longer by as much, so that
nobody loses a minute of it."""
CROWDED_RETRY_SECONDS = 5
"""`Retry-After` of a login that found the queue full: the queue lasts about two seconds, and others return as well."""

LOGGED_NAME_MAX = 64
"""Characters of a user name in the log, after control characters and others beyond ASCII have been escaped."""

_CALLER = (
    select(tables.user, tables.session.c.created_ms, tables.session.c.used_ms, tables.session.c.admin_id)
    .join(tables.session, tables.session.c.user_id == tables.user.c.id)
    .join(tables.member, tables.member.c.id == tables.user.c.member_id)
    .where(
        tables.session.c.token_hash == bindparam("token_hash"),
        tables.user.c.state == "active",
        tables.member.c.state == "active",
    )
)
"""The user of a token; built once, because every request runs it."""

_log = structlog.get_logger()


async def end_sessions(connection: AsyncConnection, user_id: int) -> None:
    """End the sessions of a user, and those in which the user acts as another; runs inside the write that says why."""
    session = tables.session
    await connection.execute(delete(session).where(or_(session.c.user_id == user_id, session.c.admin_id == user_id)))


class Sessions:
    """Sessions in the configuration store; `clock` gives milliseconds since the epoch."""

    def __init__(
        self, store: AsyncEngine, settings: Settings, clock: Callable[[], int], guard: LoginGuard | None = None
    ) -> None:
        self._guard = guard or LoginGuard()
        self._store = store
        self._settings = settings
        self._clock = clock

    async def log_in(self, username: str, password: str, address: str = "") -> str:
        """Return a new token; an unknown user takes as long as a wrong password. `address` is the client's.

        Raise `Unauthenticated`, or `TooManyRequests` when this user or address fails too often, or when this user, the
        address or everybody together logs in too often.
        """
        try:
            user = await self._verify(username, password, address)
        except LoginsDelayed as delay:
            metrics.LOGINS.labels("delayed").inc()
            raise TooManyRequests(
                str(delay), retry_after=math.ceil(delay.seconds), made=delay.failures, user_id=0
            ) from None
        except (PeerCrowded, passwords.TooManyLogins) as crowd:
            metrics.LOGINS.labels("crowded").inc()
            made = PEER_PLACES if isinstance(crowd, PeerCrowded) else passwords.WAITING_LOGINS_MAX
            raise TooManyRequests(
                "too many logins at once", retry_after=CROWDED_RETRY_SECONDS, made=made, user_id=0
            ) from None
        if user is None:
            raise _failed_login("refused", username, address, "No match found for user/pass", "wrong password")
        if user.state != "active" or user.member_state != "active":
            raise _failed_login("disabled", username, address, "the user is not active", "disabled")
        days = self._settings.password_days
        if days and self._clock() >= user.password_ms + days * DAY_MS:
            raise _failed_login("expired", username, address, "the password of the user has expired", "expired")
        token = await self._open(user.id)
        metrics.LOGINS.labels("ok").inc()
        return token

    async def _verify(self, username: str, password: str, address: str) -> Any:
        """Return the row of the user, None when there is none or when the password is wrong."""
        with self._guard.admit(username, address) as refund:
            user = await self._find_login(username)
            try:
                matches = await passwords.verify_password(None if user is None else user.password_hash, password)
            except passwords.TooManyLogins:
                refund()
                raise
            if user is None or not matches:
                return None
            refund()
            self._guard.forgive(username, address)
            return user

    async def _find_login(self, username: str) -> Any:
        user = tables.user.c
        query = (
            select(
                user.id, user.password_hash, user.password_ms, user.state, tables.member.c.state.label("member_state")
            )
            .join(tables.member, tables.member.c.id == user.member_id)
            .where(user.username_key == username.casefold())
        )
        async with sql.reading(self._store) as connection:
            return (await connection.execute(query)).first()

    async def switch_user(self, caller: Caller, user_id: int) -> str:
        """Return a token of another active user of the caller's member.

        Raise `Forbidden` unless the caller has every right that such a user can have, or `NotFound`.
        """
        if not caller.manages_users:
            raise Forbidden("only an admin may switch to another user")
        user, member = tables.user, tables.member
        active = select(user.c.id).join(member, member.c.id == user.c.member_id)
        active = active.where(
            user.c.id == user_id,
            user.c.member_id == caller.member_id,
            user.c.state == "active",
            member.c.state == "active",
        )
        async with sql.reading(self._store) as connection:
            if await connection.scalar(active) is None:
                raise NotFound("user", user_id)
        _log.info("switched user", admin=caller.acting_admin_id or caller.user_id, user=user_id)
        # An admin who switches on from the session of another user is still the one who acts.
        return await self._open(user_id, caller.acting_admin_id or caller.user_id)

    async def _open(self, user_id: int, admin_id: int | None = None) -> str:
        token = new_token(user_id)
        now = self._clock()
        user, session = tables.user.c, tables.session
        async with sql.writing(self._store) as connection:
            # The user's row makes two logins of one user take turns.
            await connection.execute(select(user.id).where(user.id == user_id).with_for_update())
            await self._require_login_room(connection, user_id, now)
            row = {"token_hash": token_digest(token), "user_id": user_id, "created_ms": now, "used_ms": now}
            await connection.execute(insert(session).values({**row, "admin_id": admin_id}))
        return token

    async def _require_login_room(self, connection: AsyncConnection, user_id: int, now: int) -> None:
        """Count the sessions of the last five minutes, which are the successful logins at every process."""
        created = tables.session.c.created_ms
        query = select(func.count(), func.min(created)).where(
            tables.session.c.user_id == user_id, created > now - LOGIN_WINDOW_MS, created <= now + AHEAD_MS
        )
        made, first_ms = (await connection.execute(query)).one()
        if made >= self._settings.logins:
            metrics.LOGINS.labels("limited").inc()
            retry_after = max(1, (first_ms + LOGIN_WINDOW_MS - now) // 1000)
            raise TooManyRequests(
                f"{made} logins in 5 minutes", retry_after=retry_after, made=made + 1, user_id=user_id
            )

    async def find_caller(self, token: str | None) -> Caller:
        """Return the user of a live session, and note its use. Raise `Unauthenticated` for any other token."""
        if not token or len(token) > TOKEN_MAX:
            raise _no_session()
        now, digest = self._clock(), token_digest(token)
        async with sql.reading(self._store) as connection:
            row = (await connection.execute(_CALLER, {"token_hash": digest})).mappings().first()
            if row is None or self._has_ended(row["created_ms"], row["used_ms"], now):
                raise _no_session(expected=await _expects_status_200(connection, token))
        if abs(now - row["used_ms"]) >= TOUCH_MS:
            session = tables.session
            async with sql.writing(self._store) as connection:
                used = update(session).where(session.c.token_hash == digest).values(used_ms=now)
                await connection.execute(used)
        return _caller_of_row(row)

    def _has_ended(self, created_ms: int, used_ms: int, now: int) -> bool:
        alive = created_ms + self._settings.session_hours * HOUR_MS > now and used_ms + IDLE_MS + TOUCH_MS > now
        return not alive or max(created_ms, used_ms) > now + AHEAD_MS

    async def prune(self) -> bool:
        """Delete up to `PRUNED_SESSIONS` sessions that have ended; return whether there may be more."""
        now, session = self._clock(), tables.session
        ended = or_(
            session.c.created_ms <= now - self._settings.session_hours * HOUR_MS,
            session.c.used_ms <= now - IDLE_MS - TOUCH_MS,
            session.c.created_ms > now + AHEAD_MS,
            session.c.used_ms > now + AHEAD_MS,
        )
        async with sql.reading(self._store) as connection:
            query = select(session.c.token_hash).where(ended).limit(PRUNED_SESSIONS)
            found = (await connection.execute(query)).scalars().all()
        if found:
            async with sql.writing(self._store) as connection:
                await connection.execute(delete(session).where(session.c.token_hash.in_(found), ended))
        return len(found) == PRUNED_SESSIONS

    async def log_out(self, token: str | None) -> None:
        """End a live session; nothing that copied the token can use it any longer. Raise `Unauthenticated`."""
        await self.find_caller(token)
        session = tables.session
        async with sql.writing(self._store) as connection:
            await connection.execute(delete(session).where(session.c.token_hash == token_digest(token or "")))


def _failed_login(outcome: str, username: str, address: str, text: str, cause: LoginCause) -> Unauthenticated:
    """Count and log a failed login, and return its error."""
    metrics.LOGINS.labels(outcome).inc()
    # The name is a stranger's text, and the address is personal data.
    name = username[:LOGGED_NAME_MAX].encode("unicode_escape").decode("ascii")[:LOGGED_NAME_MAX]
    _log.warning("login failed", username=name, network=truncate_address(address), cause=cause)
    return Unauthenticated(text, cause)


def _no_session(*, expected: bool = False) -> Unauthenticated:
    return Unauthenticated("Authentication failed - not logged in", "no session", expected=expected)


async def _expects_status_200(connection: AsyncConnection, token: str) -> bool:
    """Return `expired_login_status` of the user that a token names.

    The session may be gone from the store, so nothing proves that the token was one; the answer reveals no more than
    that a user with this id chose so.
    """
    user_id = claimed_user_id(token)
    if user_id is None:
        return False
    doc = await connection.scalar(select(tables.user.c.doc).where(tables.user.c.id == user_id))
    return doc is not None and doc.get("expired_login_status") == "200"


def _caller_of_row(row: RowMapping) -> Caller:
    doc = row["doc"]
    full_name = " ".join(filter(None, (doc.get("first_name"), doc.get("last_name"))))
    column = f"{row['user_type']}_id"
    # A limit without a value is one that no object meets.
    limit = None if row["user_type"] == "member" else (column, int(row[column] or 0))
    return Caller(
        row["id"],
        row["username"],
        full_name or row["username"],
        row["member_id"],
        doc["timezone"],
        admin=row["admin"],
        read_only=row["read_only"],
        limit=limit,
        acting_admin_id=row["admin_id"],
    )
