"""The peers of the edge: nginx with a log line, nginx with Lua and Redis, and a bare ASGI application."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.bench.browsers import IMPRESSION
from tests.support.ports import free_port

MODULES = Path("/usr/lib/nginx/modules")
LUA = Path("/usr/share/lua/5.1")

_LOG = """
    log_format event escape=json '{"ts":"$msec","id":"$arg_id","cb":"$arg_cachebuster","ancost":"$arg_ancost",'
        '"ip":"$remote_addr","ua":"$http_user_agent","ref":"$http_referer"}';
    access_log event.log event buffer=64k flush=1s;
"""
_GIF = "location /imptr { empty_gif; }"
_XADD = """
location /imptr {
    default_type image/gif;
    content_by_lua_block {
        local client = redis:new()
        client:set_timeout(1000)
        local ok, why = client:connect("unix:@SOCKET@")
        if not ok then ngx.log(ngx.ERR, why) return ngx.exit(503) end
        local asked = ngx.req.get_uri_args()
        count = count + 1
        local event = cjson.encode({
            v = 1, id = count, ts = ngx.now() * 1000, kind = "imp", tracker_id = tonumber(asked.id),
            cb = asked.cachebuster, ancost = asked.ancost, ip = ngx.var.remote_addr,
            ua = ngx.var.http_user_agent, ref = ngx.var.http_referer,
        })
        local id, why = client:xadd("bench:events", "*", "e", event)
        if not id then ngx.log(ngx.ERR, why) return ngx.exit(503) end
        client:set_keepalive(60000, 256)
        ngx.header["Content-Length"] = #gif
        ngx.print(gif)
    }
}
"""
_LUA_START = """
    lua_package_path "@LUA@/?.lua;;";
    init_by_lua_block {
        redis = require "nginx.redis"
        cjson = require "cjson"
        gif = ngx.decode_base64("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
        count = 0
    }
    access_log off;
"""


def missing_nginx() -> str | None:
    """Return why nginx cannot run on this machine, or None."""
    return None if shutil.which("nginx", path="/usr/sbin:/usr/bin") else "nginx is not installed (nginx-light)"


def missing_lua() -> str | None:
    """Return why nginx with Lua and Redis cannot run on this machine, or None."""
    for path, package in (
        (MODULES / "ngx_http_lua_module.so", "libnginx-mod-http-lua"),
        (LUA / "nginx" / "redis.lua", "lua-nginx-redis"),
        (Path("/usr/lib/x86_64-linux-gnu/lua/5.1/cjson.so"), "lua-cjson"),
    ):
        if not path.exists():
            return f"{path} is not there ({package})"
    return missing_nginx()


@contextmanager
def nginx_log(folder: Path) -> Iterator[tuple[str, int]]:
    """Run nginx with `empty_gif` and a buffered log line of the same facts."""
    yield from _nginx(folder, "", _LOG, _GIF)


@contextmanager
def nginx_lua(folder: Path, socket: str) -> Iterator[tuple[str, int]]:
    """Run nginx with Lua, which awaits one XADD per request, on pooled connections."""
    load = "".join(f"load_module {MODULES}/{name}.so;\n" for name in ("ndk_http_module", "ngx_http_lua_module"))
    start = _LUA_START.replace("@LUA@", str(LUA))
    yield from _nginx(folder, load, start, _XADD.replace("@SOCKET@", socket))


def _nginx(folder: Path, load: str, settings: str, location: str) -> Iterator[tuple[str, int]]:
    port = free_port()
    folder.mkdir(parents=True)
    (folder / "nginx.conf").write_text(
        f"""{load}daemon off; master_process off; pid nginx.pid; error_log error.log;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi; keepalive_requests 1000000000;
    {settings}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        {location}
    }}
}}
"""
    )
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin") or "nginx"
    command = [program, "-p", str(folder), "-c", "nginx.conf", "-e", str(folder / "error.log")]
    yield from _process(command, port)


@contextmanager
def bare(folder: Path) -> Iterator[tuple[str, int]]:
    """Run the same server as the edge with an ASGI application that only returns the GIF (`bare.py`)."""
    port = free_port()
    yield from _process([sys.executable, "-m", "loadtests.bench.bare", str(port)], port)


def _process(command: list[str], port: int) -> Iterator[tuple[str, int]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(url + IMPRESSION.format(id=1, cachebuster=1), timeout=5).close()  # noqa: S310
                break
            except (urllib.error.URLError, OSError) as error:
                if isinstance(error, urllib.error.HTTPError) or process.poll() is not None:
                    raise
                time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(10)
