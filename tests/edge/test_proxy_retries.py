"""A retry that a trusted proxy marks, or sends with the same id, is flagged on its event, on both paths of the edge."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge.edge_process import EdgeProcess, Publisher, tracker, wait_for_events
from tests.support.valkey import ValkeyProcess

REQUESTS = {
    "first": ({"X-Request-ID": "one"}, "/imptr?id=1&cachebuster=first", False),
    "again": ({"X-Request-ID": "one"}, "/imptr?id=1&cachebuster=first", True),
    "other": ({"X-Request-ID": "two"}, "/imptr?id=1&cachebuster=other", False),
    "tag": ({"X-Request-ID": "two"}, "/imptr?id=1&cachebuster=tag", False),
    "mark": ({"X-Envoy-Attempt-Count": "2"}, "/imptr?id=1&cachebuster=mark", True),
    "attempt": ({"X-Envoy-Attempt-Count": "1"}, "/imptr?id=1&cachebuster=attempt", False),
    "plain": ({}, "/imptr?id=1&cachebuster=plain", False),
}


def _request(path: str, headers: dict[str, str]) -> bytes:
    lines = (f"GET {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items()))
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


@pytest.mark.parametrize("http", ["fast", "asgi"])
@pytest.mark.parametrize("trusted", ["127.0.0.1", ""], ids=["of a trusted proxy", "of a client"])
def test_retries_are_flagged(
    valkey: ValkeyProcess, publisher: Publisher, tmp_path: Path, http: str, trusted: str
) -> None:
    publisher.publish(tracker("imp", 1))
    edge = EdgeProcess(tmp_path / "data", valkey.url, edge_http=http, trusted_proxies=trusted)
    edge.start()
    forwarded = {"X-Forwarded-For": "203.0.113.7"}
    requests = b"".join(_request(path, headers | forwarded) for headers, path, _ in REQUESTS.values())
    assert edge.raw(requests.removesuffix(b"\r\n") + b"Connection: close\r\n\r\n").count(b" 200 OK") == len(REQUESTS)
    events = wait_for_events(valkey.client(), len(REQUESTS))
    expected = [retried and bool(trusted) for _, _, retried in REQUESTS.values()]
    assert [event.get("flags") == ["proxy_retry"] for event in events] == expected
    names = [event.get("rid") for event in events]
    assert [bool(name) for name in names] == [
        bool(trusted) and "X-Request-ID" in more for more, _, _ in REQUESTS.values()
    ]
    if trusted:
        assert (names[0] == names[1], len(set(names[:4]))) == (True, 3)
    assert edge.stop() == 0
    edge.listener.close()
