"""The request batcher: remembered parts of requests mean what parsing them means, until that changes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from onebyone.edge.fastpath import batcher, request_parser
from onebyone.edge.tags.names import NAMES
from tests.edge.edge_process import tracker
from tests.edge.fastpath.batcher_harness import BatcherHarness, Client
from tests.edge.requests import impression
from tests.edge.tags.spellings import spellings

pytestmark = pytest.mark.anyio

LINES = st.sampled_from(
    [
        *(b"Host: t|host: t|User-Agent: a|User-Agent: b\xff|Accept: */*|Sec-GPC: 1|Sec-Purpose: prefetch").split(b"|"),
        *(b"Sec-Fetch-Dest: script|Connection: keep-alive|Connection: close|X-Forwarded-For: 8.8.8.8").split(b"|"),
        *(b"X-Forwarded-For: 1.1.1.1, 203.0.113.7|X-Forwarded-For: x|x-forwarded-for: 9.9.9.9").split(b"|"),
        *(b"X-Forwarded-For: 203.0.113.7|X-Forwarded-For: unknown|x-forwarded-for: 203.0.113.7|Via: a").split(b"|"),
        *(b"Content-Length: 0|X-A:b|X-A: Referer: c|referer: d|Referer: e|").split(b"|"),
    ]
)
PAGES = st.sampled_from(
    [b"https://news.example/1", b"https://news.example/2", b'q"', b"b\\", b"a b", b" ", b"", b"\xc3\xa9", b"\x7f"]
) | st.integers(1020, 1030).map(lambda length: b"p" * length)
TAGS = st.sampled_from(
    [
        *b"/imptr?id=531 /imptr?id=531&t=1 /imptr?id=531&t=2 /imptr?t=1&id=531 /imptr?id=9 /imptr?id=0531".split(),
        *b"/imptr?id=531&amp;t=1 /imptr?i%64=531 /imptr?ID=531 /imptr?amp;id=531&t=2".split(),
        *b"/clktr?id=531 /clktrb?id=531 /clktr?id=531&redir=https://a.example /IMPTR?id=531 /imptr?".split(),
    ]
)
VALUES = st.sampled_from(
    [
        *b"&cachebuster=1 &cachebuster=2 &cachebuster= &cachebuster=[CB] &cachebuster=%41 &cachebuster=1&x=2".split(),
        *b"&cachebuster=1&ancost=0.25 &cachebuster=1&ancost= &cachebuster=1&ancost=x &ancost=1&cachebuster=1".split(),
        *b"&cachebuster=1&ancost=0.25&x=1 &cachebuster=1&cachebuster=2 &cachebuster=1&ancost=0.1234567890123".split(),
        *b"&cachebuster=1&gdpr=1 &cachebuster=1&ancost=1&ancost=2 &cachebuster=1&redir=https://a.example".split(),
        *b"&amp;cachebuster=1 &cachebuster=1&amp;ancost=0.25 &cachebuster=1&an%63ost=0.25 &cachebuster=1&T=1".split(),
        *b"&amp;ancost=.5&cachebuster=1&ancost=0.25 &cachebuster=1&ancost=__COST__ &cachebuster=%n&ancost=0.25".split(),
        b"&cachebuster=" + b"c" * 64,
        b"&cachebuster=" + b"c" * 65,
        b"",
    ]
)


TRAILERS = st.sampled_from([b""] * 8 + [b"x", b"\r\n", b"X-Forwarded-For: 8.8.8.8\r\n", b"Referer: e\r\n"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(LINES, max_size=3))
    if draw(st.booleans()):
        lines.insert(draw(st.integers(0, len(lines))), b"Referer: " + draw(PAGES))
    version = draw(st.sampled_from([b" HTTP/1.1"] * 8 + [b" HTTP/1.0", b""]))
    head = b"GET " + draw(TAGS) + draw(VALUES) + version
    return b"\r\n".join([head, *lines, b"", b""]) + draw(TRAILERS)


def common_request(number: int, page: bytes = b"https://news.example/1") -> bytes:
    """Return a request whose parts are all remembered afterwards."""
    line = b"GET /imptr?id=531&t=2&cachebuster=%d HTTP/1.1\r\n" % number
    return line + b"Host: t\r\nReferer: " + page + b"\r\nUser-Agent: a\r\n\r\n"


def request_without_page(line: bytes) -> bytes:
    """Return a request without a page, and with one more header line."""
    return b"GET /imptr?id=531&cachebuster=1 HTTP/1.1\r\nHost: t\r\n" + line + b"User-Agent: a\r\n\r\n"


DIRECT = BatcherHarness()
PROXIED = BatcherHarness(trusted_proxies="203.0.113.0/24")


@pytest.mark.parametrize("harness", [DIRECT, PROXIED], ids=["direct", "proxied"])
@given(st.lists(requests(), min_size=1, max_size=12))
@example(
    [
        common_request(1, b"https://a.example/x") + common_request(2),
        common_request(1),
        common_request(1) + common_request(2),
    ]
)
@example(
    [
        request_without_page(b""),
        request_without_page(b"X-Forwarded-For: 8.8.8.8\r\n"),
        request_without_page(b"") + b"X-Forwarded-For: 8.8.8.8\r\n",
    ]
)
@example(
    [
        common_request(1)[:-2],
        common_request(1),
        common_request(1)[:-2],
        common_request(1)[:-4],
        common_request(1) + b"\r\n",
    ]
)
def test_remembered_parts_mean_what_parsing_means(harness: BatcherHarness, several: list[bytes]) -> None:
    for data in several + several:
        assert harness.outcome(data) == harness.parsed_outcome(data)


@pytest.mark.parametrize("name", sorted(NAMES), ids=bytes.decode)
def test_spelling_of_a_name_is_never_part_of_a_known_value(name: bytes) -> None:
    usual = common_request(1).replace(b"&cachebuster=1", b"&cachebuster=1&ancost=0.25")
    DIRECT.ask(common_request(1), usual)
    for spelling in (name.upper(), *spellings(name)):
        for value in (b"1", b"0.25", b"%n"):
            pair = b"&" + spelling + b"=" + value
            for place in (b"&t=2", b"&cachebuster=1", b"&ancost=0.25"):
                data = usual.replace(place, place + pair)
                assert [DIRECT.outcome(data) for _ in range(2)] == [DIRECT.parsed_outcome(data)] * 2


def test_known_parts_are_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = BatcherHarness()
    harness.ask(common_request(1))
    monkeypatch.setattr(batcher.RequestBatcher, "_parse_and_decide", None)
    clients = harness.ask(common_request(2, b"https://other.example/"), common_request(3), common_request(4))
    assert [orjson.loads(line)["cb"] for line in harness.lines] == ["1", "2", "3", "4"]
    assert all(client.idle_deadline == 1075.0 for client in clients)


@pytest.mark.parametrize(
    "more", [b"Sec-GPC: 1\r\n", b"X-Forwarded-For: 198.51.100.1\r\n", b"Sec-Fetch-Dest: script\r\n"]
)
def test_known_headers_are_not_parsed_again(more: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = BatcherHarness(trusted_proxies="203.0.113.0/24")
    data = common_request(1).replace(b"User-Agent", more + b"User-Agent").replace(b"&t=2", b"")
    before = harness.outcome(data)
    monkeypatch.setattr(batcher.RequestBatcher, "_parse_and_decide", None)
    assert harness.outcome(data) == before


def test_fault_in_one_request_spares_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = BatcherHarness()
    harness.ask(common_request(1))
    monkeypatch.setattr(request_parser, "parse_request", None)
    clients = harness.ask(common_request(2), b"POST / HTTP/1.1\r\n\r\n", common_request(3))
    assert [(client.text.count(b"GIF89a"), len(client.declined)) for client in clients] == [(1, 0), (0, 1), (1, 0)]


def test_each_request_of_a_batch_gets_its_own_response() -> None:
    harness = BatcherHarness()
    script, click = (
        common_request(2).replace(b"t=2", b"t=1"),
        common_request(3).replace(b"/imptr?id=531&t=2", b"/clktr?id=531"),
    )
    unknown = common_request(4).replace(b"id=531", b"id=9")
    for _ in range(2):
        clients = harness.ask(common_request(1), script, click, unknown, b"POST / HTTP/1.1\r\n\r\n", common_request(5))
        texts = [client.text for client in clients]
        assert [b"GIF89a" in text for text in texts] == [True, False, False, False, False, True]
        assert b"content-type: application/javascript" in texts[1]
        assert b"location: https://landing.example/" in texts[2]
        assert [len(client.declined) for client in clients] == [0, 0, 0, 1, 1, 0]
    assert harness.groups == [4, 4]


async def test_changed_record_is_not_answered_from_memory() -> None:
    harness = BatcherHarness()
    data = common_request(1).replace(b"/imptr?id=531&t=2", b"/clktr?id=531")

    def location() -> bytes | None:
        return harness.ask(data)[0].location

    changes: list[Callable[[], None]] = [
        lambda: harness.lookups.clicks.invalidate(531),
        harness.lookups.invalidate_all,
        # Four other records evict this one.
        lambda: harness.publish(*(tracker("clk", number) for number in range(1000, 1004))),
    ]
    for changed in changes:
        harness.publish(tracker("clk", 531, click_url="https://landing.example/old"))
        assert [location(), location()] == [b"https://landing.example/old"] * 2
        changed()
        assert location() is None, "the ASGI application looks the record up"
        harness.publish(tracker("clk", 531, click_url="https://landing.example/new"))
        assert [location(), location()] == [b"https://landing.example/new"] * 2


@pytest.mark.parametrize("last", [b"", b"Connection: close\r\n"], ids=["keep-alive", "close"])
def test_fault_in_one_connection_spares_the_others(last: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = BatcherHarness()
    data = common_request(1).replace(b"User-Agent", last + b"User-Agent")
    harness.ask(data)
    clients = [Client(), Client(), Client()]
    monkeypatch.setattr(clients[1], "on_written", None)
    os.close(clients[1]._end)
    clients[1]._end = os.open(os.devnull, os.O_RDONLY)
    harness.ask(*[data] * 3, clients=clients)
    assert [client.text.count(b"GIF89a") for client in clients] == [1, 0, 1]
    assert clients[1].closed


def test_failing_render_closes_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = BatcherHarness()
    harness.ask(common_request(1))
    monkeypatch.setattr(harness.responses, "render_all", None)
    assert [client.closed for client in harness.ask(common_request(2), common_request(3))] == [True, True]


def test_empty_read_closes_the_connection() -> None:
    harness = BatcherHarness()
    clients = harness.ask(common_request(1), b"", common_request(2))
    assert [client.closed for client in clients] == [False, True, False]
    assert harness.groups == [2]


def test_draining_process_declines() -> None:
    harness = BatcherHarness()
    harness.recorder.draining.set()
    (client,) = harness.ask(common_request(1))
    assert client.declined == [common_request(1)]


def test_loop_pauses_for_several_clients_and_not_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(batcher, "PAUSE_WITHIN_SECONDS", 5.0)
    monkeypatch.setattr(time, "sleep", pauses.append)
    harness = BatcherHarness()

    def batch(several: int, new: bool = False) -> int:
        pauses.clear()
        paused = harness.batcher.pause_for_more(several)
        harness.ask(*[impression(1)] * several, new=new)
        assert pauses == [batcher.PAUSE_SECONDS] * paused
        return len(pauses)

    assert [batch(1), batch(1), batch(1)] == [0, 0, 0], "a single client is answered immediately"
    assert [batch(2), batch(2), batch(1), batch(1)] == [0, 1, 1, 0]
    assert [batch(1, new=True), batch(1)] == [0, 1], "other clients connect"
    assert [batch(batcher.ENOUGH_READY), batch(batcher.ENOUGH_READY)] == [0, 0], "enough requests are ready"
