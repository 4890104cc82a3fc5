"""What the check asks of a role: with the operator's token, and what it says without."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import SecretStr

from onebyone.check.deployment import check_roles
from onebyone.settings import Settings

TOKEN = "0123456789abcdefTOKEN"


class Role(BaseHTTPRequestHandler):
    """A role that is ready, and shows its sink with the token alone."""

    def do_GET(self) -> None:
        """Answer."""
        hidden = self.path != "/readyz" and self.headers["Authorization"] != f"Bearer {TOKEN}"
        self.send_response(403 if hidden else 200)
        self.end_headers()
        self.wfile.write(b'{"checks": {}, "problems": {}}')

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Role)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("token", "says"), [(TOKEN, "its sink is green"), ("", "its sink is hidden without")])
def test_the_token_opens_the_sinks(port: int, token: str, says: str) -> None:
    settings = Settings(edge_port=port, api_port=port, counter_port=port, ops_token=SecretStr(token))
    found = [str(finding) for finding in check_roles(settings)]
    assert len(found) == 3
    assert all(says in text for text in found)
