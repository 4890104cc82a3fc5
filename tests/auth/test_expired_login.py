"""The HTTP status of a session that has ended, as each user chose it."""

from __future__ import annotations

import pytest

from onebyone.auth.sessions import IDLE_MS, TOUCH_MS
from onebyone.auth.tokens import claimed_user_id, new_token
from onebyone.clock import DAY_MS
from tests.support.api_harness import PASSWORD, Client, Harness, response_of

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


async def user_with(api: Harness, **fields: object) -> Client:
    """Create a user and log it in."""
    await api.create("user", {"username": "robot", "password": PASSWORD, **fields})
    return await api.login("robot", PASSWORD)


async def ended_status(client: Client) -> int:
    """Return the status of an answer that says that the session has ended."""
    answer = await client.send("GET", "/member")
    response = response_of(answer)
    assert (response["error_id"], response["error"]) == ("NOAUTH", "Authentication failed - not logged in")
    return answer.status_code


@ENGINES
@pytest.mark.parametrize(("chosen", "status"), [({}, 401), ({"expired_login_status": "401"}, 401)])
@pytest.mark.parametrize("later_ms", [IDLE_MS + TOUCH_MS + 1000, DAY_MS + 1000], ids=["idle", "lifetime"])
async def test_default_status(api: Harness, chosen: dict[str, str], status: int, later_ms: int) -> None:
    client = await user_with(api, **chosen)
    api.clock.ahead_ms += later_ms
    assert await ended_status(client) == status


@ENGINES
async def test_status_200_until_the_session_is_long_gone(api: Harness) -> None:
    client = await user_with(api, expired_login_status=200)
    assert (await client.call("GET", "user", current=1))["user"]["expired_login_status"] == "200"
    api.clock.ahead_ms += DAY_MS + 1000
    assert await ended_status(client) == 200
    await api.login("admin", PASSWORD)  # A login deletes the sessions that have ended.
    assert await ended_status(client) == 200
    again = await api.login("robot", PASSWORD)
    assert (await again.call("GET", "member"))["status"] == "OK"


async def test_a_change_holds_for_the_sessions_that_exist(api: Harness) -> None:
    client = await user_with(api)
    put = await client.call("PUT", "user", {"user": {"expired_login_status": "200"}}, current="")
    assert put["status"] == "OK"
    assert response_of(await client.send("DELETE", "/auth"))["status"] == "OK"
    assert await ended_status(client) == 200
    assert response_of(await client.send("DELETE", "/auth"))["error_id"] == "NOAUTH"


@pytest.mark.parametrize("value", ["202", 500, True, None, "", 200.0])
async def test_other_values_are_refused(api: Harness, value: object) -> None:
    refused = await api.call("PUT", "user", {"user": {"expired_login_status": value}}, id=1)
    assert refused["error"].startswith("expired_login_status")


async def test_everything_else_is_401_for_all(api: Harness) -> None:
    client = await user_with(api, expired_login_status="200")
    user_id = claimed_user_id(client.token)
    assert user_id is not None
    for token in ("", "x", client.token[:-1], client.token.upper(), f"hbapi:{user_id}", new_token(user_id + 1)):
        assert await ended_status(Client(api.http, token)) == 401, token
    answer = await api.http.post("/auth", json={"auth": {"username": "robot", "password": "wrong"}})
    assert (answer.status_code, response_of(answer)["error_id"]) == (401, "NOAUTH")


@pytest.mark.parametrize(
    ("token", "user_id"),
    [
        ("hbapi:7:00000000000000000000000000000000:obo1", 7),
        ("hbapi:7:0:obo1", None),
        ("hbapi:-7:00000000000000000000000000000000:obo1", None),
        (f"hbapi:{10**18}:00000000000000000000000000000000:obo1", None),
        ("hbapi:7:00000000000000000000000000000000:obo1\n", None),
        ("", None),
    ],
)
def test_the_user_that_a_token_names(token: str, user_id: int | None) -> None:
    assert claimed_user_id(token) == user_id
    assert claimed_user_id(new_token(7)) == 7
