"""The command `onebyone`: options are settings by another name, and faults are lines, not tracebacks."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onebyone import __version__
from onebyone.commands import accounts

if TYPE_CHECKING:
    from onebyone.settings import Settings

app = typer.Typer(
    help="Counts ad impressions and clicks one by one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

DEMO_DIR = "onebyone-demo"
BAD_SETTINGS = 2
"""Exit code when settings are missing or wrong."""

_URL_SCHEMES = {
    "database_url": ("sqlite+aiosqlite:///", "postgresql+asyncpg://"),
    "report_database_url": ("sqlite+aiosqlite:///", "postgresql+asyncpg://"),
    "cache_url": ("redis://", "rediss://", "unix://"),
    "stream_url": ("redis://", "rediss://", "unix://"),
    "public_url": ("http://", "https://"),
}

DataDir = Annotated[str, typer.Option(help="Folder of everything kept on disk. Default: ./onebyone-data.")]
Host = Annotated[str, typer.Option(help="Address to listen on. Default: 127.0.0.1.")]
EdgePort = Annotated[str, typer.Option(help="Port of the tag endpoints; 0 picks a free one. Default: 8080.")]
ApiPort = Annotated[str, typer.Option(help="Port of the config API and reports; 0 picks a free one. Default: 8081.")]
Workers = Annotated[str, typer.Option(help="Edge processes. Default: number of cores, at most 4.")]


@app.command()
def serve(
    data_dir: DataDir = "", host: Host = "", edge_port: EdgePort = "", api_port: ApiPort = "", workers: Workers = ""
) -> None:
    """Runs everything: edge, config API and counter, on an embedded Valkey and SQLite unless URLs are set."""
    settings = _settings(data_dir=data_dir, host=host, edge_port=edge_port, api_port=api_port, workers=workers)
    from onebyone.supervisor import main, plans

    raise typer.Exit(main.run(settings, ("edge", "api", "counter"), plans.everything, embed=True))


@app.command()
def edge(data_dir: DataDir = "", host: Host = "", edge_port: EdgePort = "", workers: Workers = "") -> None:
    """Runs the tag endpoints alone; needs ONEBYONE_CACHE_URL and ONEBYONE_STREAM_URL."""
    settings = _settings(data_dir=data_dir, host=host, edge_port=edge_port, workers=workers)
    _require(settings, "cache_url", "stream_url")
    from onebyone.supervisor import main, plans

    raise typer.Exit(main.run(settings, ("edge",), plans.edge_only, embed=False))


@app.command()
def api(data_dir: DataDir = "", host: Host = "", api_port: ApiPort = "") -> None:
    """Runs the config API alone; needs ONEBYONE_CACHE_URL."""
    settings = _settings(data_dir=data_dir, host=host, api_port=api_port)
    _require(settings, "cache_url")
    from onebyone.supervisor import main, plans

    raise typer.Exit(main.run(settings, ("api",), plans.api_only, embed=False))


@app.command()
def counter(data_dir: DataDir = "") -> None:
    """Runs the counter alone; needs ONEBYONE_STREAM_URL."""
    settings = _settings(data_dir=data_dir)
    _require(settings, "stream_url")
    from onebyone.supervisor import main, plans

    raise typer.Exit(main.run(settings, ("counter",), plans.counter_only, embed=False))


@app.command()
def demo(
    data_dir: Annotated[str, typer.Option(help="Folder of the demo, never that of a real installation.")] = DEMO_DIR,
    host: Host = "",
    edge_port: EdgePort = "",
    api_port: ApiPort = "",
    workers: Workers = "",
    password: Annotated[str, typer.Option(help="Password of the demo's user. Default: one is made.")] = "",
    events: Annotated[int, typer.Option(min=0, help="Requests to send before the traffic ends.")] = 2000,
    rate: Annotated[float, typer.Option(min=0.1, max=100, help="Requests a second, about.")] = 5.0,
) -> None:
    """Runs everything with a sample member, six trackers and a trickle of traffic."""
    settings = _settings(
        data_dir=data_dir,
        host=host,
        edge_port=edge_port,
        api_port=api_port,
        workers=workers,
        admin_username="admin",
        admin_password=password or _demo_password(data_dir),
    )
    shared = [name for name in _URL_SCHEMES if name != "public_url" and getattr(settings, name)]
    if shared:
        _refuse(*(f"{_variable(name)} is set, but the demo runs on stores of its own" for name in shared))
    from onebyone.supervisor import main, plans
    from onebyone.supervisor.roles import Role, module

    arguments = ("--events", str(events), "--rate", str(rate))
    traffic = Role("demo", "", module("demo", *arguments), once=True)
    run = partial(plans.everything, more=(traffic,))
    raise typer.Exit(main.run(settings, ("edge", "api", "counter"), run, embed=True))


def _demo_password(data_dir: str) -> str:
    from onebyone.demo import credentials

    try:
        return credentials.password(Path(data_dir))
    except OSError as error:
        print(f"onebyone: data dir {data_dir} cannot be used: {error.strerror}", file=sys.stderr)
        raise typer.Exit(1) from None


@app.command()
def tail(data_dir: DataDir = "") -> None:
    """Prints events as they pass, one JSON line each: from ONEBYONE_STREAM_URL, else from a running `serve`."""
    settings = _settings(data_dir=data_dir)
    from onebyone.commands import tail as events

    raise typer.Exit(events.run(settings))


app.add_typer(accounts.members, name="member")
app.add_typer(accounts.users, name="user")


@app.command()
def check(
    data_dir: DataDir = "",
    edge_port: EdgePort = "",
    api_port: ApiPort = "",
    hours: Annotated[int, typer.Option(min=0, help="Recount only the newest hours; 0: all that is archived.")] = 0,
) -> None:
    """Looks at a data folder and what runs on it, says what is wrong and what to do; changes nothing."""
    settings = _settings(data_dir=data_dir, edge_port=edge_port, api_port=api_port)
    from onebyone.check import main

    raise typer.Exit(main.run(settings, hours))


letters = typer.Typer(help="Records that could not be counted: lists them, or counts them again.", no_args_is_help=True)
app.add_typer(letters, name="dead-letters")

Reason = Annotated[str, typer.Option(help="Only letters of this reason, such as unknown_version.")]
Limit = Annotated[int, typer.Option(min=0, help="At most so many letters; 0: all.")]


@letters.command("list")
def list_letters(
    data_dir: DataDir = "",
    reason: Reason = "",
    limit: Limit = 100,
    whole: Annotated[bool, typer.Option("--whole", help="All bytes of each, not the first 2000.")] = False,
) -> None:
    """Prints dead letters in the order in which they were found, one JSON line each."""
    settings = _settings(data_dir=data_dir)
    from onebyone.commands import dead_letters

    raise typer.Exit(dead_letters.show(settings, reason or None, limit or None, whole=whole))


@letters.command("replay")
def replay_letters(data_dir: DataDir = "", reason: Reason = "", limit: Limit = 0) -> None:
    """Counts the letters that this release can read, each once, while the product runs or not."""
    settings = _settings(data_dir=data_dir)
    from onebyone.commands import dead_letters

    raise typer.Exit(dead_letters.replay(settings, reason or None, limit or None))


missing = typer.Typer(help="Batches that later ones wait for: lists them, or gives them up.", no_args_is_help=True)
app.add_typer(missing, name="missing")


@missing.command("list")
def list_missing(data_dir: DataDir = "") -> None:
    """Prints the producers of which a batch is missing, one JSON line each."""
    settings = _settings(data_dir=data_dir)
    from onebyone.commands import missing

    raise typer.Exit(missing.show(settings))


@missing.command("give-up")
def give_up_missing(
    producers: Annotated[list[str], typer.Argument(help="As `missing list` names them.")], data_dir: DataDir = ""
) -> None:
    """Declares the missing batches of producers lost, where their edge's disk is gone for good; counting goes on."""
    settings = _settings(data_dir=data_dir)
    from onebyone.commands import missing

    raise typer.Exit(missing.give_up(settings, producers))


