"""The block that ends a start: what runs where, a tag to try, and what to do next."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from onebyone import __version__
from onebyone.runtime.addresses import local_url
from onebyone.settings import Settings

Rows = Sequence[tuple[str, str]]
LABEL_WIDTH = 10
"""Columns of the longest label and a space."""


def of_everything(settings: Settings, *, edge_port: int, api_port: int) -> str:
    """Return the block for `serve` and `demo`."""
    check = f"{_program()} check{_options(settings, edge_port=edge_port, api_port=api_port)}"
    return _block(
        "OneByOne",
        settings,
        [
            *_edge_rows(settings, edge_port),
            *_api_rows(settings, api_port),
            ("Counter", counted(settings.shards, "shard")),
            *_tag_rows(settings, edge_port),
            ("Next", 'create a tracker and read its report: README.md, "Your first count"'),
            ("", f"{check}  (in a second terminal: looks for faults)"),
        ],
    )


def of_edge(settings: Settings, port: int) -> str:
    """Return the block for `edge`."""
    next_row = (
        "Next",
        "trackers come from the API's cache server, events go to the stream server; `onebyone tail` prints them",
    )
    return _block("The edge", settings, [*_edge_rows(settings, port), *_tag_rows(settings, port), next_row])


def of_api(settings: Settings, port: int) -> str:
    """Return the block for `api`."""
    next_row = ("Next", "run `onebyone edge` and `onebyone counter` with the same servers")
    return _block("The API", settings, [*_api_rows(settings, port), next_row])


def of_counter(settings: Settings) -> str:
    """Return the block for `counter`."""
    next_row = ("Next", f"`onebyone check{_options(settings)}` compares the report with the archived events")
    return _block("The counter", settings, [("Counter", counted(settings.shards, "shard")), next_row])


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 shard` or `4 shards`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _edge_rows(settings: Settings, port: int) -> Rows:
    return [("Edge", f"{local_url(settings.host, port)}  ({counted(settings.workers, 'worker')}, serves the tags)")]


def _api_rows(settings: Settings, port: int) -> Rows:
    url = local_url(settings.host, port)
    return [("API", f"{url}  (log in as {settings.admin_username})"), ("API docs", f"{url}/docs")]


def _tag_rows(settings: Settings, port: int) -> Rows:
    base = settings.public_url.rstrip("/") or local_url(settings.host, port)
    tag = f'<img src="{base}/imptr?id=1&t=2&cachebuster=[CACHEBUSTER]" width="1" height="1">'
    return [
        ("A tag", tag),
        ("Try it", f"curl -i '{base}/imptr?id=1&t=2'"),
        ("", "X-OneByOne in the answer says `recorded`, or why not: here until tracker 1 exists"),
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
