"""The commands `onebyone member` and `onebyone user`: accounts in the store, whether or not the API runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer

from onebyone.commands.options import DataDir, fail, load_private_settings

if TYPE_CHECKING:
    from onebyone.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

members = typer.Typer(help="Manage members: the tenants of this installation.", no_args_is_help=True)
users = typer.Typer(help="Manage the users of members.", no_args_is_help=True)

MemberId = Annotated[int, typer.Argument(help="Id of the member.", metavar="ID")]
MemberOption = Annotated[int, typer.Option("--member", help="Id of the member.", metavar="INTEGER")]
Username = Annotated[str, typer.Argument(help="Name of the user.", metavar="NAME")]


def run_on_store(
    data_dir: DataDir,
    function: Callable[Concatenate[Settings, P], Awaitable[T]],
    *arguments: P.args,
    **options: P.kwargs,
) -> T:
    """Return what a function of `administration` returns for the store of the settings; print a fault as one line."""
    from sqlalchemy.exc import SQLAlchemyError

    from onebyone.config_store import schema
    from onebyone.resources.admin import administration
    from onebyone.runtime import sql
    from onebyone.runtime.migration import NewerSchema

    settings = load_private_settings(data_dir=data_dir)
    if sql.is_missing(settings.config_store_url):
        fail(f"there is no configuration store at {settings.config_store_url}: the first start of the API creates it")

    async def run() -> T:
        await schema.require_known(settings.config_store_url)
        return await function(settings, *arguments, **options)

    try:
        return asyncio.run(run())
    except administration.AdministrationError as error:
        fault = str(error)
    except NewerSchema as newer:
        fault = f"the configuration store cannot be used: {newer}"
    except (SQLAlchemyError, OSError) as error:
        fault = f"the configuration store cannot be used: {getattr(error, 'orig', None) or error}"
    fail(fault)


def _ask_password() -> str:
    """Return a password: asked for twice on a terminal, else the first line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def echo_rows(rows: list[Any]) -> None:
    """Print one line for each row, with tabs between its values."""
    for row in rows:
        typer.echo("\t".join(map(str, row)))


@members.command("list")
def list_members(data_dir: DataDir = None) -> None:
    """Print id, state and name of each member."""
    from onebyone.resources.admin import administration

    echo_rows(run_on_store(data_dir, administration.list_members))


@members.command("create")
def create_member(
    name: Annotated[str, typer.Argument(help="Name of the member.", metavar="NAME")],
    trackers: Annotated[bool, typer.Option(help="Whether it may create trackers.")] = True,
    data_dir: DataDir = None,
) -> None:
    """Create a member and print its id."""
    from onebyone.resources.admin import administration

    typer.echo(run_on_store(data_dir, administration.create_member, name, trackers=trackers))


@members.command("disable")
def disable_member(member_id: MemberId, data_dir: DataDir = None) -> None:
    """Disable the logins of the member's users.

    Its trackers keep counting.
    """
    from onebyone.resources.admin import administration

    run_on_store(data_dir, administration.set_member, member_id, active=False)


@members.command("enable")
def enable_member(member_id: MemberId, data_dir: DataDir = None) -> None:
    """Enable the logins of the member's users again."""
    from onebyone.resources.admin import administration

    run_on_store(data_dir, administration.set_member, member_id, active=True)


@members.command("allow-trackers")
def allow_trackers(member_id: MemberId, data_dir: DataDir = None) -> None:
    """Let the member create trackers."""
    from onebyone.resources.admin import administration

    run_on_store(data_dir, administration.set_trackers, member_id, allowed=True)


@members.command("forbid-trackers")
def forbid_trackers(member_id: MemberId, data_dir: DataDir = None) -> None:
    """Keep the member from creating trackers.

    Those that it has keep counting.
    """
    from onebyone.resources.admin import administration

    run_on_store(data_dir, administration.set_trackers, member_id, allowed=False)


@users.command("list")
def list_users(data_dir: DataDir = None) -> None:
    """Print id, member, state, kind and name of each user."""
    from onebyone.resources.admin import administration

    echo_rows(run_on_store(data_dir, administration.list_users))


@users.command("create")
def create_user(
    username: Username,
    member: MemberOption = 1,
    admin: Annotated[bool, typer.Option(help="Whether it may manage users, act as them and audit pixels.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Create a user and print its id.

    Asks for the password on a terminal, and reads it from standard input elsewhere.
    """
    from onebyone.resources.admin import administration

    typer.echo(run_on_store(data_dir, administration.create_user, member, username, _ask_password(), admin=admin))


@users.command("password")
def set_password(username: Username, data_dir: DataDir = None) -> None:
    """Set the user's password and end its sessions.

    Asks for the password on a terminal, and reads it from standard input elsewhere.
    """
    from onebyone.resources.admin import administration

    run_on_store(data_dir, administration.set_user, username, password=_ask_password())


@users.command("disable")
def disable_user(username: Username, data_dir: DataDir = None) -> None:
    """Disable the user's login and end its sessions."""
    from onebyone.resources.admin import administration

    run_on_store(data_dir, administration.set_user, username, active=False)


@users.command("enable")
def enable_user(username: Username, data_dir: DataDir = None) -> None:
    """Enable the user's login again."""
    from onebyone.resources.admin import administration

    run_on_store(data_dir, administration.set_user, username, active=True)