@app.command()
def version() -> None:
    """Prints the version."""
    typer.echo(__version__)


def _settings(**options: str) -> Settings:
    """The settings, with command line options in place of their variables; prints one line a fault and exits."""
    os.environ.update({_variable(name): value for name, value in options.items() if value})
    from pydantic import ValidationError

    from onebyone.settings import Settings

    try:
        settings = Settings()
    except ValidationError as error:
        _refuse(*(f"{_variable(str(fault['loc'][0]))}: {fault['msg']}" for fault in error.errors()))
    bad = [
        name
        for name, schemes in _URL_SCHEMES.items()
        if not (getattr(settings, name) or schemes[0]).startswith(schemes)
    ]
    if bad:
        _refuse(*(f"{_variable(name)}: must start with {' or '.join(_URL_SCHEMES[name])}" for name in bad))
    unreadable = {name: fault for name in _URL_SCHEMES if (fault := _port_fault(getattr(settings, name)))}
    if unreadable:
        _refuse(*(f"{_variable(name)}: {fault}" for name, fault in unreadable.items()))
    return settings


def _port_fault(url: str) -> str | None:
    from urllib.parse import urlsplit

    try:
        _ = urlsplit(url).port
    except ValueError as error:
        return str(error)
    return None


def _require(settings: Settings, *names: str) -> None:
    missing = [name for name in names if not getattr(settings, name)]
    if missing:
        _refuse(*(f"{_variable(name)} is not set; only `onebyone serve` runs without it" for name in missing))


def _refuse(*lines: str) -> None:
    for line in lines:
        print(f"onebyone: {line}", file=sys.stderr)
    raise typer.Exit(BAD_SETTINGS)


def _variable(name: str) -> str:
    return f"ONEBYONE_{name.upper()}"
