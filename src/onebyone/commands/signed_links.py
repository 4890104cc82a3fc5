"""The commands `onebyone signing-key` and `onebyone sign`: keys of members, and links that are signed with them."""

from __future__ import annotations

from typing import Annotated

import typer

from onebyone.clock import now_ms
from onebyone.commands.accounts import MemberOption, echo_rows, run_on_store
from onebyone.commands.options import DataDir

keys = typer.Typer(help="Manage the keys with which members sign links.", no_args_is_help=True)

_SECONDS_OF_A_DAY = 86_400
"""As POSIX time has them, which knows no leap seconds."""

KeyId = Annotated[str, typer.Argument(help="Id of the key.", metavar="KID")]


@keys.command("create")
def create_key(member: MemberOption = 1, data_dir: DataDir = None) -> None:
    """Print the id and the secret of a new key.

    The secret is never shown again.
    """
    from onebyone.resources.admin import signing_keys

    key = run_on_store(data_dir, signing_keys.create_key, member)
    echo_rows([(key.kid, key.secret)])


@keys.command("list")
def list_keys(member: MemberOption = 1, data_dir: DataDir = None) -> None:
    """Print id and time of creation of each key of the member."""
    from onebyone.resources.admin import signing_keys

    echo_rows(run_on_store(data_dir, signing_keys.list_keys, member))


@keys.command("revoke")
def revoke_key(kid: KeyId, member: MemberOption = 1, data_dir: DataDir = None) -> None:
    """Revoke a key.

    No edge accepts what it has signed from then on.
    """
    from onebyone.resources.admin import signing_keys

    run_on_store(data_dir, signing_keys.revoke_key, member, kid)


def sign(
    tracker_id: Annotated[int, typer.Argument(help="Id of the click tracker.", metavar="ID")],
    target: Annotated[str, typer.Argument(help="Where the link leads.", metavar="URL")],
    days: Annotated[float, typer.Option(help="How long the link is valid.", min=0.001, max=36_500)] = 365.0,
    kid: Annotated[str | None, typer.Option(help="Id of the key. Default: the newest.", metavar="KID")] = None,
    data_dir: DataDir = None,
) -> None:
    """Print a signed URL of a click tracker.

    It leads to the target on any host; a key of the tracker's member signs it.
    """
    from onebyone.resources.admin import signing_keys

    expiry = int(now_ms() / 1000 + days * _SECONDS_OF_A_DAY)
    typer.echo(run_on_store(data_dir, signing_keys.sign_link, tracker_id, target, expiry, kid))
