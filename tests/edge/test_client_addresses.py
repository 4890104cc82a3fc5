"""The network that an event gets: every form of every header, from every peer, the same on both ways into the edge."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import orjson
import pytest

from onebyone.edge.asgi import EdgeApp
from onebyone.edge.fastpath import request_parser
from onebyone.edge.recorder import Recorder
from onebyone.runtime.client_address import truncate_address
from onebyone.settings import Settings
from tests.edge.fastpath.batcher_harness import BatcherHarness, Client
from tests.support.address_forms import NODES, forwarded_element

pytestmark = pytest.mark.anyio

PROXIES = "10.0.0.0/8,fd00::/8"
TRUSTED_PEERS = ["10.0.0.1", "::ffff:10.0.0.1", "fd00::1"]
OTHER_PEERS = ["198.51.100.7", "::ffff:198.51.100.7", "127.0.0.1"]
TAGS = ["/imptr?id=531&cachebuster=1", "/imptr?id=531&cachebuster=1&ancost=x", "/clktr?id=531&cachebuster=1"]
LIST_HEADERS = ["X-Forwarded-For", "CF-Connecting-IP", "X-Made-Up"]

Lines = list[tuple[str, str]]
Event = dict[str, Any]


class TwoWays:
    """The fast path and the ASGI application of one edge, with a journal that is a list."""

    def __init__(self, **settings: Any) -> None:
        self.fast = BatcherHarness(**settings)
        self.lines: list[bytes] = []
        recorder = Recorder(Settings(**settings), self.fast.lookups, cast(Any, self), asyncio.Event())
        self._app = EdgeApp(recorder, cast(Any, None))

    def submit(self, group: list[bytes], waiter: Any, gathered: bool = False) -> bool:
        self.lines += group[1:]
        waiter.on_durable(True)
        return True

    async def record(self, peer: str, tag: str, lines: Lines) -> Event:
        """Return the event of one request, which is sent twice to the fast path, as far as that takes it."""
        head = "".join(f"{name}: {value}\r\n" for name, value in [("Host", "t"), *lines])
        data = f"GET {tag} HTTP/1.1\r\n{head}\r\n".encode()
        plain = request_parser.parse_request(data) is not None
        event = await self._by_asgi(peer, tag, lines)
        for _ in range(2 if plain else 0):
            self.fast.lines.clear()
            (client,) = self.fast.ask(data, clients=[Client(peer)])
            assert not client.declined
            assert orjson.loads(self.fast.lines[0]) == event, (peer, data)
        assert plain or any(not value.strip() or value != value.strip() for _, value in lines), data
        return event

    async def _by_asgi(self, peer: str, tag: str, lines: Lines) -> Event:
        path, _, query = tag.partition("?")
        headers = [(name.lower().encode(), value.strip().encode()) for name, value in lines]
        scope = {"path": path, "query_string": query.encode(), "method": "GET", "client": (peer, 1), "headers": headers}

        async def send(_: Any) -> None: ...

        self.lines.clear()
        await self._app(scope, cast(Any, None), send)
        event: Event = orjson.loads(b"{%b}" % self.lines[0])
        return event


def expected(client: str | None, tag: str) -> tuple[str | None, list[str] | None]:
    """Return `ip` and `flags` of the event."""
    flags = ["address_unknown"] * (client is None) + ["ancost_invalid"] * ("ancost=x" in tag)
    return (None if client is None else truncate_address(client)), flags or None


async def check(ways: TwoWays, peer: str, lines: Lines, client: str | None) -> None:
    for tag in TAGS:
        event = await ways.record(peer, tag, lines)
        assert (event.get("ip"), event.get("flags")) == expected(client, tag), (peer, tag, lines)


@pytest.mark.parametrize("header", LIST_HEADERS)
async def test_every_form_in_every_place(header: str) -> None:
    ways = TwoWays(trusted_proxies=PROXIES, client_address_header=header)
    for _, node, client in NODES:
        for form in ("{}", "1.2.3.4, {}", "{}, 10.0.0.2", "garbage,{},10.0.0.2"):
            line = form.format(node)
            for peer in TRUSTED_PEERS[:1] if form != "{}" else TRUSTED_PEERS:
                await check(ways, peer, [(header, line)], client)
            await check(ways, OTHER_PEERS[0], [(header, line)], OTHER_PEERS[0])
        await check(ways, TRUSTED_PEERS[0], [(header, "1.2.3.4"), ("Accept", "*/*"), (header.lower(), node)], client)


async def test_every_form_in_forwarded() -> None:
    ways = TwoWays(trusted_proxies=PROXIES, client_address_header="Forwarded")
    for _, node, client in NODES:
        if (element := forwarded_element(node)) is None:
            continue
        for form in ("{}", "for=1.2.3.4;proto=http, {};proto=https", '{};by="a,b",for=10.0.0.2'):
            await check(ways, TRUSTED_PEERS[0], [("Forwarded", form.format(element))], client)
            await check(ways, OTHER_PEERS[0], [("Forwarded", form.format(element))], OTHER_PEERS[0])


@pytest.mark.parametrize("proxies", ["", PROXIES])
@pytest.mark.parametrize("peer", OTHER_PEERS)
async def test_peers_that_are_no_proxies(proxies: str, peer: str) -> None:
    ways = TwoWays(trusted_proxies=proxies)
    for lines in ([], [("X-Forwarded-For", "203.0.113.7")], [("Forwarded", "for=203.0.113.7")], [("Via", "1.1 a")]):
        await check(ways, peer, lines, peer)


KNOWN: Lines = [("X-Forwarded-For", "203.0.113.7")]
MIXED: list[tuple[Lines, str | None]] = [
    ([], TRUSTED_PEERS[0]),
    (KNOWN, "203.0.113.7"),
    ([*KNOWN, ("X-Forwarded-Proto", "https")], "203.0.113.7"),
    ([("X-Forwarded-Proto", "https")], None),
    ([*KNOWN, ("Via", "1.1 a")], "203.0.113.7"),
    ([("Via", "1.1 a")], None),
    ([*KNOWN, ("x-forwarded-for", "10.0.0.2")], "203.0.113.7"),
    ([("x-forwarded-for", "198.51.100.9"), *KNOWN], "203.0.113.7"),
    ([*KNOWN, ("x-forwarded-for", "198.51.100.9")], "198.51.100.9"),
    ([*KNOWN, ("X-Forwarded-For", "198.51.100.9")], "198.51.100.9"),
    ([("X-Forwarded-For", "198.51.100.9"), ("X-Forwarded-For", "10.0.0.2")], "198.51.100.9"),
    ([("X-Forwarded-For", "10.0.0.2")], "10.0.0.2"),
    ([("X-Forwarded-For", "unknown")], None),
    ([*KNOWN, ("X-FORWARDED-FOR", "unknown")], None),
    ([("x-forwarded-for", "203.0.113.7")], "203.0.113.7"),
]


@pytest.mark.parametrize("first", range(len(MIXED)))
async def test_what_is_remembered_of_one_request_does_not_answer_another(first: int) -> None:
    ways = TwoWays(trusted_proxies=PROXIES)
    for lines, client in (MIXED[first], *MIXED, MIXED[first]):
        for peer in OTHER_PEERS[:1]:
            await check(ways, peer, lines, peer)
        await check(ways, TRUSTED_PEERS[0], lines, client)
