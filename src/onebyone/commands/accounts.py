"""The commands `onebyone member` and `onebyone user`: accounts in the store, with or without a running API."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import typer

members = typer.Typer(help="Members: the tenants of this installation.", no_args_is_help=True)
users = typer.Typer(help="Users of members.", no_args_is_help=True)

Member = Annotated[int, typer.Option("--member", help="Id of the member.")]


def _ask(name: str, *arguments: object, **options: object) -> Any:
    """Runs a function of `resources/admin/administration.py` on the store of the settings; faults are one line."""
    from pydantic import ValidationError
    from sqlalchemy.exc import SQLAlchemyError

    from onebyone.resources.admin import administration
    from onebyone.settings import Settings

    try:
        return asyncio.run(getattr(administration, name)(Settings(), *arguments, **options))
    except administration.AdministrationError as error:
        text = str(error)
    except ValidationError as error:
        text = "; ".join(f"ONEBYONE_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors())
    except (SQLAlchemyError, OSError) as error:
        text = f"the configuration store cannot be used: {getattr(error, 'orig', None) or error}"
    print(f"onebyone: {text}", file=sys.stderr)
    raise typer.Exit(1)


def _password() -> str:
    """Asked for twice at a terminal; the first line of standard input otherwise."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


@members.command("list")
def list_members() -> None:
    """Prints id, state and name of each member."""
    for row in _ask("members"):
        typer.echo("\t".join(map(str, row)))


@members.command("create")
def create_member(name: str, trackers: Annotated[bool, typer.Option(help="May it create trackers?")] = True) -> None:
    """Creates a member and prints its id."""
    typer.echo(_ask("create_member", name, trackers=trackers))


@members.command("disable")
def disable_member(member_id: int) -> None:
    """Lets no user of the member in; its trackers go on."""
    _ask("set_member", member_id, active=False)


@members.command("enable")
def enable_member(member_id: int) -> None:
    """Lets the users of the member in again."""
    _ask("set_member", member_id, active=True)


@users.command("list")
def list_users() -> None:
    """Prints id, member, state, kind and name of each user."""
    for row in _ask("users"):
        typer.echo("\t".join(map(str, row)))


@users.command("create")
def create_user(
    username: str, member: Member = 1, admin: Annotated[bool, typer.Option(help="May it audit and switch?")] = False
) -> None:
    """Creates a user and prints its id."""
    typer.echo(_ask("create_user", member, username, _password(), admin=admin))


@users.command("password")
def set_password(username: str) -> None:
    """Sets a password and ends the user's sessions."""
    _ask("set_user", username, password=_password() or " ")


@users.command("disable")
def disable_user(username: str) -> None:
    """Lets the user in no more."""
    _ask("set_user", username, active=False)


@users.command("enable")
def enable_user(username: str) -> None:
    """Lets the user in again."""
    _ask("set_user", username, active=True)
