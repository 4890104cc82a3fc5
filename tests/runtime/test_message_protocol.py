"""What a connection makes of the bytes that it reads, however they are cut: requests, bodies and answers."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Sequence
from typing import Any, cast

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from uvicorn.server import ServerState

from onebyone.runtime import bounded_protocol, message_protocol
from onebyone.runtime.bounded_protocol import BoundedProtocol
from onebyone.runtime.refusals import REFUSALS, Refusals
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

HOST = b"Host: t\r\n"
NEXT = b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n"
INNER = b"GET /inner HTTP/1.1\r\n" + HOST + b"\r\n"
"""A body that looks like a request."""
OFFERS = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "websocket": b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n",
    "TLS": b"connection: keep-alive, Upgrade\r\nupgrade: TLS/1.0, HTTP/1.1\r\n",
    "several": b"Connection: Upgrade\r\nUpgrade: h2c\r\nUPGRADE: websocket\r\n",
    "made up": b"Connection: upgrade\r\nUpgrade: \x01coffee/9\xff\r\n",
    "empty": b"Connection: Upgrade\r\nUpgrade:\r\n",
    "without Connection": b"Upgrade: h2c\r\n",
    "Connection alone": b"Connection: Upgrade\r\n",
    "none": b"",
}
BODIES = {
    "no body": (b"", b"", b""),
    "length": (b"Content-Length: %d\r\n" % len(INNER), INNER, INNER),
    "length 0": (b"Content-Length: 0\r\n", b"", b""),
    "chunked": (
        b"Transfer-Encoding: chunked\r\n",
        b"%X;x=y\r\n%b\r\n1\r\n\r\r\n0\r\nX-Trailer: 1\r\n\r\n" % (len(INNER), INNER),
        INNER + b"\r",
    ),
}


class Transport(asyncio.Transport):
    """Keeps what the protocol writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.ended = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Connection:
    """A connection to an application that answers each request with its method, path, query and body."""

    def __init__(self, reads_bodies: bool = True, refusals: Refusals | None = None) -> None:
        self.reads_bodies = reads_bodies
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.scopes: list[Any] = []
        config = uvicorn.Config(cast(Any, self._answer), interface="asgi3", lifespan="off", ws="none", log_config=None)
        config.load()
        self.protocol = BoundedProtocol(config, ServerState(), {REFUSALS: refusals or Refusals()})
        self.transport = Transport()
        self.protocol.connection_made(self.transport)
        self.protocol.client = ("192.0.2.77", 5)

    async def send(self, *parts: bytes) -> bytes:
        """Send the parts one after the other; return what was written since the last call."""
        for part in parts:
            self.protocol.data_received(part)
            for _ in range(30):
                await asyncio.sleep(0)
        written, self.transport.written = self.transport.written, b""
        return written

    def end(self) -> None:
        """Disconnect."""
        self.protocol.connection_lost(None)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await self.may_answer.wait()
        body = b""
        while self.reads_bodies:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        seen = b"<%b %b %b>" % (scope["method"].encode(), scope["raw_path"] + b"?" + scope["query_string"], body)
        headers = [(b"content-length", b"%d" % len(seen))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": seen})


def cuts(data: bytes, head: int) -> Sequence[tuple[bytes, ...]]:
    """Return the ways in which the data arrives: whole, in two parts (the body late, say), byte by byte."""
    places = sorted(
        {1, head // 2, head - 3, head - 2, head - 1, head, head + 1, head + 9, len(data) - 2, len(data) - 1}
    )
    return [
        (data,),
        *((data[:place], data[place:]) for place in places if 0 < place < len(data)),
        tuple(data[place : place + 1] for place in range(len(data))),
    ]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("reads_bodies", [True, False], ids=["body read", "body ignored"])
async def test_an_offer_to_upgrade_is_ignored(
    offer: str, body: str, reads_bodies: bool, caplog: pytest.LogCaptureFixture
) -> None:
    framing, sent, expected = BODIES[body]
    for method, successors in ((b"GET", 2), (b"POST", 0)):
        head = method + b" /first?id=1 HTTP/1.1\r\n" + HOST + OFFERS[offer] + framing + b"\r\n"
        expected_answers = [b"<%b /first?id=1 %b>" % (method, expected if reads_bodies else b"")]
        expected_answers += [b"<GET /next? >"] * successors
        for parts in cuts(head + sent + NEXT * successors, len(head)):
            connection = Connection(reads_bodies)
            with capture_logs() as lines:
                written = await connection.send(*parts)
            answers = re.findall(rb"<[^>]*>", written)
            assert answers == expected_answers, parts
            assert written.count(b" 200 OK") == len(expected_answers)
            assert not connection.transport.closed
            assert connection.transport.reading
            assert (lines, caplog.records) == ([], [])
            assert not any(name == b"x-trailer" for scope in connection.scopes for name, _ in scope["headers"])
            connection.end()


@pytest.mark.parametrize(
    ("malformed", "status"),
    [
        (b"GET /bad HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"GET /bad HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", b"400 Bad Request"),
        (b"GET /b\xffad HTTP/1.1\r\nHost: a\r\n\r\n", b"400 Bad Request"),
        (b"GET /bad HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", b"400 Bad Request"),
        (b"FOO /bad HTTP/1.1\r\nHost: a\r\n\r\n", b"400 Bad Request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400 Bad Request"),
        (b"CONNECT t:1 HTTP/1.1\r\nHost: t\r\n\r\n", b"400 Bad Request"),
        (
            b"POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"400 Bad Request",
        ),
        (b"\x16\x03\x01\x02\x00", b"400 Bad Request"),
        (b"garbage", b"400 Bad Request"),
        (b"GET /bad?" + b"a" * 70_000, b"431 Request Header Fields Too Large"),
    ],
)
@pytest.mark.parametrize("before", [0, 2])
async def test_a_malformed_request_is_refused_after_the_answers_to_those_before_it(
    malformed: bytes, status: bytes, before: int, caplog: pytest.LogCaptureFixture
) -> None:
    connection = Connection()
    with capture_logs() as lines:
        written = await connection.send(NEXT * before + malformed + NEXT)
    *answers, refusal = written.split(b"HTTP/1.1 ")[1:]
    assert [answer.endswith(b"<GET /next? >") for answer in answers] == [True] * before
    assert refusal.startswith(status)
    assert b"\r\nconnection: close\r\n" in refusal
    assert connection.transport.ended
    assert len(connection.scopes) == before
    assert [line["event"] for line in lines] == ["malformed request refused"]
    assert caplog.records == []
    connection.end()


async def test_what_follows_a_malformed_request_is_dropped_until_the_connection_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(message_protocol, "LINGER_SECONDS", 0.05)
    connection = Connection()
    assert (await connection.send(b"garbage")).startswith(b"HTTP/1.1 400 ")
    assert await connection.send(NEXT, NEXT) == b""
    assert (connection.transport.reading, connection.transport.closed) == (True, False)
    await eventually(lambda: connection.transport.closed, "the connection is closed", 5)
    connection.end()


async def test_an_incomplete_head_after_a_request_is_refused_by_its_own_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocol, "HEAD_SECONDS", 0.05)
    connection = Connection()
    with capture_logs() as lines:
        assert b"<GET /next? >" in await connection.send(NEXT + b"GET /half?a HTTP/1.1\r\nHo")
        await eventually(lambda: connection.transport.ended, "the request is refused", 5)
    assert connection.transport.written.startswith(b"HTTP/1.1 408 ")
    assert [(line["path"], line["fault"]) for line in lines] == [("/half", "head incomplete")]
    connection.end()


async def test_a_connection_is_read_while_a_complete_request_is_being_answered() -> None:
    connection = Connection()
    connection.may_answer.clear()
    await connection.send(NEXT)
    assert connection.transport.reading, "otherwise nobody notices that the client disconnects"
    connection.may_answer.set()
    assert b"<GET /next? >" in await connection.send(b"")
    connection.end()


async def test_one_line_tells_of_many_malformed_requests() -> None:
    now = [0.0]
    refusals = Refusals(lambda: now[0])
    with capture_logs() as lines:
        for now[0] in (0.0, 1.0, 9.0, 11.0):
            connection = Connection(refusals=refusals)
            await connection.send(b"GET /" + b"a" * 200 + b" HTTP/1.1\r\n\r\n")
            connection.end()
    assert [(line["unlogged"], line["peer"], len(line["path"])) for line in lines] == [
        (0, "192.0.2.0", 80),
        (2, "192.0.2.0", 80),
    ]


@pytest.mark.parametrize("chunk", [b"x\r\n", b"5\r\nhelloX\r\n", b"-1\r\n", b"0\r\nbad trailer\r\n\r\n"])
async def test_a_broken_body_is_refused_if_the_application_asks_for_it(chunk: bytes) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    for reads_bodies, answer in ((True, b"HTTP/1.1 400 "), (False, b"HTTP/1.1 200 ")):
        for parts in ((head + chunk + NEXT,), (head, chunk + NEXT)):
            connection = Connection(reads_bodies)
            written = await connection.send(*parts)
            assert written.startswith(answer)
            assert written.count(b"HTTP/1.1 ") == 1
            assert len(connection.scopes) == 1
            assert connection.transport.ended == reads_bodies != connection.transport.closed
            connection.end()


async def test_what_is_sent_ahead_waits_as_bytes() -> None:
    connection = Connection()
    connection.may_answer.clear()
    await connection.send(NEXT * 1000)
    assert len(connection.scopes) == 1
    assert not connection.transport.reading
    connection.may_answer.set()
    written = b""
    for _ in range(200):
        written += await connection.send(b"")
    assert written.count(b"<GET /next? >") == 1000
    assert connection.transport.reading
    connection.end()


EXPECTING = b"POST /a HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\n"


@pytest.mark.parametrize("framing", [b"Content-Length: %d\r\n" % len(NEXT), b"Transfer-Encoding: chunked\r\n"])
async def test_a_request_after_a_body_that_was_never_invited_is_not_read_as_that_body(framing: bytes) -> None:
    connection = Connection(reads_bodies=False)
    written = await connection.send(EXPECTING + framing + b"\r\n", NEXT)
    assert written.count(b"HTTP/1.1 200 ") == written.count(b"HTTP/1.1 ") == 1
    assert b"\r\nconnection: close\r\n" in written
    assert connection.transport.closed
    connection.end()


@pytest.mark.parametrize("parts", [(b"hello" + NEXT,), (b"hello", NEXT)])
async def test_a_body_that_is_invited_or_comes_uninvited_keeps_the_connection(parts: tuple[bytes, ...]) -> None:
    head = EXPECTING + b"Content-Length: 5\r\n\r\n"
    whole = head + parts[0]
    for reads_bodies, sent in ((True, (head, *parts)), (True, (whole, *parts[1:])), (False, (whole,))):
        connection = Connection(reads_bodies)
        written = await connection.send(*sent, b"" if NEXT in b"".join(sent) else NEXT)
        assert written.count(b"HTTP/1.1 200 ") == 2
        assert not connection.transport.closed
        connection.end()


@pytest.mark.parametrize(
    "requests", [NEXT, NEXT * 3, b"POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nab" + NEXT]
)
@pytest.mark.parametrize("rest", [b"", NEXT[:-2]])
async def test_a_client_that_has_ended_its_side_gets_all_answers(requests: bytes, rest: bytes) -> None:
    connection = Connection()
    connection.may_answer.clear()
    await connection.send(requests + rest)
    assert connection.protocol.eof_received()
    connection.may_answer.set()
    written = b"".join([await connection.send(b"") for _ in range(4)])
    assert written.count(b"HTTP/1.1 200 ") == requests.count(b"HTTP/1.1")
    assert connection.transport.closed
    connection.end()


@pytest.mark.parametrize("framing", [b"Content-Length: 2\r\n\r\na", b"Transfer-Encoding: chunked\r\n\r\n2\r\na"])
async def test_a_client_that_ends_its_side_inside_a_body_is_answered_if_the_body_is_not_needed(framing: bytes) -> None:
    for reads_bodies, answer in ((True, b"HTTP/1.1 400 "), (False, b"HTTP/1.1 200 ")):
        connection = Connection(reads_bodies)
        connection.may_answer.clear()
        await connection.send(b"POST /a HTTP/1.1\r\nHost: t\r\n" + framing)
        assert connection.protocol.eof_received()
        connection.may_answer.set()
        assert (await connection.send(b"")).startswith(answer)
        assert connection.transport.closed
        connection.end()


@pytest.mark.parametrize("sent", [b"", NEXT, NEXT[:-2]])
async def test_a_client_that_ends_its_side_and_awaits_no_answer_is_let_go(sent: bytes) -> None:
    connection = Connection()
    await connection.send(sent)
    assert not connection.protocol.eof_received(), "the event loop closes the transport"
    connection.end()


@pytest.mark.parametrize(
    "parts",
    [
        (b"0\r\nX: ", b"a" * 9000),
        (b"0\r\n", b"X: a\r\n" * 1000),
        (b"0\r\n", b"a" * 9000),
        (b"5;x=", b"a" * 9000),
        (b"5\r\nhello\r\n5;x=", b"a" * 9000),
        (b"", b"0" * 9000),
    ],
    ids=["trailer value", "trailers", "trailer name", "extension", "second extension", "zeros"],
)
async def test_what_comes_beside_the_chunks_of_a_body_is_bounded(parts: tuple[bytes, bytes]) -> None:
    for reads_bodies, answer in ((True, b"HTTP/1.1 431 "), (False, b"HTTP/1.1 200 ")):
        connection = Connection(reads_bodies)
        head = b"POST /a HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        written = await connection.send(head, parts[0], *[parts[1]] * 5)
        assert not connection.transport.ended
        assert not connection.transport.closed
        written += await connection.send(*[parts[1]] * 15)
        assert written.startswith(answer)
        assert connection.transport.ended == reads_bodies != connection.transport.closed
        connection.end()


async def test_small_chunks_may_take_more_bytes_than_their_content() -> None:
    connection = Connection()
    head = b"POST /a HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    written = await connection.send(head, *[b"1;ab=cd\r\na\r\n" * 1000] * 20, b"0\r\n\r\n" + NEXT)
    assert written.count(b"HTTP/1.1 200 ") == 2
    connection.end()


async def test_nothing_follows_a_request_that_closes_the_connection() -> None:
    connection = Connection()
    written = await connection.send(NEXT.replace(HOST, HOST + b"Connection: close\r\n") + NEXT + b"garbage")
    assert written.count(b"HTTP/1.1 ") == 1
    assert connection.transport.closed
    connection.end()


async def test_blank_lines_before_a_request_are_no_beginning_of_one() -> None:
    connection = Connection()
    written = await connection.send(b"\r\n", b"\n\r\n" + NEXT, b"\r\n", b"\r")
    assert written.count(b"HTTP/1.1 200 ") == 1
    assert connection.protocol.timeout_keep_alive_task is not None, "it is still idle"
    assert (await connection.send(b"\n" + NEXT)).count(b"HTTP/1.1 200 ") == 1
    connection.end()


FRAGMENTS = [
    NEXT,
    *(
        b"POST /p HTTP/1.1\r\n" + HOST + offer + framing + b"\r\n" + sent
        for offer in (b"", OFFERS["h2c"], OFFERS["websocket"])
        for framing, sent, _ in BODIES.values()
    ),
    b"HEAD /h?caf\xc3\xa9 x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /last HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: t\r\nContent-Length: 7\r\n\r\n",
    *(b"5\r\nhello\r\n", b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"\r\n", b"\n", b"\r\n\r\n", b"x", b"\x16\x03\x01"),
    *(b"GET /half", b" HTTP/1.1\r\n", b"Host: t\r\n", b"Upgrade: h2c\r\nConnection: Upgrade\r\n", b"X: a\nY: b\r\n"),
]


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(fragments=st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=6), data=st.data())
def test_the_cuts_between_reads_mean_nothing(fragments: list[bytes], data: st.DataObject) -> None:
    sent = b"".join(fragments)
    places = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=4)))
    cut = [sent[start:end] for start, end in itertools.pairwise([0, *places, len(sent)])]

    async def converse(parts: list[bytes]) -> tuple[bytes, int, bool]:
        connection = Connection()
        written = await connection.send(*parts, *[b""] * len(fragments))
        connection.end()
        return written, len(connection.scopes), connection.transport.closed or connection.transport.ended

    whole = asyncio.run(converse([sent]))
    assert asyncio.run(converse(cut)) == whole
    assert asyncio.run(converse([sent[place : place + 1] for place in range(len(sent))])) == whole
