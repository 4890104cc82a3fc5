"""Measure the configuration API: reads of a small and of a large store, and the cost of a write.

    python -m loadtests.bench_api [--rounds 40] [--small 1000] [--large 100000]

Both stores are read in turn, so that a busy machine slows both. Each time is that of a whole request in this process.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import uvloop
from pydantic import SecretStr
from starlette.types import ASGIApp

from loadtests import bare_api, crowd
from onebyone.api.app import Api
from onebyone.config_store import schema
from onebyone.resources.admin.bootstrap import bootstrap
from onebyone.resources.context import EngineContext
from onebyone.runtime import sql
from onebyone.settings import Settings
from tests.support import plans, process_guard
from tests.support.postgres import PostgresServer
from tests.support.postgres_programs import find_programs

READS = {
    "page 1": "",
    "last page": "start_element={last}",
    "one by id": "id={middle}",
    "id=a,b,c": "id={middle},3,9",
    "state=inactive": "state=inactive",
    "state, last page": "state=active&start_element={last_active}",
    "advertiser, page 1": "advertiser_id=1",
    "advertiser, last page": "advertiser_id=1&start_element={last}",
    "advertiser, state": "advertiser_id=1&state=inactive",
    "search": "search=nordlicht",
    "search an id": "search={middle}",
    "like_name": "like_name=LICHT",
    "like_code": "like_code=t-{middle}",
    "name": "name={name}",
    "code": "code=T-{middle}",
    "sort=name": "sort=name",
    "sort=name.desc": "sort=name.desc&advertiser_id=1",
    "sort=last_modified.desc": "sort=last_modified.desc",
    "min_last_modified": "min_last_modified={recently}",
}
PASSWORD = "Correct-horse-1"  # noqa: S105


class NoPublisher:
    """Takes the place of the publisher."""

    def wake(self) -> None:
        """Publish nothing."""


@dataclass
class Store:
    """The API on a store of `size` trackers."""

    url: str
    size: int
    app: ASGIApp = field(init=False)
    token: str = field(init=False, default="")

    async def open(self) -> None:
        """Create the store and fill it."""
        settings = Settings(
            database_url=self.url, admin_password=SecretStr(PASSWORD), reads_a_minute=10**9, writes_a_minute=10**9
        )
        await schema.upgrade(self.url)
        self.engine = sql.create_engine(self.url)
        await bootstrap(self.engine, settings)
        self.app = Api(EngineContext(settings, self.engine, self.engine, NoPublisher()), bare_api.missing)
        auth = {"auth": {"username": "admin", "password": PASSWORD}}
        self.token = (await call(self.app, "POST", "/auth", "", "", auth))["response"]["token"]
        advertiser = await self.made("advertiser", "", {"name": "A"})
        line_item = await self.made("line-item", f"advertiser_id={advertiser}", {"name": "L"})
        publisher = await self.made("publisher", "", {"name": "P"})
        links = {"advertiser_id": advertiser, "line_item_id": line_item, "publisher_id": publisher}
        await crowd.fill_store(self.engine, self.size, links)

    async def made(self, service: str, query: str, fields: dict[str, Any]) -> int:
        """Create an object and return its id."""
        answer = await self.send("POST", service, query, {service: fields})
        return int(answer["response"]["id"])

    async def send(self, method: str, service: str, query: str, body: Any = None) -> Any:
        """Send a request, which must succeed, and return the decoded answer."""
        answer = await call(self.app, method, f"/{service}", query, self.token, body)
        assert answer["response"]["status"] == "OK", answer
        return answer

    def query(self, name: str) -> str:
        """Return the query string of a read in `READS` for this store."""
        middle = self.size // 2
        words = {
            "last": self.size - 100,
            "last_active": self.size * 9 // 10 - 100,
            "middle": middle,
            "name": crowd.tracker_row(middle, self.size, {})["name"].replace(" ", "%20"),
            "recently": crowd.tracker_row(self.size - 50, self.size, {})["last_modified"].replace(" ", "%20"),
        }
        return READS[name].format(**words)


async def call(app: ASGIApp, method: str, path: str, query: str, token: str, body: Any = None) -> Any:
    """Call the application with a request and return the decoded answer."""
    sent = b"" if body is None else orjson.dumps(body)
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"api.test"), (b"authorization", token.encode())],
    }
    parts: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": sent, "more_body": False}

    async def send(message: Any) -> None:
        parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return orjson.loads(b"".join(parts))


async def measured(work: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[float, float]:
    """Return the wall time and this process's CPU time of `work`, in ms."""
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


