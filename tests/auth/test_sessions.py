"""Sessions without HTTP: logins, the caller of a token, the ends of a session, and acting as another user."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from pydantic import SecretStr
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.auth import passwords
from onebyone.auth import sessions as sessions_module
from onebyone.auth.sessions import AHEAD_MS, IDLE_MS, TOUCH_MS, Sessions
from onebyone.clock import DAY_MS, HOUR_MS, now_ms
from onebyone.config_store import tables
from onebyone.errors import Forbidden, NotFound, TooManyRequests, Unauthenticated
from onebyone.resources.admin.bootstrap import add_user
from onebyone.runtime import sql
from onebyone.settings import Settings
from tests.support.api_harness import PASSWORD

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
NOW_MS = now_ms()


@dataclass
class Clock:
    """A clock that tests set; it starts at the time when the store is prepared."""

    now_ms: int = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[AsyncEngine]:
    engine = sql.create_engine(store_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(store: AsyncEngine, store_url: str, clock: Clock) -> Sessions:
    settings = Settings(database_url=store_url, admin_password=SecretStr(PASSWORD), logins=2, password_days=30)
    return Sessions(store, settings, clock)


async def cause_of(sessions: Sessions, username: str, password: str) -> str:
    """Return why a login is refused."""
    with pytest.raises(Unauthenticated) as refused:
        await sessions.log_in(username, password)
    return refused.value.cause


@ENGINES
async def test_login_and_its_caller(sessions: Sessions) -> None:
    token = await sessions.log_in("ADMIN", PASSWORD)
    caller = await sessions.find_caller(token)
    assert (caller.user_id, caller.username, caller.member_id, caller.admin) == (1, "admin", 1, True)
    assert (caller.read_only, caller.limit) == (False, None)
    assert await cause_of(sessions, "admin", "wrong") == "wrong password"
    assert await cause_of(sessions, "nobody", PASSWORD) == "wrong password"


@pytest.mark.parametrize("token", [None, "", "hbapi:1:0:obo1", "x" * 1000])
async def test_unknown_tokens(sessions: Sessions, token: str | None) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await sessions.find_caller(token)
    assert refused.value.cause == "no session"


async def test_session_ends_when_idle(sessions: Sessions, clock: Clock) -> None:
    token = await sessions.log_in("admin", PASSWORD)
    clock.now_ms += IDLE_MS + TOUCH_MS - 1
    await sessions.find_caller(token)
    clock.now_ms += IDLE_MS + TOUCH_MS
    with pytest.raises(Unauthenticated):
        await sessions.find_caller(token)


async def test_session_ends_after_its_lifetime(sessions: Sessions, clock: Clock) -> None:
    token = await sessions.log_in("admin", PASSWORD)
    while clock.now_ms < NOW_MS + DAY_MS - IDLE_MS:
        clock.now_ms += IDLE_MS
        await sessions.find_caller(token)
    clock.now_ms = NOW_MS + DAY_MS
    with pytest.raises(Unauthenticated):
        await sessions.find_caller(token)


async def test_the_lifetime_is_a_setting(store: AsyncEngine, store_url: str, clock: Clock) -> None:
    settings = Settings(database_url=store_url, admin_password=SecretStr(PASSWORD), session_hours=1)
    sessions = Sessions(store, settings, clock)
    token = await sessions.log_in("admin", PASSWORD)
    clock.now_ms += HOUR_MS - 1
    await sessions.find_caller(token)
    clock.now_ms += 1
    with pytest.raises(Unauthenticated):
        await sessions.find_caller(token)


async def test_a_session_of_a_clock_that_was_ahead_ends_when_it_is_set_back(sessions: Sessions, clock: Clock) -> None:
    clock.now_ms += 20 * DAY_MS
    token = await sessions.log_in("admin", PASSWORD)
    await sessions.log_in("admin", PASSWORD)
    clock.now_ms -= AHEAD_MS
    await sessions.find_caller(token)
    clock.now_ms = NOW_MS
    with pytest.raises(Unauthenticated):
        await sessions.find_caller(token)
    # Nor do its logins count as those of the last five minutes.
    await sessions.log_in("admin", PASSWORD)


@ENGINES
async def test_sessions_that_have_ended_are_deleted_in_steps(
    sessions: Sessions, store: AsyncEngine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_module, "PRUNED_SESSIONS", 4)
    alive = await sessions.log_in("admin", PASSWORD)
    now = clock.now_ms
    ended = {
        "lifetime": (now - DAY_MS, now),
        "idle": (now - 3 * HOUR_MS, now - IDLE_MS - TOUCH_MS),
        "ahead": (now + 400 * DAY_MS, now + 400 * DAY_MS),
        "used ahead": (now, now + 2 * AHEAD_MS),
    }
    rows = [
        {"token_hash": f"{name} {number}", "user_id": 1, "created_ms": created, "used_ms": used}
        for name, (created, used) in ended.items()
        for number in range(6)
    ]
    async with sql.writing(store) as connection:
        await connection.execute(insert(tables.session), rows)
    steps = 1
    while await sessions.prune():
        steps += 1
    assert steps == len(rows) // 4 + 1
    async with sql.reading(store) as connection:
        assert await connection.scalar(select(func.count()).select_from(tables.session)) == 1
    await sessions.find_caller(alive)


async def test_disabled_users_and_expired_passwords(sessions: Sessions, store: AsyncEngine, clock: Clock) -> None:
    token = await sessions.log_in("admin", PASSWORD)
    user = tables.user
    async with sql.writing(store) as connection:
        await connection.execute(update(user).values(password_ms=NOW_MS - 30 * 24 * 3_600_000))
    assert await cause_of(sessions, "admin", PASSWORD) == "expired"
    async with sql.writing(store) as connection:
        await connection.execute(update(user).values(state="inactive"))
    assert await cause_of(sessions, "admin", PASSWORD) == "disabled"
    with pytest.raises(Unauthenticated):
        await sessions.find_caller(token)


async def test_login_limit_names_the_wait(sessions: Sessions, clock: Clock) -> None:
    for _ in range(2):
        await sessions.log_in("admin", PASSWORD)
        clock.now_ms += 60_000
    with pytest.raises(TooManyRequests) as refused:
        await sessions.log_in("admin", PASSWORD)
    assert (refused.value.retry_after, refused.value.made, refused.value.user_id) == (180, 3, 1)
    clock.now_ms += 180_000
    await sessions.log_in("admin", PASSWORD)


async def test_switch_user(sessions: Sessions, store: AsyncEngine) -> None:
    admin = await sessions.find_caller(await sessions.log_in("admin", PASSWORD))
    encoded = await passwords.hash_password(PASSWORD)
    async with sql.writing(store) as connection:
        user_id = await add_user(connection, 1, "other", encoded)
    other = await sessions.find_caller(await sessions.switch_user(admin, user_id))
    assert (other.user_id, other.admin) == (user_id, False)
    with pytest.raises(NotFound):
        await sessions.switch_user(admin, 4711)
    with pytest.raises(Forbidden):
        await sessions.switch_user(replace(admin, admin=False), user_id)
