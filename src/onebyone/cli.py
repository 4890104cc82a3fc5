"""The command `onebyone`: options are settings by another name, and faults are lines, not tracebacks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from onebyone import __version__
from onebyone.commands import accounts, signed_links
from onebyone.commands.options import (
    ApiPort,
    CounterPort,
    DataDir,
    EdgePort,
    Host,
    Workers,
    fail,
    load_private_settings,
    load_settings,
    refuse,
)
from onebyone.runtime.private_files import restrict_new_files
from onebyone.runtime.store_urls import SCHEMES

app = typer.Typer(
    help="Count ad impressions and clicks one by one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)

DEMO_DIR = Path("onebyone-demo")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Count ad impressions and clicks one by one."""
    restrict_new_files()


@app.command()
def serve(
    data_dir: DataDir = None,
    host: Host = None,
    edge_port: EdgePort = None,
    api_port: ApiPort = None,
    counter_port: CounterPort = None,
    workers: Workers = None,
) -> None:
    """Run everything: edge, API and counter.

    Starts an embedded Valkey and uses SQLite, unless ONEBYONE_CACHE_URL, ONEBYONE_STREAM_URL and
    ONEBYONE_DATABASE_URL name other servers.
    """
    settings = load_settings(
        data_dir=data_dir,
        host=host,
        edge_port=edge_port,
        api_port=api_port,
        counter_port=counter_port,
        workers=workers,
    )
    from onebyone.supervisor import main, plans

    raise typer.Exit(main.run_plan(settings, ("edge", "api", "counter"), plans.plan_product, embed=True))


@app.command()
def edge(data_dir: DataDir = None, host: Host = None, edge_port: EdgePort = None, workers: Workers = None) -> None:
    """Run the tag endpoints alone.

    Needs ONEBYONE_CACHE_URL and ONEBYONE_STREAM_URL.
    """
    needed = ("cache_url", "stream_url")
    settings = load_settings(*needed, data_dir=data_dir, host=host, edge_port=edge_port, workers=workers)
    from onebyone.supervisor import main, plans

    raise typer.Exit(main.run_plan(settings, ("edge",), plans.plan_edge, embed=False))


@app.command()
def api(data_dir: DataDir = None, host: Host = None, api_port: ApiPort = None) -> None:
    """Run the config API and the reports alone.

    Needs ONEBYONE_CACHE_URL.
    """
    settings = load_settings("cache_url", data_dir=data_dir, host=host, api_port=api_port)
    from onebyone.supervisor import main, plans

    raise typer.Exit(main.run_plan(settings, ("api",), plans.plan_api, embed=False))


@app.command()
def counter(data_dir: DataDir = None, host: Host = None, counter_port: CounterPort = None) -> None:
    """Run the counter alone.

    Needs ONEBYONE_STREAM_URL.
    """
    settings = load_settings("stream_url", data_dir=data_dir, host=host, counter_port=counter_port)
    from onebyone.supervisor import main, plans

    raise typer.Exit(main.run_plan(settings, ("counter",), plans.plan_counter, embed=False))


@app.command()
def demo(
    data_dir: Annotated[
        Path, typer.Option(help="Folder of the demo, never that of a real installation.", metavar="DIRECTORY")
    ] = DEMO_DIR,
    host: Host = None,
    edge_port: EdgePort = None,
    api_port: ApiPort = None,
    counter_port: CounterPort = None,
    workers: Workers = None,
    password: Annotated[
        str | None, typer.Option(help="Password of the demo's user. Default: a generated one.", metavar="TEXT")
    ] = None,
    events: Annotated[int, typer.Option(min=0, help="Requests to send in all.", metavar="INTEGER")] = 2000,
    rate: Annotated[float, typer.Option(min=0.1, max=100, help="Requests per second, about.", metavar="NUMBER")] = 5.0,
) -> None:
    """Run everything with sample trackers and traffic.

    Creates a sample member with six trackers in a folder of its own and sends a trickle of requests.
    """
    settings = load_settings(
        data_dir=data_dir,
        host=host,
        edge_port=edge_port,
        api_port=api_port,
        counter_port=counter_port,
        workers=workers,
        admin_username="admin",
        admin_password=_demo_password(data_dir, password),
    )
    shared = [name for name in SCHEMES if getattr(settings, name)]
    if shared:
        refuse(*(f"{name} is set, but the demo only uses its own stores" for name in settings.names(*shared)))
    from onebyone.supervisor import main, plans
    from onebyone.supervisor.roles import Role, role_command

    arguments = ("--events", str(events), "--rate", str(rate))
    traffic = Role("demo", "", role_command("demo", *arguments), one_shot=True)
    plan = partial(plans.plan_demo, traffic=traffic)
    raise typer.Exit(main.run_plan(settings, ("edge", "api", "counter"), plan, embed=True))


