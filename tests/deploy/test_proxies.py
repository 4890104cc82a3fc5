"""The examples for proxies: they keep a proxy from repeating tags, and the proxy accepts them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from onebyone.edge.tags.proxy_retries import COUNTS, IDS
from tests.support.debian_packages import needs
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
PROXIES = ROOT / "deploy" / "proxies"


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("nginx.conf", ["proxy_next_upstream off;", "proxy_set_header X-Request-ID $request_id;"]),
        ("haproxy.cfg", ["retry-on conn-failure", "unique-id-header X-Unique-ID"]),
        ("Caddyfile", ["lb_retries 0", "lb_try_duration 0s", "keepalive off"]),
    ],
)
def test_tags_are_not_repeated(name: str, lines: list[str]) -> None:
    stated = [line.strip() for line in (PROXIES / name).read_text().splitlines()]
    assert set(lines) <= set(stated)
    assert name.partition(".")[0].lower().removesuffix("file") in (ROOT / "docs" / "proxies.md").read_text().lower()


def test_the_documents_name_every_header() -> None:
    named = {name.lower() for name in re.findall(r"`([A-Za-z-]+)`", (ROOT / "docs" / "proxies.md").read_text())}
    assert {name.decode() for name in (*IDS, *COUNTS)} <= named


@pytest.mark.processes
def test_nginx_accepts_its_example(tmp_path: Path) -> None:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip(needs("nginx-light"))
    text = (PROXIES / "nginx.conf").read_text().replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid;\nerror_log stderr;\n{text}")
    command = [program, "-t", "-p", str(tmp_path), "-c", "nginx.conf"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert "syntax is ok" in done.stderr, done.stderr
