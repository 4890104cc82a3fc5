"""The product as a user runs it: `python -m onebyone serve` in a separate process, on free ports."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.api_client import ApiClient
from tests.support.ports import free_port
from tests.support.waiting import wait_until

PASSWORD = "Testing-0nly-Password"


class Product:
    """A running product. Its standard output and error are in `<data folder>.out` and `<data folder>.err`."""

    username = "admin"
    password = PASSWORD

    def __init__(self, data_dir: Path, command: tuple[str, ...], environment: dict[str, str]) -> None:
        self.data_dir = data_dir
        self.command = command
        self.environment = environment
        self.edge_url = f"http://127.0.0.1:{environment['ONEBYONE_EDGE_PORT']}"
        self.counter_url = f"http://127.0.0.1:{environment['ONEBYONE_COUNTER_PORT']}"
        self.api_url = f"http://127.0.0.1:{environment['ONEBYONE_API_PORT']}"
        self.stdout = data_dir.with_name(data_dir.name + ".out")
        self.stderr = data_dir.with_name(data_dir.name + ".err")
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[ApiClient] = []

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the product, also after it has ended, and wait until both ports are ready."""
        with self.stdout.open("ab") as stdout, self.stderr.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "onebyone", *self.command],
                env=self.full_environment(),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        self.wait_ready()

    def full_environment(self) -> dict[str, str]:
        """Return the environment of its processes, for other commands on the same data."""
        return dict(os.environ) | self.environment

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait until `/readyz` answers 200 on both ports."""
        for url in (self.edge_url, self.api_url):
            wait_until(lambda url=url: self._ready(url), f"{url}/readyz\n{self.output()}", seconds)  # type: ignore[misc]

    def client(self) -> ApiClient:
        """Return a logged-in client of the config API; `stop` closes it."""
        client = ApiClient(self.api_url, self.username, self.password)
        self._clients.append(client)
        return client

    def pids(self, role: str) -> list[int]:
        """Return the process ids of a role's children: `edge`, `api`, `counter`, `demo` or `valkey`."""
        mark = b"valkey-server" if role == "valkey" else f"onebyone.{role}".encode()
        return [pid for pid in children(self.pid) if mark in command_line(pid)]

    def terminate(self, seconds: float = 60.0) -> int:
        """Send SIGTERM, wait for the drain, and return the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(seconds)

    def ended(self, seconds: float = 60.0) -> int:
        """Wait until the product ends by itself, and return the exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def kill(self) -> None:
        """Send SIGKILL to the supervisor and wait until its children have ended too."""
        assert self._process is not None
        orphans = children(self.pid)
        self._process.kill()
        self._process.wait()
        wait_until(lambda: not any(alive(pid) for pid in orphans), "children end with their supervisor")

    def stop(self) -> None:
        """End the product in any state and close its clients; for fixtures."""
        for client in self._clients:
            client.close()
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.terminate()
                return
            self.kill()

    def output(self) -> str:
        """Return the last 4,000 characters of each output so far."""
        texts = (path.read_text(errors="replace")[-4000:] for path in (self.stdout, self.stderr) if path.exists())
        return "\n".join(texts)

    def _ready(self, url: str) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"ended with {self._process.returncode}\n{self.output()}"
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    """Return the process ids of the running direct children of a process."""
    pids = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                pids.append(int(entry.name))
    return sorted(pids)


def command_line(pid: int) -> bytes:
    """Return the command line of a process, its arguments separated by NUL."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def start_product(data_dir: Path, *command: str, **settings: object) -> Product:
    """Start a product on `data_dir` and return it when it is ready; the caller calls `stop`.

    A setting is given by its name in lower case, such as `workers=2`. The command is `serve` unless another is given.
    """
    defaults: dict[str, object] = {
        "data_dir": data_dir,
        "edge_port": free_port(),
        "api_port": free_port(),
        "counter_port": free_port(),
        "workers": 1,
        "drain_seconds": 0.1,
        "admin_password": PASSWORD,
    }
    environment = {f"ONEBYONE_{name.upper()}": str(value) for name, value in (defaults | settings).items()}
    product = Product(data_dir, command or ("serve",), environment)
    try:
        product.start()
    except BaseException:
        product.stop()
        raise
    return product
