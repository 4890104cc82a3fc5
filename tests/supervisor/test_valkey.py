"""The embedded server in every failure that is known of one."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from onebyone.supervisor import valkey as valkey_module
from onebyone.supervisor import valkey_binary
from onebyone.supervisor.data_dir import DataDir
from onebyone.supervisor.fault import StartFault
from onebyone.supervisor.process import ProcessTable
from onebyone.supervisor.valkey import EmbeddedValkey
from tests.support.product import children, command_line
from tests.support.valkey import start_valkey
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.processes]


@asynccontextmanager
async def embedded(folder: Path, maxmemory: str = "64mb") -> AsyncIterator[EmbeddedValkey]:
    server = EmbeddedValkey(DataDir(folder), maxmemory, ProcessTable())
    try:
        await server.begin()
        yield server
    finally:
        await server.stop(10, asyncio.Event())
        server.remove()


def client(server: EmbeddedValkey) -> redis.Redis:
    return redis.Redis.from_url(server.url, protocol=2)


async def filled(folder: Path, keys: int = 1000) -> Path:
    """Run a server once, and return the append-only file that it leaves."""
    async with embedded(folder) as server:
        with client(server) as connection:
            for number in range(keys):
                connection.set(f"k{number}", "v" * 50)
    return next((folder / "valkey" / "appendonlydir").glob("*.incr.aof"))


def damage_middle(aof: Path) -> None:
    text = bytearray(aof.read_bytes())
    middle = text.index(b"*3\r\n", len(text) // 2)
    text[middle : middle + 4] = b"!?\r\n"
    aof.write_bytes(text)


def damage_manifest(aof: Path) -> None:
    (aof.parent / "appendonly.aof.manifest").write_text("garbage\n")


def lose_file(aof: Path) -> None:
    aof.unlink()


async def test_configuration_is_durable_bounded_and_private(tmp_path: Path) -> None:
    async with embedded(tmp_path / "data") as server:
        with client(server) as connection:
            expected = {
                "appendonly": "yes",
                "appendfsync": "everysec",
                "aof-use-rdb-preamble": "no",
                "maxmemory": str(64 * 1024 * 1024),
                "maxmemory-policy": "noeviction",
                "save": "",
                "port": "0",
            }
            assert {name: connection.config_get(name)[name] for name in expected} == expected
        assert server.socket.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data" / "valkey" / "server-version").read_text().split()[0] in {"Valkey", "Redis"}


@pytest.mark.parametrize("damage", [damage_middle, damage_manifest, lose_file])
async def test_a_damaged_append_only_file_is_moved_aside(
    tmp_path: Path, damage: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    damage(await filled(tmp_path / "data"))
    async with embedded(tmp_path / "data") as server:
        with client(server) as connection:
            assert connection.dbsize() == 0
            assert connection.set("works", "yes")
    (aside,) = (tmp_path / "data" / "valkey").glob("damaged-*")
    assert list(aside.iterdir())
    assert str(aside) in "".join(capfd.readouterr())


async def test_a_torn_tail_loses_only_the_torn_entry(tmp_path: Path) -> None:
    aof = await filled(tmp_path / "data")
    os.truncate(aof, aof.stat().st_size - 10)
    async with embedded(tmp_path / "data") as server:
        with client(server) as connection:
            assert connection.dbsize() == 999
    assert not list((tmp_path / "data" / "valkey").glob("damaged-*"))


async def test_a_killed_server_restarts_on_its_socket_with_its_data(tmp_path: Path) -> None:
    async with embedded(tmp_path / "data") as server:
        with client(server) as connection:
            connection.set("kept", "yes")
            pid = connection.info("server")["process_id"]
        os.kill(pid, signal.SIGKILL)

        def back() -> bool:
            try:
                with client(server) as connection:
                    return bool(connection.get("kept") == b"yes" and connection.info("server")["process_id"] != pid)
            except redis.RedisError:
                return False

        await asyncio.to_thread(wait_until, back, "the server is back")


async def test_stop_during_a_start_leaves_no_server(tmp_path: Path) -> None:
    server = EmbeddedValkey(DataDir(tmp_path / "data"), "64mb", ProcessTable())

    def running() -> list[int]:
        return [pid for pid in children(os.getpid()) if str(server.socket).encode() in command_line(pid)]

    starting = asyncio.create_task(server.begin())
    await asyncio.sleep(0)
    (pid,) = wait_until(running, "the server runs", every=0.001)
    os.kill(pid, signal.SIGSTOP)
    starting.cancel()
    await asyncio.wait({starting})
    await server.stop(0.1, asyncio.Event())
    assert running() == []
    server.remove()


async def test_an_orphaned_server_is_shut_down_before_the_next_one_starts(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "data")
    data_dir.valkey.mkdir()
    path = tmp_path / "orphan.sock"
    program = valkey_binary.find_valkey(data_dir.run).path
    lock = os.open(data_dir.valkey / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    options = ["--port", "0", "--unixsocket", str(path), "--dir", str(data_dir.valkey), "--appendonly", "yes"]
    orphan = subprocess.Popen([program, *options], pass_fds=[lock], stdout=subprocess.DEVNULL)  # noqa: ASYNC220
    os.close(lock)
    data_dir.embedded_url.write_text(f"unix://{path}\n")
    wait_until(path.exists, "the orphan listens", every=0.01)
    async with embedded(tmp_path / "data"):
        assert orphan.wait(10) == 0


async def test_a_folder_locked_by_an_unresponsive_server_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_module, "ORPHAN_SECONDS", 0.2)
    data_dir = DataDir(tmp_path / "data")
    data_dir.valkey.mkdir()
    with (data_dir.valkey / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StartFault, match="still in use by a server of an earlier run"):
            EmbeddedValkey(data_dir, "64mb", ProcessTable())


async def test_a_runtime_folder_with_a_long_path_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    async with embedded(long / "data") as server:
        assert len(str(server.socket)) < 104
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(server.socket))


async def test_a_start_fault_quotes_the_server(tmp_path: Path) -> None:
    server = EmbeddedValkey(DataDir(tmp_path / "data"), "5zb", ProcessTable())
    with pytest.raises(StartFault, match="argument must be a memory value"):
        await server.begin()
    server.remove()


async def test_a_full_server_refuses_writes_and_evicts_nothing(tmp_path: Path) -> None:
    async with embedded(tmp_path / "data", maxmemory="3mb") as server:
        with client(server) as connection:
            written = 0
            try:
                for written in range(1000):
                    connection.set(f"k{written}", "v" * 10_000)
            except redis.OutOfMemoryError:
                assert connection.dbsize() == written
            else:
                pytest.fail("it took more than it may hold")


async def test_the_server_of_the_tests_is_the_same_program(tmp_path: Path) -> None:
    server = start_valkey(tmp_path / "own")
    try:
        with server.client() as connection:
            assert connection.ping()
    finally:
        server.remove()
