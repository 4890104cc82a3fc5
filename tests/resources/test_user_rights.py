"""Who may change which user: every kind of caller and target and every field, over HTTP and in the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update
from structlog.testing import capture_logs

from onebyone.auth import passwords
from onebyone.auth.caller import Caller
from onebyone.auth.sessions import Sessions
from onebyone.auth.wrong_passwords import WINDOW_MS, WRONG_MAX
from onebyone.config_store import tables
from onebyone.errors import Forbidden, NotFound, Refused, TooManyRequests
from onebyone.resources import user_rights
from onebyone.resources.admin.bootstrap import add_member, add_user
from onebyone.resources.entities.user import User
from onebyone.resources.service import Resources, Target
from onebyone.runtime import sql
from tests.support.api_harness import PASSWORD, Client, Harness, Json

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
USER = User()
NEW_PASSWORD = "Another-good-1"


@dataclass(frozen=True)
class Kind:
    """A kind of user: the columns that it has in addition to the defaults, and its member."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    member: int = 1

    @property
    def limited(self) -> bool:
        return "user_type" in self.columns

    @property
    def read_only(self) -> bool:
        return bool(self.columns.get("read_only"))

    @property
    def manages(self) -> bool:
        """Return whether this is an admin without any limit."""
        return bool(self.columns.get("admin")) and not self.limited and not self.read_only


OF_ADVERTISER = {"user_type": "advertiser", "advertiser_id": 1}
KINDS = {
    "first admin": Kind({"admin": True}),
    "second admin": Kind({"admin": True}),
    "plain": Kind(),
    "second plain": Kind(),
    "read-only": Kind({"read_only": True}),
    "of advertiser": Kind(OF_ADVERTISER),
    "of other advertiser": Kind({"user_type": "advertiser", "advertiser_id": 2}),
    "of publisher": Kind({"user_type": "publisher", "publisher_id": 1}),
    "read-only of advertiser": Kind({**OF_ADVERTISER, "read_only": True}),
    "read-only admin": Kind({"admin": True, "read_only": True}),
    "admin of advertiser": Kind({**OF_ADVERTISER, "admin": True}),
    "inactive": Kind({"state": "inactive"}),
    "plain of other member": Kind(member=2),
    "admin of other member": Kind({"admin": True}, member=2),
}
CALLERS = [name for name in KINDS if name != "inactive"]
WRITERS = pytest.mark.parametrize("name", CALLERS)
CONTACT = (
    *("email", "first_name", "last_name", "phone", "custom_data", "send_safety_budget_notifications"),
    *("timezone", "reporting_decimal_type", "decimal_mark", "thousand_separator", "expired_login_status"),
)
DOC = {name: USER.default(name) for name in CONTACT}
RIGHTS = ("state", "read_only", "user_type", "advertiser_id", "publisher_id")
UNWRITABLE = ("admin", "member_id", "entity_id", "id", "password_hash", "password_ms", "username_key")


def changes(name: str) -> dict[str, Json]:
    """Return, for each field, a body that changes it in a user of this kind."""
    columns = KINDS[name].columns
    limit = {"user_type": "advertiser", "advertiser_id": 2 if columns.get("advertiser_id") == 1 else 1}
    whole = {"user_type": "member", "advertiser_id": None, "publisher_id": None}
    return {
        "password": {"password": NEW_PASSWORD},
        "username": {"username": "Somebody Else"},
        "email": {"email": "new@example.com"},
        "first_name": {"first_name": "New"},
        "last_name": {"last_name": "New"},
        "timezone": {"timezone": "Asia/Tokyo"},
        "reporting_decimal_type": {"reporting_decimal_type": "comma"},
        "expired_login_status": {"expired_login_status": "200"},
        "phone": {"phone": "+1 555 0100"},
        "custom_data": {"custom_data": "{}"},
        "send_safety_budget_notifications": {"send_safety_budget_notifications": True},
        "decimal_mark": {"decimal_mark": "comma", "thousand_separator": "space"},
        "thousand_separator": {"thousand_separator": "space"},
        "state": {"state": "active" if columns.get("state") == "inactive" else "inactive"},
        "read_only": {"read_only": not columns.get("read_only", False)},
        "user_type": whole if "user_type" in columns else limit,
        "advertiser_id": {**limit, "publisher_id": None},
        "publisher_id": {
            "user_type": "publisher",
            "publisher_id": 2 if columns.get("publisher_id") == 1 else 1,
            "advertiser_id": None,
        },
        "admin": {"admin": not columns.get("admin", False)},
        "member_id": {"member_id": 2, "entity_id": 2},
        "entity_id": {"entity_id": 2},
        "id": {"id": 1},
        "password_hash": {"password_hash": "x"},
        "password_ms": {"password_ms": 1},
        "username_key": {"username_key": "x"},
    }