def _demo_password(data_dir: Path, typed: str | None) -> str:
    from onebyone.auth.password_rules import check_password
    from onebyone.demo.credentials import demo_password

    if typed is not None:
        try:
            return check_password(typed)
        except ValueError as error:
            refuse(f"--password: {error}")
    try:
        return demo_password(data_dir)
    except OSError as error:
        fail(f"data folder {data_dir} cannot be used: {error.strerror}")


@app.command()
def tail(data_dir: DataDir = None) -> None:
    """Print events as they pass, one JSON line each.

    Reads the server of ONEBYONE_STREAM_URL, else that of the `onebyone serve` which runs on the data folder.
    """
    settings = load_settings(data_dir=data_dir)
    from onebyone.commands.tail import tail_events

    raise typer.Exit(tail_events(settings))


app.add_typer(accounts.members, name="member")
app.add_typer(accounts.users, name="user")
app.add_typer(signed_links.keys, name="signing-key")
app.command("sign")(signed_links.sign)


@app.command()
def check(
    data_dir: DataDir = None,
    host: Host = None,
    edge_port: EdgePort = None,
    api_port: ApiPort = None,
    counter_port: CounterPort = None,
    hours: Annotated[
        int, typer.Option(min=0, help="Recount only the newest hours; 0: all that is archived.", metavar="INTEGER")
    ] = 0,
) -> None:
    """Look for faults in an installation; change nothing.

    Looks at the data folder and at what runs on it, says what is wrong and what to do. Exits with 0 when nothing is
    wrong, with 1 when something is, and with 2 when it found no data to look at.
    """
    settings = load_settings(
        data_dir=data_dir, host=host, edge_port=edge_port, api_port=api_port, counter_port=counter_port
    )
    from onebyone.check.main import run_check

    raise typer.Exit(run_check(settings, hours))


@app.command()
def classify(data_dir: DataDir = None) -> None:
    """Print how many events are of which class of invalid traffic.

    Reads standard input: a line is a user agent, or an event as `onebyone tail` prints it. Uses the lists of the
    installation, and prints them first.
    """
    settings = load_settings(data_dir=data_dir)
    from onebyone.commands.classify import print_classes

    raise typer.Exit(print_classes(settings))


letters = typer.Typer(help="List records that could not be counted, or retry them.", no_args_is_help=True)
app.add_typer(letters, name="dead-letters")

Reason = Annotated[
    str | None, typer.Option(help="Only dead letters with this reason, such as unknown_version.", metavar="TEXT")
]
Limit = Annotated[int, typer.Option(min=0, help="At most this many dead letters; 0: all.", metavar="INTEGER")]


@letters.command("list")
def list_letters(
    data_dir: DataDir = None,
    reason: Reason = None,
    limit: Limit = 100,
    whole: Annotated[bool, typer.Option("--whole", help="All bytes of each, not only the first 2000.")] = False,
) -> None:
    """Print dead letters, oldest first, one JSON line each."""
    settings = load_private_settings(data_dir=data_dir)
    from onebyone.commands.dead_letters import print_dead_letters

    raise typer.Exit(print_dead_letters(settings, reason or None, limit or None, whole=whole))


@letters.command("replay")
def replay_letters(data_dir: DataDir = None, reason: Reason = None, limit: Limit = 0) -> None:
    """Count the dead letters that this release can read.

    Each is counted once, however often this runs, and whether or not the product runs.
    """
    settings = load_private_settings(data_dir=data_dir)
    from onebyone.commands.dead_letters import replay_dead_letters

    raise typer.Exit(replay_dead_letters(settings, reason or None, limit or None))


missing = typer.Typer(help="List missing batches that block others, or give them up.", no_args_is_help=True)
app.add_typer(missing, name="missing")


@missing.command("list")
def list_missing(data_dir: DataDir = None) -> None:
    """Print producers with a missing batch, one JSON line each."""
    settings = load_private_settings(data_dir=data_dir)
    from onebyone.commands.missing import print_missing

    raise typer.Exit(print_missing(settings))


@missing.command("give-up")
def give_up_missing(
    producers: Annotated[list[str], typer.Argument(help="As `missing list` names them.", metavar="PRODUCER")],
    data_dir: DataDir = None,
) -> None:
    """Declare the missing batches of producers lost.

    For producers whose edge lost its disk for good: their later batches are counted from then on.
    """
    settings = load_private_settings(data_dir=data_dir)
    from onebyone.commands.missing import give_up_batches

    raise typer.Exit(give_up_batches(settings, producers))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)
