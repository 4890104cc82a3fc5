"""Requests with an offer to upgrade, as `curl --http2` and Java's HttpClient send them, are read like any other."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support import api_harness
from tests.support.running_api import running_api

OFFERS = {
    "curl": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
    "Java": b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\nUpgrade: h2c\r\n",
    "websocket": b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    "TLS": b"Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n",
}


def exchange(url: str, *parts: bytes) -> list[bytes]:
    """Send the parts on one connection; return the bodies of the responses."""
    host, port = url.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.05)
        while chunk := connection.recv(65536):
            received += chunk
    return re.split(rb"HTTP/1\.1 [^\n]*\r\n(?:[^\r\n]+\r\n)*\r\n", received)[1:]


def without_timing(answer: bytes) -> dict[str, Any]:
    response: dict[str, Any] = orjson.loads(answer)["response"]
    return {name: value for name, value in response.items() if name != "dbg_info"}


def test_the_body_of_a_request_with_an_offer_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    login = orjson.dumps({"auth": {"username": "admin", "password": api_harness.PASSWORD}})
    with running_api(tmp_path) as url:
        for offer in OFFERS.values():
            head = b"POST /auth HTTP/1.1\r\nHost: t\r\n%bContent-Length: %d\r\n\r\n" % (offer, len(login))
            last = b"GET /livez HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
            for parts in ((head + login + last,), (head, login[:9], login[9:] + last)):
                answer, alive = exchange(url, *parts)
                assert orjson.loads(answer)["response"]["status"] == "OK", parts
                assert alive == b"alive\n"
            token = b"Authorization: " + orjson.loads(answer)["response"]["token"].encode() + b"\r\n"
            query = b'{"id":"2"}'
            get = b"GET /clicktracker HTTP/1.1\r\nHost: t\r\n%b%bContent-Length: 10\r\n\r\n"
            plain, offered = exchange(url, *((get % (each, token) + query) for each in (b"", offer)), last)[:2]
            assert without_timing(plain) == without_timing(offered)
    assert caplog.records == []
