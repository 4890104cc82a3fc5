"""A real edge process on a real socket; its configuration is written to a real Valkey as the API would."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import httpx
import orjson
import redis

from onebyone.contracts import batches, keys
from onebyone.contracts.configuration import Head, MemberRecord, TrackerRecord
from onebyone.runtime import role
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import wait_until

AS_OF = {
    "member_id": 7,
    "advertiser_id": 11,
    "line_item_id": 12,
    "insertion_order_id": 0,
    "publisher_id": 21,
    "site_id": 22,
    "tag_id": 23,
    "payment_rule_id": 24,
}


class Publisher:
    """Write records and announce them, version by version."""

    def __init__(self, valkey: ValkeyProcess) -> None:
        self.client: redis.Redis = valkey.client()
        self.version = 0

    def publish(self, *records: TrackerRecord | MemberRecord, deleted: tuple[str, ...] = ()) -> None:
        """Write the records, delete the keys, announce both and move HEAD."""
        self.version += 1
        names = [*deleted]
        pipe = self.client.pipeline()
        for record in records:
            key = (
                keys.tracker_key(record.kind, record.id)
                if isinstance(record, TrackerRecord)
                else keys.member_key(record.id)
            )
            names.append(key)
            pipe.set(key, record.encode())
        for key in deleted:
            pipe.delete(key)
        pipe.xadd(keys.CHANGES, {"v": self.version, "keys": " ".join(names)})
        pipe.set(keys.HEAD, Head("store", self.version).encode())
        pipe.execute()


def tracker(
    kind: Any, tracker_id: int, *, active: bool = True, click_url: str | None = None, **more: Any
) -> TrackerRecord:
    """Return a tracker record of member 7."""
    return TrackerRecord(id=tracker_id, kind=kind, active=active, click_url=click_url, **{**AS_OF, **more})


class EdgeProcess:
    """`python -m onebyone.edge`; the listening socket belongs to the test and survives the process."""

    program = "onebyone.edge"
    open_files = 0
    """The hard limit of its descriptors; 0: as this process."""

    def __init__(self, data_dir: Path, valkey_url: str, **settings: str) -> None:
        self.data_dir = data_dir
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.environment = {
            **os.environ,
            "ONEBYONE_DATA_DIR": str(data_dir),
            "ONEBYONE_CACHE_URL": valkey_url,
            "ONEBYONE_STREAM_URL": valkey_url,
            "ONEBYONE_DRAIN_SECONDS": "0.1",
            **{f"ONEBYONE_{name.upper()}": value for name, value in settings.items()},
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._lifeline: socket.socket | None = None

    def start(self, wait: bool = True) -> None:
        """Start the process; with `wait`, return once it reports ready."""
        ours, theirs = socket.socketpair()
        environment = {
            **self.environment,
            role.LIFELINE: str(theirs.fileno()),
            role.LISTENER: str(self.listener.fileno()),
        }
        command = (sys.executable, "-m", self.program)
        self.process = subprocess.Popen(
            [*(("sh", "-c", f'ulimit -n {self.open_files}; exec "$@"', "sh") if self.open_files else ()), *command],
            env=environment,
            pass_fds=(theirs.fileno(), self.listener.fileno()),
        )
        theirs.close()
        self._lifeline = ours
        if wait:
            ours.settimeout(30)
            assert ours.recv(16) == b"ready\n"

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Stop the process with SIGTERM; return its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, signal_number: signal.Signals) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(signal_number)
        code = self.process.wait(30)
        self.process = None
        if self._lifeline is not None:
            self._lifeline.close()
        return code

    def get(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Send one request on a new connection; do not follow redirects."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.request(method, self.url + path, headers=named, timeout=20)

    def raw(self, request: bytes) -> bytes:
        """Send these bytes on a new connection; return all that comes until the edge closes it."""
        with socket.create_connection(self.listener.getsockname(), timeout=20) as connection:
            connection.sendall(request)
            response = b""
            while chunk := connection.recv(65536):
                response += chunk
        return response


def shipped(client: redis.Redis, shards: int = 4) -> list[dict[str, Any]]:
    """Return all events in the streams, each batch once, in the order of receipt, without sums of requests."""
    return [record for record in shipped_records(client, shards) if "requests" not in record]


def shipped_sums(client: redis.Redis, shards: int = 4) -> dict[tuple[str, str], int]:
    """Return the requests that reached no tracker, by kind and reason."""
    sums: dict[tuple[str, str], int] = {}
    for record in shipped_records(client, shards):
        if "requests" in record:
            key = record["kind"], record["reason"]
            sums[key] = sums.get(key, 0) + record["requests"]
    return sums


def shipped_records(client: redis.Redis, shards: int = 4) -> list[dict[str, Any]]:
    """Return all records in the streams, each batch once, in the order of receipt."""
    batches_by_name: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for shard in range(shards):
        for _, fields in cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(keys.events_key(shard))):
            batch = batches.from_entry(fields)
            lines = batches.unpack(batch.payload)
            assert len(lines) == batch.events
            batches_by_name[batch.producer, batch.seq] = [orjson.loads(line) for line in lines]
    return sorted(
        (event for events in batches_by_name.values() for event in events), key=lambda event: int(event["ts"])
    )


def wait_for_events(client: redis.Redis, count: int) -> list[dict[str, Any]]:
    """Wait until `count` events are in the streams; return all."""
    wait_until(lambda: len(shipped(client)) >= count, f"{count} events in the stream", seconds=20)
    return shipped(client)