def outcome_by_rule(name: str, target: str, changed: str) -> str:
    """Return what must become of a change, by the table of the documentation."""
    caller = KINDS[name]
    if caller.member != KINDS[target].member or (caller.limited and target != name):
        return "absent"
    if target != name:
        if caller.manages and caller.member == 2 and changed in ("user_type", "advertiser_id", "publisher_id"):
            return "refused"  # The advertisers and publishers are of member 1.
        return "done" if caller.manages else "forbidden"
    if changed in ("password", *UNWRITABLE):
        return "done"
    if changed in CONTACT:
        return "forbidden" if caller.read_only else "done"
    return "done" if changed == "username" and caller.manages else "forbidden"


class World:
    """A store with one user of each kind, and the two faces that write to it."""

    def __init__(self, api: Harness) -> None:
        self.api = api
        self.ids: dict[str, int] = {}
        self.clients: dict[str, Client] = {}
        self.callers: dict[str, Caller] = {}
        self.resources = Resources(api.context)
        self.sessions = Sessions(api.store, api.context.settings, api.clock)
        self._rows: list[Any] = []
        self._tokens: list[Any] = []

    async def build(self, *log_in: str) -> None:
        """Create the users, and log these in."""
        for service in ("advertiser", "publisher"):
            for number in (1, 2):
                await self.api.create(service, {"name": f"{service} {number}"})
        encoded = await passwords.hash_password(PASSWORD)
        async with sql.writing(self.api.store) as connection:
            await add_member(connection, "Other")
            for name, kind in KINDS.items():
                self.ids[name] = await add_user(connection, kind.member, name, encoded, doc=DOC, **kind.columns)
        for name in log_in:
            self.clients[name] = await self.api.login(name, PASSWORD)
            self.callers[name] = await self.sessions.find_caller(self.clients[name].token)
        self._rows, self._tokens = await self.rows(), await self._all(tables.session)

    async def _all(self, table: Any) -> list[Any]:
        async with sql.reading(self.api.store) as connection:
            return list((await connection.execute(select(table).order_by(*table.primary_key))).mappings())

    async def rows(self) -> list[Any]:
        """Return the rows of all users."""
        return await self._all(tables.user)

    async def changed(self) -> dict[int, set[str]]:
        """Return user -> columns that changed since the world was built, leaving out those that a write sets itself."""
        changed = {}
        for before, now in zip(self._rows, await self.rows(), strict=True):
            names = {name for name in before if before[name] != now[name]}
            changed[before["id"]] = names - {"last_modified", "password_ms"}
        return {row_id: names for row_id, names in changed.items() if names}

    async def restore(self, *names: str) -> None:
        """Undo what writes did to these users, all by default, and to their sessions."""
        ids = {self.ids[name] for name in names or KINDS}
        session = tables.session
        async with sql.writing(self.api.store) as connection:
            for row in self._rows:
                if row["id"] in ids:
                    await connection.execute(update(tables.user).where(tables.user.c.id == row["id"]).values(dict(row)))
            await connection.execute(delete(session).where(session.c.user_id.in_(ids)))
            tokens = [dict(row) for row in self._tokens if row["user_id"] in ids]
            if tokens:
                await connection.execute(insert(session), tokens)

    async def put(self, face: str, name: str, target: str, fields: Json) -> str:
        """Write through one of the faces, and return what became of it."""
        if face == "http":
            answer = await self.clients[name].call("PUT", "user", {"user": fields}, id=self.ids[target])
            return outcome_of_answer(answer)
        try:
            await self.resources.update(USER, self.callers[name], Target([self.ids[target]]), fields)
        except (Forbidden, NotFound, Refused) as error:
            return {Forbidden: "forbidden", NotFound: "absent"}.get(type(error), outcome_of_error(error))
        return "done"


