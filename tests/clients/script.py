"""A client's script as a process that runs one step after another, and the front as a process before the product."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.debian_packages import needs

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / ".clients"
PYTHON = INSTALLED / "python" / "bin" / "python"
NODE_MODULES = INSTALLED / "node" / "node_modules"

CLIENTS = ("appnexus-client", "nexusadspy", "anx-api")
PATIENCE_SECONDS = 90
_FILES = {
    "appnexus-client": "appnexus_client_script.py",
    "nexusadspy": "nexusadspy_script.py",
    "anx-api": "anx_api_script.cjs",
}


class ClientRaised(AssertionError):
    """A step ended with an exception of the client; `name` is its class."""

    def __init__(self, name: str, text: str, trace: str) -> None:
        super().__init__(trace)
        self.name = name
        self.text = text


class Script:
    """A running script of one client."""

    def __init__(self, client: str, folder: Path, url: str | None, environment: dict[str, str]) -> None:
        self.client = client
        self._log = folder / f"{client}.err"
        command = [*interpreter(client), str(HERE / _FILES[client]), str(folder / f"{client}.token")]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *([url] if url else [])],
                env=local_environment() | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def __call__(self, step: str, /, **given: Any) -> Any:
        """Run a step and return its result. Raise `ClientRaised` with an error of the client."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"step": step, "given": given}).encode() + b"\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_SECONDS)
        line = self._process.stdout.readline() if ready else b""
        assert line, f"{self.client} says nothing to {step}: {self._log.read_text()[-4000:]}"
        answer = json.loads(line)
        if "raised" in answer:
            raise ClientRaised(answer["raised"], answer["text"], answer["trace"])
        return answer["result"]

    def stop(self) -> None:
        """End the script."""
        _end(self._process)


class Front:
    """The running front; a client with the variables of `environment` connects through it."""

    def __init__(self, api_url: str, folder: Path) -> None:
        authority = folder / "authority.pem"
        command = [*interpreter("front"), str(HERE / "front.py"), api_url.rpartition(":")[2], str(authority)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        port = int(self._process.stdout.readline())
        self.environment = {"HTTPS_PROXY": f"http://127.0.0.1:{port}", "REQUESTS_CA_BUNDLE": str(authority)}

    def stop(self) -> None:
        """End the front."""
        _end(self._process)


def local_environment() -> dict[str, str]:
    """Return the environment of a client that must reach nothing but this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    return kept | nowhere | {"NODE_PATH": str(NODE_MODULES)}


def interpreter(client: str) -> list[str]:
    """Return the command that runs the client's scripts; skip the test where the client is not installed."""
    if client == "anx-api":
        node = shutil.which("node")
        if node is None or not NODE_MODULES.exists():
            pytest.skip(f"anx-api is not installed: `make clients` {needs('nodejs', 'npm')}")
        return [node]
    if not PYTHON.exists():
        pytest.skip("the clients are not installed: `make clients`")
    return [str(PYTHON)]


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.terminate()
    process.wait(10)
    process.stdout.close()
