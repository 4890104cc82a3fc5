"""A real Valkey server on a unix socket, which tests may kill and start again with its data."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import redis

from onebyone.supervisor import valkey_binary
from tests.support.waiting import wait_until


class ValkeyProcess:
    """A server with its append-only file in `directory` and its socket in a temporary folder, whose path is short."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.options = options
        directory.mkdir(parents=True, exist_ok=True)
        self._run_dir = Path(tempfile.mkdtemp(prefix="obo-"))
        self.socket_path = self._run_dir / "valkey.sock"
        self.url = f"unix://{self.socket_path}"
        self._program = valkey_binary.find_valkey(self._run_dir).path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers PING."""
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-use-rdb-preamble": "no",
            "save": "",
            "maxmemory-policy": "noeviction",
            # A title would overwrite the environment, in which the process guard looks for its mark.
            "set-proc-title": "no",
        }
        command = [str(self._program)]
        for name, value in options.items():
            command += [f"--{name}", value]
        self._process = subprocess.Popen(
            [*command, *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        wait_until(self._answers, "valkey answers PING", every=0.01)

    def client(self) -> redis.Redis:
        """Return a blocking client whose replies are bytes."""
        return redis.Redis.from_url(self.url, protocol=2)

    def kill(self) -> None:
        """Send SIGKILL, as a crash; `start` then loads what the append-only file holds."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the server cleanly, if it runs."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Stop the server if it runs, and start it on the same socket and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Send SIGSTOP: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """End `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def remove(self) -> None:
        """Kill the server and remove its socket's folder."""
        if self._process is not None:
            self.resume()
        self.kill()
        shutil.rmtree(self._run_dir, ignore_errors=True)

    def _end(self, signum: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signum)
            self._process.wait(30)
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"valkey ended with {self._process.returncode}"
        with contextlib.suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False


def start_valkey(directory: Path, *options: str) -> ValkeyProcess:
    """Start a server, with more options as on its command line; the caller calls `remove`."""
    server = ValkeyProcess(directory, *options)
    server.start()
    return server
