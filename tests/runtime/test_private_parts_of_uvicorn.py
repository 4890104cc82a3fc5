"""The private parts of uvicorn, and of CPython's sockets, that the product replaces or relies on.

`pyproject.toml` bounds uvicorn by its next minor version. When the bound is raised, these tests say what has moved and
what breaks with it.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

pytestmark = pytest.mark.anyio

REQUEST = b"GET / HTTP/1.1\r\nhost: t\r\n\r\n"


class Transport(asyncio.Transport):
    """Keeps what the protocol writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Application:
    """Answers each request with 204 once the test says so."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.receive: object = None

    async def __call__(self, scope: object, receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        self.receive = receive
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def connected(protocol_class: type[HttpToolsProtocol] = HttpToolsProtocol) -> tuple[Any, Transport, Application]:
    """Return a protocol on a transport, and the application that it serves."""
    application = Application()
    config = uvicorn.Config(cast(Any, application), lifespan="off", ws="none", proxy_headers=False, log_config=None)
    config.load()
    protocol: Any = protocol_class(config, ServerState(), {})
    transport = Transport()
    protocol.connection_made(transport)
    return protocol, transport, application


async def finished(protocol: Any, requests: int) -> None:
    """Return once that many requests have been answered."""
    async with asyncio.timeout(10):
        while protocol.server_state.total_requests < requests:  # noqa: ASYNC110
            await asyncio.sleep(0)


def test_status_lines() -> None:
    lines = {status: STATUS_LINE[status] for status in (200, 302, 503)}
    assert lines == {
        200: b"HTTP/1.1 200 OK\r\n",
        302: b"HTTP/1.1 302 Found\r\n",
        503: b"HTTP/1.1 503 Service Unavailable\r\n",
    }, "edge/fastpath/response_cache.py begins every response of the fast path with these bytes"


@pytest.mark.parametrize(
    ("method", "parameters", "breaks"),
    [
        ("__init__", ["config", "server_state", "app_state", "_loop"], "FallbackProtocol calls it by position"),
        ("connection_made", ["transport"], "the time limit of the first request's head never begins"),
        ("connection_lost", ["exc"], "timers of a closed connection still fire"),
        ("data_received", ["data"], "the parser gets several messages at a time, and offers to upgrade"),
        ("on_message_begin", [], "what ends a message can begin the next"),
        ("on_header", ["name", "value"], "trailers become headers"),
        ("on_headers_complete", [], "a complete head is cut off by its time limit; a drain closes no connection"),
        ("on_body", ["body"], "a body has no maximum"),
        ("on_message_complete", [], "the next head is taken for the rest of a body"),
        ("on_response_complete", [], "what a client has sent ahead is never read"),
        ("_unset_keepalive_if_required", [], "a connection is closed while its next head arrives"),
        ("shutdown", [], "a drain waits for a client that does not read"),
        ("pause_writing", [], "a client that does not read is never cut off"),
        ("resume_writing", [], "a client that reads slowly is cut off"),
        ("timeout_keep_alive_handler", [], "an idle client that does not read is flushed forever"),
        (
            "_start_asgi_task",
            ["cycle", "app"],
            "a request with a broken body waits for it forever",
        ),
    ],
)
def test_a_method_that_the_protocol_overrides(method: str, parameters: list[str], breaks: str) -> None:
    found = inspect.signature(getattr(HttpToolsProtocol, method)).parameters
    assert list(found)[1:] == parameters, f"runtime/web_server.py: {breaks}"


async def test_each_method_is_called_by_uvicorn_itself() -> None:
    calls: list[str] = []

    def noted(name: str) -> Callable[..., None]:
        def method(self: HttpToolsProtocol, *arguments: Any) -> None:
            calls.append(name)
            getattr(HttpToolsProtocol, name)(self, *arguments)

        return method

    names = (
        "on_message_begin",
        "on_header",
        "on_headers_complete",
        "on_body",
        "on_message_complete",
        "on_response_complete",
        "_start_asgi_task",
    )
    protocol, _, application = connected(type("Noted", (HttpToolsProtocol,), {name: noted(name) for name in names}))
    application.may_answer.set()
    protocol.data_received(REQUEST.replace(b"\r\n\r\n", b"\r\ncontent-length: 1\r\n\r\nx"))
    await finished(protocol, 1)
    assert set(calls) == set(names), "an override in runtime/web_server.py that uvicorn no longer calls does nothing"


async def test_attributes_of_a_connection() -> None:
    protocol, transport, _ = connected()
    protocol.data_received(REQUEST)
    assert protocol.transport is transport, "nothing is cut off"
    assert protocol.loop is asyncio.get_running_loop(), "no time limit begins"
    assert protocol.timeout_keep_alive == protocol.config.timeout_keep_alive, "no client that does not read is cut off"
    assert protocol.app_state == {}, "a drain is not seen by open connections"
    assert protocol.client is None, "FallbackProtocol sets the address that the application sees"
    assert protocol.flow.read_paused is False, "a client that sends requests ahead is read without end"


async def test_an_application_reads_through_the_cycle() -> None:
    protocol, _, application = connected()
    protocol.data_received(REQUEST)
    protocol.cycle.receive = replacement = object()
    application.may_answer.set()
    await finished(protocol, 1)
    assert application.receive is replacement, "a request with a broken body waits for it forever"


async def test_reading_pauses_and_resumes_through_the_flow_of_the_protocol() -> None:
    protocol, _, application = connected()
    calls: list[str] = []
    protocol.flow.resume_reading = lambda: calls.append("resume")
    protocol.flow.pause_reading = lambda: calls.append("pause")
    protocol.data_received(REQUEST * 2)
    application.may_answer.set()
    await finished(protocol, 2)
    assert calls == ["pause", "resume", "resume"], "a client that sends ahead is read when an application asks for more"


async def test_the_cycle_says_whether_it_has_been_answered() -> None:
    protocol, _, application = connected()
    states = [protocol.cycle]
    protocol.data_received(REQUEST)
    states.append(protocol.cycle.response_complete)
    application.may_answer.set()
    await finished(protocol, 1)
    states.append(protocol.cycle.response_complete)
    assert states == [None, False, True], "FallbackProtocol gives back a connection that owes an answer, or none at all"


async def test_a_cycle_without_keep_alive_closes_after_its_answer() -> None:
    protocol, transport, application = connected()
    protocol.data_received(REQUEST)
    protocol.cycle.keep_alive = False
    application.may_answer.set()
    await finished(protocol, 1)
    assert b"connection: close" in transport.written, "a draining server does not tell its clients to go elsewhere"
    assert transport.closed


async def test_a_disconnected_cycle_writes_nothing() -> None:
    protocol, transport, application = connected()
    protocol.data_received(REQUEST)
    protocol.cycle.disconnected = True
    application.may_answer.set()
    await asyncio.gather(*protocol.tasks)
    assert transport.written == b"", "an answer to a client that has gone is logged with a traceback"


class Recording(uvicorn.Server):
    """Notes the steps of its life."""

    def __init__(self, application: Any) -> None:
        super().__init__(uvicorn.Config(application, lifespan="off", ws="none", log_config=None))
        self.steps: list[str] = []
        self.state: object = None

    def capture_signals(self) -> Any:
        self.steps.append("capture_signals")
        return super().capture_signals()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.steps.append("startup")
        self.state = self.lifespan.state
        await super().startup([])
        self.steps.append(f"servers {self.servers}")
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.steps.append("shutdown")
        await super().shutdown(sockets)


async def test_the_steps_of_a_server() -> None:
    server = Recording(Application())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await server.serve(sockets=[listener])
    assert server.steps == ["capture_signals", "startup", "servers []", "shutdown"], (
        "runtime/web_server.py keeps uvicorn's hands off the signals, lets the edge accept by itself in `startup` and "
        "lets connections linger in `shutdown`"
    )
    assert isinstance(server.state, dict), "the draining event travels to every connection in lifespan.state"


async def test_shutdown_asks_each_connection_and_waits_for_each_server() -> None:
    asked: list[str] = []
    server = Recording(Application())

    class Connection:
        def shutdown(self) -> None:
            asked.append("connection")
            server.server_state.connections.clear()

    class Accepting:
        def close(self) -> None:
            asked.append("close")

        async def wait_closed(self) -> None:
            asked.append("wait_closed")

    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    server.servers = [cast(Any, Accepting())]
    server.server_state.connections.add(cast(Any, Connection()))
    await server.shutdown()
    assert asked == ["close", "connection", "wait_closed"], (
        "edge/fastpath puts its own connections and its acceptor in the place of uvicorn's"
    )


async def test_default_headers_are_a_new_list_each_second() -> None:
    server = Recording(Application())
    server.config.load()
    lists = []
    for counter in (0, 1, 10):
        await server.on_tick(counter)
        lists.append(server.server_state.default_headers)
    assert lists[0] is lists[1], "edge/fastpath/response_cache.py would render every answer anew"
    assert lists[0] is not lists[2], "edge/fastpath/response_cache.py would answer with the Date of an earlier second"
    assert [name for name, _ in lists[0]] == [b"date", b"server"]


def test_a_socket_accepts_descriptors() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        accept = cast(Any, listener)._accept
        with pytest.raises(BlockingIOError):
            accept()
        with socket.create_connection(listener.getsockname()) as client:
            listener.setblocking(True)
            fd, address = accept()
            assert (type(fd), address) == (int, client.getsockname()), (
                "edge/fastpath/acceptor.py takes descriptors: socket.accept would make an object of each"
            )
            os.close(fd)