async def reads(stores: list[Store], rounds: int) -> None:
    """Print the medians and the ratio of each read, and its plans on the larger store."""
    times: dict[tuple[str, int], list[tuple[float, float]]] = {
        (name, store.size): [] for name in READS for store in stores
    }
    for _ in range(rounds):
        for name in READS:
            for store in stores:
                times[name, store.size].append(
                    await measured(partial(store.send, "GET", "imptracker", store.query(name)))
                )
    small, large = (store.size for store in stores)
    print(f"\n{'read, medians':<24}{f'{small:,}':>9} {f'{large:,}':>9} ms wall  ratio | {'CPU ms':>15} {'':>8}  ratio")
    for name in READS:
        columns = []
        for kind in (0, 1):
            first, second = (statistics.median(pair[kind] for pair in times[name, size]) for size in (small, large))
            columns.append(f"{first:>9.2f} {second:>9.2f} {'':7} {second / first:>6.2f}")
        print(f"{name:<24}{' | '.join(columns)}")
    print(f"\nplans at {large:,}:")
    for name in READS:
        await print_plans(stores[-1], name)


async def print_plans(store: Store, name: str) -> None:
    """Print the plan of each statement that reads trackers or their number."""
    with plans.recorded(store.engine) as statements:
        await store.send("GET", "imptracker", store.query(name))
    print(f"{name}: GET /imptracker?{store.query(name)}")
    for statement in statements:
        if "imptracker" in statement[0] and 'AS "publisher::name"' not in statement[0]:
            for line in await plans.explained(store.engine, statement):
                print(f"    {line}")


async def writes(store: Store, rounds: int) -> None:
    """Print what creating and changing a tracker costs, compared with a minimal application that inserts a row."""
    links = {"publisher": {"id": 1}, "line_item": {"id": 1}}
    bare = await bare_api.application(store.engine)
    number = iter(range(10**9))

    def create() -> Coroutine[Any, Any, Any]:
        body = {"imptracker": {"name": f"Made {next(number)}", **links}}
        return store.send("POST", "imptracker", "advertiser_id=1", body)

    def change() -> Coroutine[Any, Any, Any]:
        return store.send("PUT", "imptracker", "id=5", {"imptracker": {"name": f"Changed {next(number)}"}})

    def insert() -> Coroutine[Any, Any, Any]:
        return call(bare, "POST", "/thing", "", "", {"name": f"Thing {next(number)}", "state": "active"})

    works = {"bare insert": insert, "create": create, "change": change}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(await measured(work))
    base = statistics.median(cpu for _, cpu in times["bare insert"])
    title = f"write, among {store.size:,}"
    print(f"\n{title:<26}{'wall ms':>10} {'CPU ms':>10} {'of bare':>12}   statements, transactions that write")
    for name, work in works.items():
        wall, cpu = (statistics.median(column) for column in zip(*times[name], strict=True))
        with plans.recorded(store.engine) as statements:
            await work()
        texts = [text for text, _ in statements]
        count = sum(text not in ("BEGIN", "COMMIT") for text in texts)
        print(f"{name:<26}{wall:>10.2f} {cpu:>10.2f} {cpu / base:>12.2f}   {count}, {texts.count('COMMIT')}")


async def contest(name: str, urls: list[str], arguments: argparse.Namespace) -> None:
    """Print all figures of one engine."""
    stores = [Store(url, size) for url, size in zip(urls, (arguments.small, arguments.large), strict=True)]
    for store in stores:
        began = time.perf_counter()
        await store.open()
        print(f"{name}: {store.size:,} trackers in {time.perf_counter() - began:.1f} s")
    await reads(stores, arguments.rounds)
    for store in stores:
        await writes(store, arguments.rounds * 5)
    for store in stores:
        await store.engine.dispose()


def main() -> None:
    """Print the figures on SQLite, and on PostgreSQL if there is a server."""
    process_guard.begin()
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"))
    arguments = parser.parse_args()
    if arguments.engine != "postgresql":
        with tempfile.TemporaryDirectory() as folder:
            urls = [f"sqlite+aiosqlite:///{Path(folder) / f'{size}.sqlite3'}" for size in ("small", "large")]
            uvloop.run(contest("SQLite", urls, arguments))
    programs = find_programs()
    if programs is not None and arguments.engine != "sqlite":
        server = PostgresServer(programs)
        try:
            uvloop.run(contest("PostgreSQL", [server.fresh_database() for _ in range(2)], arguments))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
