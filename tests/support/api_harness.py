"""The API in this process: a migrated store, a clock that tests move, and a client of its services."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.api import ops_endpoints
from onebyone.api.app import Api
from onebyone.api.openapi import examples
from onebyone.api.pipeline_lag import PipelineLagMeter
from onebyone.auth import passwords
from onebyone.clock import now_ms
from onebyone.config_store import schema
from onebyone.report_store import schema as report_schema
from onebyone.reports.service import ReportService
from onebyone.resources.admin.bootstrap import add_member, add_user, bootstrap
from onebyone.resources.context import EngineContext
from onebyone.runtime import sql
from onebyone.settings import Settings
from tests.support import api_contract

Json = dict[str, Any]
PASSWORD = examples.CREDENTIALS["password"]
MINUTE_MS = 60_000


@dataclass
class Clock:
    """Real time plus an offset that tests set."""

    ahead_ms: int = 0

    def __call__(self) -> int:
        return now_ms() + self.ahead_ms

    def to_next_minute(self) -> None:
        """Move to the start of the next minute, so that none begins while a test counts requests."""
        self.ahead_ms += MINUTE_MS - self() % MINUTE_MS


@dataclass
class Wakes:
    """Stands in for the publisher and counts how often it is woken."""

    count: int = 0

    def wake(self) -> None:
        self.count += 1


@dataclass
class Client:
    """A user's client of the API. Methods return the `response` object."""

    http: httpx.AsyncClient
    token: str = ""

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request with the token in the header."""
        headers = {"Authorization": self.token, **options.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **options)

    async def call(self, method: str, service: str, body: object = None, /, **query: object) -> Json:
        """Make any call and check its envelope."""
        answer = await self.send(method, f"/{service}", json=body, params={k: str(v) for k, v in query.items()})
        return response_of(answer)

    async def create(self, service: str, fields: Json, **query: object) -> Json:
        """Create an object and return it."""
        response = await self.call("POST", service, {service: fields}, **query)
        assert response["status"] == "OK", response
        found: Json = response[service]
        return found

    async def put(self, service: str, row_id: int, fields: Json, **query: object) -> Json:
        """Update an object and return it."""
        response = await self.call("PUT", service, {service: fields}, id=row_id, **query)
        assert response["status"] == "OK", response
        found: Json = response[service]
        return found

    async def get(self, service: str, row_id: int) -> Json:
        """Return one object."""
        response = await self.call("GET", service, id=row_id)
        assert response["status"] == "OK", response
        found: Json = response[service]
        return found

    async def delete(self, service: str, row_id: int | str) -> Json:
        """Delete objects and return the envelope."""
        return await self.call("DELETE", service, id=row_id)

    async def world(self) -> Json:
        """Create an advertiser with a line item and a publisher with its children; return their ids."""
        advertiser = await self.create("advertiser", {"name": "Test Advertiser"})
        line_item = await self.create("line-item", {"name": "Test Line Item"}, advertiser_id=advertiser["id"])
        publisher = await self.create("publisher", {"name": "November Publisher"})
        return {
            "advertiser": advertiser["id"],
            "line-item": line_item["id"],
            "publisher": publisher["id"],
            "site": publisher["default_site_id"],
            "placement": publisher["placements"][0]["id"],
            "payment-rule": publisher["base_payment_rule_id"],
        }

    async def tracker(self, service: str, world: Json, **fields: object) -> Json:
        """Create a tracker in that world."""
        links = {"publisher": {"id": world["publisher"]}, "line_item": {"id": world["line-item"]}}
        return await self.create(service, {"name": "T", **links, **fields}, advertiser_id=world["advertiser"])


def response_of(answer: httpx.Response) -> Json:
    """Check envelope, headers and schema of an answer, and return its `response` object."""
    api_contract.check(answer)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert int(answer.headers["x-ratelimit-read"]) > 0
    document = answer.json()
    assert list(document) == ["response"]
    response: Json = document["response"]
    told = response["dbg_info"]
    assert {"instance", "slave_hit", "db", "time", "version", "warnings", "output_term"} <= told.keys()
    assert answer.headers["x-an-requestid"] == told["uuid"]
    assert all(isinstance(told[name], int) for name in ("reads", "read_limit", "writes", "write_limit"))
    if response["status"] == "OK":
        assert "error_id" not in response
        assert told["output_term"] == "not_found" or told["output_term"] in response
    else:
        assert told["output_term"] == "not_found"
        assert response["error"]
    return response


@dataclass
class Harness(Client):
    """The API in this process, with its first member's user logged in."""

    store: AsyncEngine = field(kw_only=True)
    context: EngineContext = field(kw_only=True)
    clock: Clock = field(kw_only=True)
    wakes: Wakes = field(kw_only=True)
    reports: ReportService = field(kw_only=True)

    async def go_to(self, ms: int) -> None:
        """Move the clock there and log in again, because the session may have ended by then."""
        self.clock.ahead_ms = ms - now_ms()
        self.token = (await self.login("admin", PASSWORD)).token

    async def login(self, username: str, password: str) -> Client:
        """Return another user's client."""
        answer = await self.http.post("/auth", json={"auth": {"username": username, "password": password}})
        self.http.cookies.clear()
        return Client(self.http, response_of(answer)["token"])

    async def second_member(self, *, trackers: bool = True, admin: bool = False) -> Client:
        """Return the client of another tenant's user."""
        encoded = await passwords.hash_password(PASSWORD)
        async with sql.writing(self.store) as connection:
            member_id = await add_member(connection, "Other Member", trackers=trackers)
            await add_user(connection, member_id, "other", encoded, admin=admin)
        return await self.login("other", PASSWORD)


async def prepare(url: str) -> None:
    """Create both stores in a database, with member 1 and its user."""
    await schema.upgrade(url)
    await report_schema.upgrade(url)
    store = sql.create_engine(url)
    await bootstrap(store, settings(url))
    await store.dispose()


def settings(url: str) -> Settings:
    """Return the settings of the API under test."""
    return Settings(database_url=url, admin_password=SecretStr(PASSWORD), public_url="https://tags.example.com")


async def start(url: str) -> Harness:
    """Start the API on a prepared store."""
    store = sql.create_engine(url)
    clock, wakes = Clock(), Wakes()
    context = EngineContext(settings(url), store, store, wakes, clock)
    sink = PipelineLagMeter(context.settings, context.report_store)
    app = Api(context, ops_endpoints.create_ops_app(context.settings, lambda: {"configuration": True}, sink.measure))
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test")
    harness = Harness(http, store=store, context=context, clock=clock, wakes=wakes, reports=app.reports)
    harness.token = (await harness.login("admin", PASSWORD)).token
    return harness