def outcome_of_error(error: Exception) -> str:
    """Return what became of a write that raised."""
    return "forbidden" if isinstance(error, Forbidden) else f"refused: {error}"


def outcome_of_answer(answer: Json) -> str:
    """Return what became of a request."""
    if answer["status"] == "OK":
        return "done"
    if answer["error_id"] == "UNAUTH":
        return "forbidden"
    return "absent" if answer["error"].startswith("user id not found") else f"refused: {answer['error']}"


@pytest.fixture
async def world(api: Harness) -> World:
    return World(api)


def test_every_field_of_a_user_is_in_one_row_of_the_table() -> None:
    groups = [user_rights.CONTACT_FIELDS, user_rights.RIGHTS, user_rights.PASSWORD_FIELDS, {"username"}]
    assert sorted(name for group in groups for name in group) == sorted(USER.body.model_fields)
    assert not {*UNWRITABLE} & USER.body.model_fields.keys()
    assert {*changes("plain")} == {*USER.body.model_fields, *UNWRITABLE} - {"old_password"}


@ENGINES
@WRITERS
@pytest.mark.parametrize("face", ["http", "engine"])
async def test_every_caller_every_target_every_field(world: World, face: str, name: str) -> None:
    await world.build(name)
    outcomes: dict[str, int] = {}
    for target in KINDS:
        for changed, fields in changes(target).items():
            sent = {**fields, "old_password": PASSWORD} if changed == "password" and target == name else fields
            outcome = await world.put(face, name, target, sent)
            case = (face, name, target, changed)
            assert outcome.split(":")[0] == outcome_by_rule(name, target, changed), (case, outcome)
            if outcome == "done" and changed not in UNWRITABLE:
                assert (await world.changed()).keys() == {world.ids[target]}, case
                await world.restore(target)
                outcomes[target] = outcomes.get(target, 0) + 1
        assert await world.changed() == {}, (face, name, target)
    print(f"{name} over {face}: {outcomes}")


@ENGINES
@WRITERS
async def test_only_an_admin_creates_users(world: World, name: str) -> None:
    await world.build(name)
    new: dict[str, Json] = {
        "plain": {},
        "limited": {**OF_ADVERTISER},
        "read-only": {"read_only": True},
        "inactive": {"state": "inactive"},
        "admin": {"admin": True, "member_id": 2},
    }
    if KINDS[name].member == 2:
        new.pop("limited")
    for kind, fields in new.items():
        body = {"username": f"new {kind}", "password": PASSWORD, **fields}
        answer = await world.clients[name].call("POST", "user", {"user": body})
        assert outcome_of_answer(answer) == ("done" if KINDS[name].manages else "forbidden"), kind
        with pytest.raises(Refused if KINDS[name].manages else Forbidden):
            await world.resources.create(USER, world.callers[name], body)
    made = [row for row in await world.rows() if row["username"].startswith("new ")]
    assert len(made) == (len(new) if KINDS[name].manages else 0)
    assert not any(row["admin"] for row in made)
    assert {row["member_id"] for row in made} <= {KINDS[name].member}


@ENGINES
@WRITERS
async def test_switching_stays_inside_the_member_and_its_rights(world: World, name: str) -> None:
    await world.build(name)
    for target, kind in KINDS.items():
        answer = await world.clients[name].call("POST", "auth", {"auth": {"switch_to_user": world.ids[target]}})
        world.api.http.cookies.clear()
        if not KINDS[name].manages:
            assert outcome_of_answer(answer) == "forbidden", target
        elif kind.member != KINDS[name].member or target == "inactive":
            assert outcome_of_answer(answer) == "absent", target
        else:
            caller = await world.sessions.find_caller(answer["token"])
            assert (caller.user_id, caller.member_id) == (world.ids[target], KINDS[name].member)


