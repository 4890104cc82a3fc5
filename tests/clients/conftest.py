"""A running product with three users, one for each client, and enough trackers to need pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.clients.script import CLIENTS, Front, Script
from tests.clients.served_api import ServedApi
from tests.support.api_client import ApiClient
from tests.support.product import Product, start_product
from tests.support.tiers import starts_processes
from tests.support.waiting import wait_until

PASSWORD = "Clients-0nly-Password"
TRACKERS = 260
IMPRESSIONS = 3


@dataclass
class World:
    """The objects that the clients find: ids, and the product that holds them."""

    product: Product
    api: ApiClient
    advertiser: int
    other_advertiser: int
    links: dict[str, Any]
    """The objects that every tracker refers to."""
    trackers: list[int]
    """Impression trackers; the tag of the first has been fired."""


@pytest.fixture(scope="module")
@starts_processes
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One product for all clients."""
    product = start_product(tmp_path_factory.mktemp("clients") / "data")
    try:
        yield _world(product)
    finally:
        product.stop()


def _world(product: Product) -> World:
    api = product.client()
    for name in CLIENTS:
        person = {"username": name, "password": PASSWORD, "email": f"{name}@example.com", "user_type": "member"}
        api.create("user", {**person, "first_name": "A", "last_name": "Client"})
    advertiser, other = (api.create("advertiser", {"name": name})["id"] for name in ("Shoes", "Hats"))
    publisher = api.create("publisher", {"name": "News"})["id"]
    line_item = api.create("line-item", {"name": "Spring"}, advertiser_id=advertiser)["id"]
    links = {"publisher": {"id": publisher}, "line_item": {"id": line_item}}
    first = api.create("imptracker", {"name": "Banner", **links}, advertiser_id=advertiser)["id"]
    made = [first, *_copies(product, first, TRACKERS - 1)]
    url = f"{product.edge_url}/imptr?id={first}&t=2"
    for _ in range(IMPRESSIONS):
        wait_until(lambda: httpx.get(url).headers["x-onebyone"] == "recorded", "the tag counts")
    return World(product, api, advertiser, other, links, made)


def _copies(product: Product, tracker: int, count: int) -> list[int]:
    """Copy the tracker's row in the store and return the new ids: far quicker than one API request per tracker."""
    with closing(sqlite3.connect(product.data_dir / "config.sqlite3", timeout=10)) as store, store:
        names = [name for _, name, *_ in store.execute("PRAGMA table_info(imptracker)") if name != "id"]
        kept = ", ".join(names)
        copy = f"INSERT INTO imptracker ({kept}) SELECT {kept} FROM imptracker WHERE id = ? RETURNING id"
        return [store.execute(copy, (tracker,)).fetchone()[0] for _ in range(count)]


StartScript = Callable[..., Script]


@pytest.fixture(scope="module")
@starts_processes
def start_script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartScript]:
    """A function that starts the script of a client, at a URL or where `environment` leads it."""
    running = []

    def start(client: str, url: str | None, environment: dict[str, str] | None = None) -> Script:
        folder = tmp_path_factory.mktemp("script")
        running.append(Script(client, folder, url, environment or {}))
        return running[-1]

    yield start
    for script in running:
        script.stop()


@pytest.fixture(scope="module")
def scripts(world: World, start_script: StartScript, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The logged-in script of a client by its name, at the product.

    The Python clients call the name that is built into them; anx-api has none and gets a URL.
    """
    fronts: list[Front] = []
    known: dict[str, Script] = {}

    def script(client: str) -> Script:
        if client not in known:
            if client == "anx-api":
                known[client] = start_script(client, world.product.api_url)
            else:
                fronts[:] = fronts or [Front(world.product.api_url, tmp_path_factory.mktemp("front"))]
                known[client] = start_script(client, None, fronts[0].environment)
            assert known[client]("log_in", username=client, password=PASSWORD) == client
        return known[client]

    yield script
    for front in fronts:
        front.stop()


@pytest.fixture(params=CLIENTS)
def script(request: pytest.FixtureRequest, scripts: Callable[[str], Script]) -> Script:
    """The logged-in script of each client."""
    client: str = request.param
    return scripts(client)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApi]:
    """An API with a low limit and a clock that tests move."""
    api = ServedApi(tmp_path_factory.mktemp("served") / "config.sqlite3")
    yield api
    api.stop()
