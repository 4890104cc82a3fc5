"""The block that ends a start: what runs where, a tag to try, and what to do next."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from onebyone import __version__
from onebyone.contracts.tag_urls import image_url
from onebyone.runtime.addresses import local_url
from onebyone.settings import Settings

Rows = Sequence[tuple[str, str]]
LABEL_WIDTH = 10
"""Columns of the longest label and a space."""


def serve_summary(settings: Settings, edge_port: int, api_port: int) -> str:
    """Return the block for `serve`."""
    return _block(
        "OneByOne",
        settings,
        [
            *_edge_rows(settings, edge_port),
            *_api_rows(settings, api_port),
            _login_row(settings),
            _counter_row(settings),
            *_tag_rows(settings, edge_port),
            ("Next", 'README.md, "Your first count": create a tracker, fire its tag, read the report'),
            _check_row(settings, edge_port=edge_port, api_port=api_port),
        ],
    )


def demo_summary(settings: Settings, edge_port: int, api_port: int) -> str:
    """Return the block for `demo`, which prints tags and the password itself once its sample exists."""
    return _block(
        "OneByOne",
        settings,
        [
            *_edge_rows(settings, edge_port),
            *_api_rows(settings, api_port),
            _counter_row(settings),
            ("Next", "the sample below: its tags, how to log in, and a report to fetch"),
            _check_row(settings, edge_port=edge_port, api_port=api_port),
        ],
    )


def edge_summary(settings: Settings, port: int) -> str:
    """Return the block for `edge`."""
    next_row = ("Next", "run `onebyone api` and `onebyone counter` with the same servers")
    return _block("The edge", settings, [*_edge_rows(settings, port), *_tag_rows(settings, port), next_row])


def api_summary(settings: Settings, port: int) -> str:
    """Return the block for `api`."""
    next_row = ("Next", "run `onebyone edge` and `onebyone counter` with the same servers")
    return _block("The API", settings, [*_api_rows(settings, port), _login_row(settings), next_row])


def counter_summary(settings: Settings, port: int) -> str:
    """Return the block for `counter`; port 0: it has none."""
    rows = [_counter_row(settings)]
    if port:
        rows.append(("Operators", f"{local_url(settings.host, port)}  (/readyz, /sinkz, /metrics)"))
    return _block("The counter", settings, [*rows, ("Next", _check_row(settings)[1])])


def count_text(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 shard` or `4 shards`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _edge_rows(settings: Settings, port: int) -> Rows:
    return [("Edge", f"{local_url(settings.host, port)}  ({count_text(settings.workers, 'worker')}, answers the tags)")]


def _api_rows(settings: Settings, port: int) -> Rows:
    url = local_url(settings.host, port)
    return [("API", f"{url}  (configuration and reports)"), ("API docs", f"{url}/docs")]


def _login_row(settings: Settings) -> tuple[str, str]:
    configured = settings.admin_password.get_secret_value()
    password = "of ONEBYONE_ADMIN_PASSWORD at the first start" if configured else "as printed by the first start"
    return ("Log in", f"user {settings.admin_username}, password {password}")


def _counter_row(settings: Settings) -> tuple[str, str]:
    return ("Counter", count_text(settings.shards, "shard"))


def _check_row(settings: Settings, **ports: int) -> tuple[str, str]:
    return ("", f"look for faults, from a second terminal: {_program()} check{_options(settings, **ports)}")


def _tag_rows(settings: Settings, port: int) -> Rows:
    base = settings.public_url or local_url(settings.host, port)
    tag = f'<img src="{image_url(base, 1)}" width="1" height="1">'
    return [
        ("A tag", tag),
        ("Try it", f"curl -i '{base}/imptr?id=1&t=2'"),
        ("", "(the header X-OneByOne says `recorded`, or why not: there may be no tracker 1 yet)"),
    ]


def _block(what: str, settings: Settings, rows: Rows) -> str:
    stop = ("Stop", "Ctrl-C finishes what is under way; a second Ctrl-C stops immediately")
    lines = [f"  {label:{LABEL_WIDTH}}{value}" for label, value in [*rows, stop]]
    return "\n".join(["", f"{what} {__version__} is running. Data: {settings.data_dir.resolve()}", "", *lines, ""])


def _program() -> str:
    """Return how to run `onebyone` from the current folder."""
    beside = Path(sys.executable).with_name("onebyone")
    if shutil.which("onebyone") or not beside.exists():
        return "onebyone"
    return shlex.quote(str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside))


def _options(settings: Settings, **ports: int) -> str:
    """Return the options by which another command finds this installation; none where defaults do."""
    values: dict[str, object] = {"data_dir": settings.data_dir, **ports}
    fields = type(settings).model_fields
    changed = {name: value for name, value in values.items() if value != fields[name].get_default()}
    return "".join(f" --{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in changed.items())