async def test_inactive_users_change_nothing(world: World) -> None:
    await world.build("plain")
    await world.api.put("user", world.ids["plain"], {"state": "inactive"})
    own = {"user": {"password": NEW_PASSWORD, "old_password": PASSWORD}}
    answer = await world.clients["plain"].call("PUT", "user", own, id=world.ids["plain"])
    assert answer["error_id"] == "NOAUTH"
    await world.api.put("user", world.ids["plain"], {"state": "active"})
    answer = await world.clients["plain"].call("PUT", "user", own, id=world.ids["plain"])
    assert answer["error_id"] == "NOAUTH", "a session that ended stays ended"


@ENGINES
async def test_plain_user_gets_no_token_of_an_admin_or_of_another_member(world: World) -> None:
    """Take the steps by which a plain user once became admin, and then every tenant."""
    await world.build("plain", "first admin")
    plain = world.clients["plain"]
    for target in ("first admin", "second admin"):
        for fields in ({"password": NEW_PASSWORD}, {"password": NEW_PASSWORD, "old_password": PASSWORD}):
            answer = await plain.call("PUT", "user", {"user": fields}, id=world.ids[target])
            assert (answer["error_id"], answer["error"]) == ("UNAUTH", "the user may not PUT user")
        login = await world.api.http.post("/auth", json={"auth": {"username": target, "password": NEW_PASSWORD}})
        assert login.json()["response"]["error_id"] == "NOAUTH"
    switched = await world.clients["first admin"].call(
        "POST", "auth", {"auth": {"switch_to_user": world.ids["plain of other member"]}}
    )
    assert switched["error"] == f"user id not found: {world.ids['plain of other member']}"
    assert await world.changed() == {}


@ENGINES
@WRITERS
async def test_own_password_needs_the_old_one(world: World, name: str) -> None:
    await world.build(name)
    client = world.clients[name]
    for old in ({}, {"old_password": None}, {"old_password": ""}, {"old_password": "Wrong-one-1"}):
        for query in ({"id": world.ids[name]}, {"current": 1}):
            refused = await client.call("PUT", "user", {"user": {"password": NEW_PASSWORD, **old}}, **query)
            assert refused["error_id"] == "SYNTAX"
            assert refused["error"].startswith("old_password: ")
    assert await world.changed() == {}
    body = {"user": {"password": NEW_PASSWORD, "old_password": PASSWORD}}
    world.api.clock.ahead_ms += WINDOW_MS
    assert (await client.call("PUT", "user", body, current=1))["status"] == "OK"
    assert await world.changed() == {world.ids[name]: {"password_hash"}}
    assert (await client.call("GET", "user", current=1))["error_id"] == "NOAUTH", "a new password ends the sessions"
    assert (await world.api.login(name, NEW_PASSWORD)).token


@ENGINES
async def test_old_password_cannot_be_guessed(world: World) -> None:
    await world.build("plain", "second plain")
    wrong = {"user": {"password": NEW_PASSWORD, "old_password": "Wrong-one-1"}}
    right = {"user": {"password": NEW_PASSWORD, "old_password": PASSWORD}}
    plain = world.clients["plain"]
    for _ in range(WRONG_MAX):
        assert (await plain.call("PUT", "user", wrong, current=1))[
            "error"
        ] == "old_password: not the password of the user"
    for body in (wrong, right):
        answer = await plain.send("PUT", "/user?current", json=body)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= WINDOW_MS // 1000
    assert await world.changed() == {}
    assert (await world.clients["second plain"].call("PUT", "user", right, current=1))["status"] == "OK"
    world.api.clock.ahead_ms += WINDOW_MS
    assert (await plain.call("PUT", "user", right, current=1))["status"] == "OK"


