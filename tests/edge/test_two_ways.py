"""Random and hostile requests, byte for byte, to two edges: one with the fast path and one without.

Their responses are equal except for the date, and their events are equal except for id and time.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onebyone.contracts.configuration import MemberRecord
from onebyone.contracts.signed_links import SigningKey, sign
from tests.edge.edge_process import EdgeProcess, Publisher, shipped, tracker
from tests.support.tiers import starts_processes
from tests.support.valkey import start_valkey
from tests.support.waiting import wait_until

CASES = 400
QUIET_SECONDS = 0.08
"""An edge that sends nothing for this long is waiting for the rest of the request."""
GAP_SECONDS = 0.003
"""Pause between the two halves of a request, so that the edge reads them separately."""
KEY = SigningKey("k1", "secret")
LAST = b"GET /livez HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"

Message = list[bytes]
"""A sequence of writes."""


class Pair(NamedTuple):
    """The two edges, each with its own stream server."""

    fast: EdgeProcess
    asgi: EdgeProcess
    events: tuple[Any, Any]


@pytest.fixture(scope="module")
@starts_processes
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    servers, edges = [], []
    for edge_http in ("fast", "asgi"):
        folder: Path = tmp_path_factory.mktemp(edge_http)
        server = start_valkey(folder / "valkey")
        servers.append(server)
        Publisher(server).publish(
            MemberRecord(
                7, redirect_domains=("partner.example",), click_hosts=("landing.example", "xn--mnchen-3ya.example")
            ),
            tracker("imp", 531),
            tracker("imp", 532, active=False),
            tracker("clk", 1, click_url="https://landing.example/offer"),
            tracker("clk", 3),
        )
        edge = EdgeProcess(folder / "data", server.url, edge_http=edge_http, trusted_proxies="127.0.0.0/8")
        edge.start()
        edges.append(edge)
        for path in ("/imptr?id=531", "/imptr?id=532", "/clktr?id=1&redir=https://landing.example/", "/clktr?id=3"):
            edge.get(path)
    yield Pair(edges[0], edges[1], (servers[0].client(), servers[1].client()))
    for edge in edges:
        edge.stop()
        edge.listener.close()
    for server in servers:
        server.remove()


def weighted(usual: Any, *odd: Any) -> st.SearchStrategy[Any]:
    """Draw mostly the usual value: a request that is odd in every part is refused by both edges and proves little."""
    return st.sampled_from([usual] * (12 * len(odd)) + [*odd])


VALUES = st.one_of(
    st.sampled_from(
        [
            *(b"531", b"1", b"2", b"0.25", b"[CB]", b"%5BCB%5D", b"${X}", b"%%X%%", b"{x}", b"", b"a%20b", b"%ff"),
            *(b"%n", b"%ebuy!", b"__TIMESTAMP__", b"*|UNIQID|*", b"$CB", b"[timestamp]?", b"%255BCB%255D", b"5%2C3"),
            *(b"INSERT_RANDOM_NUMBER_HERE", b"1YYN"),
        ]
    ),
    st.binary(min_size=1, max_size=6),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20).map(str.encode),
)
NAMES = st.sampled_from(
    [
        *(
            b"cachebuster",
            b"ancost",
            b"t",
            b"gdpr",
            b"gdpr_consent",
            b"us_privacy",
            b"consent",
            b"id",
            b"x",
            b"",
            b"CB",
        ),
        *(b"amp;cachebuster", b"amp;ancost", b"#38;ancost", b"amp%3Bt", b"an%63ost", b"us%5Fprivacy", b"Ancost"),
        *(b"cachebuste%72", b"CACHEBUSTER", b"amp;amp;consent", b"%69d"),
    ]
)


def signed_targets() -> Iterator[bytes]:
    """Yield signed targets: valid, expired and invalid ones, for the tracker 1 and for no tracker at all."""
    target = b"https://stranger.example/?a=1"
    for tracker_id, expiry in ((1, 4_000_000_000), (1, 1_000_000_000), (2, 4_000_000_000)):
        sig = sign(KEY.secret, tracker_id, target, expiry)
        yield b"&sig=%b&exp=%d&kid=k1&redir=%b" % (sig, expiry, target)


TARGETS = st.sampled_from(
    [
        b"",
        b"&redir=https://landing.example/a?b=c&d=e",
        b"&redir=https%3A%2F%2Fpartner.example%2F%3Fa%3D1",
        "&redir=https://münchen.example:443/ä".encode(),
        b"&redir=https%3A%2F%2Fm%C3%BCnchen.example%2Fa%2520b",
        *signed_targets(),
        b"&redir=https://stranger.example/'\"<>",
        b"&redir=javascript:alert(1)",
        b"&redir=[R]",
        b"&amp;redir=https://landing.example/a?b=c&d=e",
        b"&%72edir=https%3A%2F%2Fpartner.example%2F",
        b"&redir=%%CLICK_URL_UNESC%%https://landing.example/?a=b&ancost=9",
        b"&redir=",
        b"#fragment",
    ]
)
HEADERS = st.sampled_from(
    [
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64)",
        b"user-agent: other",
        b"USER-AGENT: \xff\xc3\xa9\t\x22quoted\x22",
        b"Referer: https://news.example/a?b=c",
        b"rEFERER: x",
        b"Accept: */*",
        b"Cookie: a=b; c=d",
        b"Sec-GPC: 1",
        b"sec-gpc: 0",
        b"Sec-Fetch-Dest: script",
        b"Sec-Purpose: prefetch;prerender",
        b"Sec-Purpose: prefetch",
        b"Purpose: Prefetch",
        b"X-Purpose: preview",
        b"Sec-Fetch-Dest: iframe",
        b"sec-fetch-site: cross-site",
        b"Sec-Fetch-Site: same-origin",
        b"X-Moz: other",
        b"X-Forwarded-For: 203.0.113.9, 10.0.0.1",
        b"X-Forwarded-For: [2001:db8::9]:51234",
        b"x-forwarded-for: 203.0.113.9:51234,unknown",
        b"Forwarded: for=203.0.113.9",
        b"Via: 1.1 proxy",
        b"Connection: keep-alive",
        b"Connection: Keep-Alive",
        b"X-Long: " + b"a" * 3000,
    ]
)
HOSTILE = st.sampled_from(
    [
        b"Connection: close",
        b"Connection: keep-alive, close",
        b"Connection: upgrade\r\nUpgrade: websocket",
        b"Upgrade: h2c",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nContent-Length: 61",
        b"Connection: Upgrade\r\nUpgrade: made-up/1\r\nTransfer-Encoding: chunked",
        b"Host: t",
        b"Proxy-Connection: close",
        b"Content-Length: 0",
        b"Content-Length: 5",
        b"content-length: 5",
        b"Content-Length: x",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding : chunked",
        b"Expect: 100-continue",
        b"X-Folded: a\r\n b",
        b"X-Bare: a\nX-Other: b",
        b"X-Bare: a\rX-Other: b",
        b"X-Control: a\x00b",
        b"X-Delete: a\x7fb",
        b"X-Empty:",
        b"X-Blank: ",
        b"X-Tight:b",
        b"X-Padded: \t b \t",
        b"X Blank: b",
        b"X-Late : b",
        b": nameless",
        b"nocolon",
        b"X_Under!: b",
        b"X-\xff: b",
        b"X-Huge: " + b"a" * 20_000,
    ]
)
INNER = b"GET /imptr?id=531&cachebuster=in-the-body HTTP/1.1\r\nHost: t\r\n\r\n"
BODIES = st.sampled_from([b"", b"", b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"\r\n", b"\r\n\r\n", INNER])


@st.composite
def requests(draw: Any) -> bytes:
    """Draw one request, well-formed or nearly so."""
    path = draw(
        weighted(
            *(b"/imptr", b"/clktr", b"/clktrb", b"/imptr/", b"/IMPTR", b"/%69mptr", b"http://t/imptr", b"/x"),
            *(b"//imptr", b"/clktr/", b"/a/clktr", b"/imptr\xff", b"/imptr&id=531", b"/imptr//"),
        )
    )
    number = draw(weighted(b"531" if b"/imp" in path else b"1", b"532", b"3", b"9", b"0", b"", b"x", b"0531"))
    pairs = draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    query = b"&".join([b"id=" + number, *(b"=".join(pair) for pair in pairs)]) + draw(TARGETS)
    line = b" ".join(
        [
            draw(weighted(b"GET", b"HEAD", b"POST", b"get", b"OPTIONS")),
            path + draw(weighted(b"?", b"", b"??")) + query,
            draw(weighted(b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.1 ")),
        ]
    )
    headers = [draw(weighted(b"Host: t", b"Host: a b", b"X: y", b"Host:")), *draw(st.lists(HEADERS, max_size=5))]
    body = b""
    if draw(weighted(False, True)):
        headers.insert(draw(st.integers(0, len(headers))), draw(HOSTILE))
        body = draw(BODIES)
    end: bytes = draw(weighted(b"\r\n", b"\n"))
    lead: bytes = draw(weighted(b"", b"\r\n", b"\n"))
    return lead + end.join([line, *headers, b"", b""]) + body


@st.composite
def messages(draw: Any) -> Message:
    """Draw a request in one write or two, or a few requests in one write."""
    form = draw(weighted("whole", "split", "pipelined"))
    if form == "pipelined":
        return [b"".join(draw(st.lists(requests(), min_size=2, max_size=3)))]
    request: bytes = draw(requests())
    if form == "whole" or len(request) < 2:
        return [request]
    cut = draw(st.integers(1, len(request) - 1))
    return [request[:cut], request[cut:]]


def talk(edge: EdgeProcess, case: list[Message]) -> list[bytes]:
    """Return the responses of an edge, message by message, on one connection, without dates."""
    responses = []
    with socket.create_connection(edge.listener.getsockname(), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for message in [*case, [LAST]]:
            try:
                for number, part in enumerate(message):
                    if number:
                        time.sleep(GAP_SECONDS)
                    connection.sendall(part)
                response = listen_to_the_end(connection) if message[-1] is LAST else listen(connection)
            except OSError as error:
                response = type(error).__name__.encode()
            responses.append(re.sub(rb"\r\ndate: [^\r]+", b"", response))
    return responses


def listen(connection: socket.socket) -> bytes:
    """Return what arrives until a response is complete, the connection ends, or nothing more arrives."""
    response = b""
    connection.settimeout(QUIET_SECONDS)
    try:
        while chunk := connection.recv(65536):
            response += chunk
            head, blank_line, body = response.partition(b"\r\n\r\n")
            length = re.search(rb"\r\ncontent-length: ([0-9]+)", head)
            if blank_line and length and len(body) >= int(length[1]) and b"HEAD" not in response:
                # Another response to the same write may follow immediately.
                connection.settimeout(GAP_SECONDS)
    except TimeoutError:
        pass
    return response


def listen_to_the_end(connection: socket.socket) -> bytes:
    """Return what arrives until the edge closes the connection: a client that leaves early takes requests with it."""
    response = b""
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(20)
    while chunk := connection.recv(65536):
        response += chunk
    return response


seen = {"cases": 0, "responses": 0, "recorded": 0, "kept": 0}
KEPT = re.compile(rb"x-onebyone: ignored; reason=(?:inactive|head|prefetch|prerender)\r")


@settings(max_examples=CASES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=st.lists(messages(), min_size=1, max_size=3))
def test_both_paths_answer_with_the_same_bytes(pair: Pair, case: list[Message]) -> None:
    # Where uvicorn refuses a second request before it has answered the first, the scheduler decides which response
    # comes first; then the case is tried again. A real difference between the paths shows every time.
    for _ in range(12):
        responses = talk(pair.fast, case), talk(pair.asgi, case)
        if responses[0] == responses[1]:
            break
    seen["cases"] += 1
    seen["responses"] += sum(map(len, case))
    seen["recorded"] += sum(response.count(b"x-onebyone: recorded") for response in responses[0])
    seen["kept"] += sum(len(KEPT.findall(response)) for response in responses[0])
    assert responses[0] == responses[1]


TAIL = b" HTTP/1.1\r\nHost: t\r\n\r\n"
OFFER = b"Host: t\r\nConnection: Upgrade\r\nUpgrade: %b\r\nContent-Length: %d\r\n\r\n"
BAD_REQUEST, BAD_PATH = b"ignored; reason=bad_request", b"ignored; reason=bad_path"
LANDED = b"https://landing.example/offer"
ROWS: list[tuple[str, list[bytes], list[tuple[bytes, bytes, bytes]]]] = [
    # name, writes, and of each response: status, X-OneByOne, and the content type or the target
    ("UTF-8", [b"GET /clktr?id=1&cachebuster=caf\xc3\xa9" + TAIL], [(b"302", b"recorded", LANDED)]),
    ("Latin-1", [b"GET /clktr?id=1&cachebuster=caf\xe9" + TAIL], [(b"302", b"recorded", LANDED)]),
    ("blank", [b"GET /clktr?id=1&cachebuster=a b" + TAIL], [(b"302", b"recorded", LANDED)]),
    ("tab", [b"GET /imptr?id=531&cachebuster=a\tb" + TAIL], [(b"200", b"recorded", b"image/gif")]),
    ("control byte in a query", [b"GET /imptr?id=531&t=1&x=\x01" + TAIL], [(b"400", BAD_REQUEST, b"application/jav")]),
    ("control byte in a click", [b"GET /clktr?id=1&x=\x7f" + TAIL], [(b"400", BAD_REQUEST, b"text/html")]),
    (
        "control byte in a header",
        [b"GET /clktr?id=1" + TAIL[:-2] + b"X: a\x01\x00\x7fb\r\n\r\n"],
        [(b"302", b"recorded", LANDED)],
    ),
    ("slash after the path", [b"GET /clktr/?id=1" + TAIL], [(b"302", b"recorded", LANDED)]),
    ("two slashes", [b"GET //imptr?id=531" + TAIL], [(b"200", BAD_PATH, b"image/gif")]),
    ("other case", [b"GET /Imptr?id=531&t=1" + TAIL], [(b"200", BAD_PATH, b"application/javascript")]),
    ("prefix", [b"GET /tags/clktr?id=1" + TAIL], [(b"404", BAD_PATH, b"text/html")]),
    ("no question mark", [b"GET /imptr&id=531" + TAIL], [(b"200", BAD_PATH, b"image/gif")]),
    ("encoded question mark", [b"GET /clktrb%3Fid=1" + TAIL], [(b"404", BAD_PATH, b"text/html")]),
    ("no Host", [b"GET /imptr?id=531 HTTP/1.1\r\n\r\n"], [(b"400", BAD_REQUEST, b"image/gif")]),
    ("two Hosts", [b"GET /clktr?id=1" + TAIL[:-2] + b"Host: t\r\n\r\n"], [(b"400", BAD_REQUEST, b"text/html")]),
    ("no Host in HTTP/1.0", [b"GET /imptr?id=531 HTTP/1.0\r\n\r\n"], [(b"200", b"recorded", b"image/gif")]),
    (
        "folded header",
        [b"GET /imptr?id=531" + TAIL[:-2] + b"X: a\r\n b\r\n\r\n"],
        [(b"400", BAD_REQUEST, b"image/gif")],
    ),
    ("long head", [b"GET /imptr?id=531&x=" + b"a" * 70_000 + TAIL], [(b"431", BAD_REQUEST, b"image/gif")]),
    ("garbage", [b"garbage" + TAIL], [(b"400", b"", b"text/plain")]),
    (
        "garbage after a request",
        [b"GET /imptr?id=531&cachebuster=1" + TAIL + b"\x16\x03\x01garbage"],
        [(b"200", b"recorded", b"image/gif"), (b"400", b"", b"text/plain")],
    ),
    (
        "a malformed tag after two requests",
        [b"GET /imptr?id=531&cachebuster=1" + TAIL + b"GET /clktr?id=1" + TAIL + b"GET /imptr?id=531 HTTP/1.1\r\n\r\n"],
        [(b"200", b"recorded", b"image/gif"), (b"302", b"recorded", LANDED), (b"400", BAD_REQUEST, b"image/gif")],
    ),
    *(
        (
            f"{protocol} {'late' if late else 'whole'}",
            [head, INNER + after] if late else [head + INNER + after],
            [(b"405", b"ignored; reason=method", b"text/plain"), *[(b"302", b"recorded", LANDED)] * bool(after)],
        )
        for protocol in ("h2c", "websocket", "TLS/1.0", "coffee")
        for late in (False, True)
        for head in [b"POST /imptr?id=531 HTTP/1.1\r\n" + OFFER % (protocol.encode(), len(INNER))]
        for after in (b"", b"GET /clktr?id=1&cachebuster=after" + TAIL)
    ),
    (
        "GET with an offer and a late body",
        [b"GET /imptr?id=531 HTTP/1.1\r\n" + OFFER % (b"h2c", len(INNER)), INNER],
        [(b"200", b"recorded", b"image/gif")],
    ),
]


@pytest.mark.parametrize(("writes", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_odd_requests(pair: Pair, writes: list[bytes], expected: list[tuple[bytes, bytes, bytes]]) -> None:
    fast, asgi = (converse(edge, writes, len(expected)) for edge in (pair.fast, pair.asgi))
    responses = fast.split(b"HTTP/1.1 ")[1:]
    assert len(responses) == len(expected) + (b"connection: close" not in responses[len(expected) - 1])
    for response, (status, verdict, kind) in zip(responses, expected, strict=False):
        assert response.startswith(status)
        assert (b"\r\nx-onebyone: " + verdict + b"\r\n" in response) == bool(verdict)
        assert b": " + kind in response
        if verdict in (BAD_REQUEST, b""):
            assert b"\r\nconnection: close\r\n" in response
    assert fast == asgi
    seen["recorded"] += fast.count(b"x-onebyone: recorded")


def converse(edge: EdgeProcess, writes: list[bytes], responses: int) -> bytes:
    """Return so many responses to the writes, and, unless the last one closes the connection, to one more request."""
    received = b""
    with socket.create_connection(edge.listener.getsockname(), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number, part in enumerate(writes):
            time.sleep(GAP_SECONDS * bool(number))
            connection.sendall(part)
        while received.count(b"\r\n\r\n") < responses and (chunk := connection.recv(65536)):
            received += chunk
        if b"connection: close" not in received:
            connection.sendall(LAST)
        while chunk := connection.recv(65536):
            received += chunk
    return re.sub(rb"\r\ndate: [^\r]+", b"", received)


def test_both_paths_recorded_the_same_events(pair: Pair) -> None:
    # The tests above may have run in another process, with edges of their own.
    for path, kind in (("/imptr?id=531&cachebuster=last", "recorded"), ("/imptr?id=532", "kept")):
        for edge in (pair.fast, pair.asgi):
            edge.get(path)
        seen[kind] += 1
    for edge in (pair.fast, pair.asgi):
        wait_until(partial(is_shipped, edge), "all events are shipped", seconds=60)
    fast, asgi = ([without_id_and_time(event) for event in shipped(client)] for client in pair.events)
    print(
        f"{seen['cases']} cases, {seen['responses']} writes, {seen['recorded']} recorded, {seen['kept']} kept, "
        f"{len(fast)} events"
    )
    assert len(fast) >= seen["recorded"] + seen["kept"] > seen["recorded"]
    assert fast == asgi


def is_shipped(edge: EdgeProcess) -> bool:
    """Return whether the edge keeps no batch that it has not sent to the stream."""
    sink = edge.get("/sinkz").json()
    return bool(sink["stream_takes_events"]) and sink["unshipped_batches"] == 0


def without_id_and_time(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event without id and time."""
    return {name: value for name, value in event.items() if name not in ("id", "ts")}