async def test_old_password_cannot_be_guessed_in_the_engine(world: World) -> None:
    await world.build("plain")
    fields = {"password": NEW_PASSWORD, "old_password": "Wrong-one-1"}
    for _ in range(WRONG_MAX):
        assert (await world.put("engine", "plain", "plain", fields)).startswith("refused: old_password: ")
    with pytest.raises(TooManyRequests):
        await world.put("engine", "plain", "plain", fields)


@WRITERS
async def test_own_object_can_be_sent_back(world: World, name: str) -> None:
    """A client that changes one field of what it has read sends all the others as well."""
    await world.build(name)
    client = world.clients[name]
    own = (await client.call("GET", "user", current=1))["user"]
    answer = await client.call("PUT", "user", {"user": own}, id=own["id"])
    assert (answer["status"], answer["dbg_info"]["warnings"]) == ("OK", [])
    assert await world.changed() == {}
    answer = await client.call("PUT", "user", {"user": {**own, "first_name": "New"}}, id=own["id"])
    assert answer["status"] == ("error" if KINDS[name].read_only else "OK")


@WRITERS
async def test_other_ways_to_name_a_user(world: World, name: str) -> None:
    await world.build(name)
    client, admin = world.clients[name], world.ids["second admin"]
    body = {"user": {"state": "inactive", "id": admin}}
    for query in (
        {"id": f"{world.ids[name]},{admin}"},
        {"id": f"{admin},{admin}", "append": "true"},
        {"code": "second admin"},
        {"username": "second admin"},
        {"current": 1, "id": admin},
        {"user_id": admin},
    ):
        answer = await client.call("PUT", "user", body, **query)
        if query.get("append") is None or not KINDS[name].manages:
            assert answer["status"] == "error", query
            assert await world.changed() == {}, query
        await world.restore()


@WRITERS
async def test_invalid_fields_do_not_hide_that_a_right_is_refused(world: World, name: str) -> None:
    await world.build(name)
    if KINDS[name].manages:
        return
    invalid: list[Json] = [{"email": 5}, {"last_name": []}, {"timezone": "Mars"}, {"password": "weak"}]
    for more in invalid:
        for fields in ({"state": "inactive"}, {"read_only": not KINDS[name].read_only}):
            assert await world.put("http", name, name, {**fields, **more}) == "forbidden"
    taken = await world.put("http", name, name, {"username": "plain of other member" if name == "admin" else "ADMIN"})
    free = await world.put("http", name, name, {"username": "free name"})
    assert taken == free == "forbidden", "nobody learns by a refusal which names are taken"


@ENGINES
async def test_admin_whose_rights_ended_meanwhile(world: World) -> None:
    """A request that was identified before another admin took the rights, and waited for its turn to write."""
    await world.build("first admin", "second admin")
    await world.api.put("user", world.ids["first admin"], {"state": "inactive"})
    assert await world.put("engine", "first admin", "second admin", {"state": "inactive"}) == "forbidden"
    with pytest.raises(Forbidden):
        await world.resources.create(USER, world.callers["first admin"], {"username": "new", "password": PASSWORD})
    await world.restore()
    for fields in ({"read_only": True}, OF_ADVERTISER):
        await world.api.put("user", world.ids["first admin"], fields)
        assert await world.put("engine", "first admin", "plain", {"state": "inactive"}) == "forbidden"
        await world.restore()
    assert await world.put("engine", "first admin", "plain", {"state": "inactive"}) == "done"


@ENGINES
async def test_an_active_admin_remains(world: World) -> None:
    """Whatever the admins send, in whatever order, one of them can still log in and manage the others."""
    await world.build("first admin", "second admin")
    everybody = [row["id"] for row in await world.rows() if row["member_id"] == 1]
    for name in ("first admin", "second admin"):
        for row_id in everybody:
            await world.clients[name].call("PUT", "user", {"user": {"state": "inactive"}}, id=row_id)
    left = [row for row in await world.rows() if row["member_id"] == 1 and row["admin"] and row["state"] == "active"]
    assert [row["username"] for row in left] == ["first admin"]


@ENGINES
async def test_changed_rights_end_sessions_and_reports(world: World) -> None:
    report = {"report_type": "network_analytics", "columns": ["imps"], "report_interval": "today"}
    for fields in ({"read_only": True}, {"state": "inactive"}, OF_ADVERTISER, {"password": NEW_PASSWORD}):
        await world.build("plain") if not world.ids else await world.restore()
        report_id = (await world.clients["plain"].call("POST", "report", {"report": report}))["report_id"]
        await world.api.put("user", world.ids["plain"], {"first_name": "New"})
        assert (await world.clients["plain"].call("GET", "report", id=report_id))["status"] == "OK"
        await world.api.put("user", world.ids["plain"], fields)
        assert (await world.clients["plain"].call("GET", "user", current=1))["error_id"] == "NOAUTH", fields
        if fields is OF_ADVERTISER:
            limited = await world.api.login("plain", PASSWORD)
            assert "not found" in (await limited.call("GET", "report", id=report_id))["error"]


@ENGINES
@WRITERS
async def test_nobody_sees_hashes_or_users_beyond_the_own_part(world: World, name: str) -> None:
    await world.build(name)
    client = world.clients[name]
    for query in ("", "?fields=id,password_hash,password,admin", "?current", "/meta", "?search=a&sort=username.asc"):
        page = await client.send("GET", f"/user{query}")
        assert "$argon2" not in page.text
        assert "password_hash" not in page.json()["response"].get("user", {})
    for query in ("like_password_hash=argon", "password_hash=x", "min_password_hash=a", "password_ms=0", "admin=true"):
        answer = await client.call("GET", "user", **dict([query.split("=")]))
        assert answer["dbg_info"]["warnings"] == [f"query parameter not used: {query.split('=')[0]}"]
    assert "cannot sort" in (await client.call("GET", "user", sort="password_hash.asc"))["error"]
    seen = {row["id"] for row in (await client.call("GET", "user"))["users"]}
    if KINDS[name].limited:
        assert seen == {world.ids[name]}
    else:
        assert seen == {row["id"] for row in await world.rows() if row["member_id"] == KINDS[name].member}


async def test_engine_takes_the_rights_of_its_caller(world: World) -> None:
    """A face that makes callers of its own is held to the same table."""
    await world.build("first admin")
    admin = world.callers["first admin"]
    for caller in (replace(admin, read_only=True), replace(admin, admin=False)):
        with pytest.raises(Forbidden):
            await world.resources.update(USER, caller, Target([world.ids["plain"]]), {"first_name": "New"})
        with pytest.raises(Forbidden):
            await world.sessions.switch_user(caller, world.ids["plain"])
    limited = replace(admin, limit=("advertiser_id", 1))
    with pytest.raises(NotFound):
        await world.resources.update(USER, limited, Target([world.ids["plain"]]), {"first_name": "New"})
    with pytest.raises(Forbidden):
        await world.sessions.switch_user(limited, world.ids["plain"])


@ENGINES
async def test_switched_sessions_name_their_admin_and_end_with_the_admins(world: World) -> None:
    await world.build("first admin")
    for fields in ({"state": "inactive"}, {"read_only": True}, {"password": NEW_PASSWORD}, OF_ADVERTISER):
        await world.restore()
        wanted: list[object] = [world.ids["second admin"], world.ids["plain"]]
        acting = world.clients["first admin"]
        with capture_logs() as lines:
            for user_id in wanted:
                answer = await acting.call("POST", "auth", {"auth": {"switch_to_user": user_id}})
                acting = Client(world.api.http, answer["token"])
                world.api.http.cookies.clear()
            await acting.create("advertiser", {"name": "Written by an admin"})
        caller = await world.sessions.find_caller(acting.token)
        assert (caller.user_id, caller.acting_admin_id) == (world.ids["plain"], world.ids["first admin"])
        assert {line["admin"] for line in lines} == {world.ids["first admin"]}
        assert [(line["event"], line["user"]) for line in lines] == [
            *(("switched user", user_id) for user_id in wanted),
            ("an admin writes as another user", world.ids["plain"]),
        ]
        await world.api.put("user", world.ids["first admin"], fields)
        assert (await acting.call("GET", "user", current=1))["error_id"] == "NOAUTH", fields
