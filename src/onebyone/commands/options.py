"""Options that several commands share, and the settings that they and the environment make."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from onebyone.runtime.exit_codes import BAD_SETTINGS
from onebyone.runtime.terminal import printable

if TYPE_CHECKING:
    from onebyone.settings import Settings


def _parse_folder(value: str) -> Path | None:
    return Path(value) if value else None


DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder of everything kept on disk. Default: onebyone-data.", metavar="DIRECTORY", parser=_parse_folder
    ),
]
Host = Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1.", metavar="ADDRESS")]
EdgePort = Annotated[
    int | None,
    typer.Option(
        help="Port of the tag endpoints; 0 picks a free one. Default: 8080.", min=0, max=65535, metavar="INTEGER"
    ),
]
ApiPort = Annotated[
    int | None,
    typer.Option(
        help="Port of the config API and reports; 0 picks a free one. Default: 8081.",
        min=0,
        max=65535,
        metavar="INTEGER",
    ),
]
CounterPort = Annotated[
    int | None,
    typer.Option(
        help="Port of the counter for its operators; 0: none. Default: 8082.", min=0, max=65535, metavar="INTEGER"
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Number of edge processes. Default: the number of cores, at most 4.", min=1, max=64, metavar="INTEGER"
    ),
]


def load_settings(*needed: str, **options: Any) -> Settings:
    """Return the settings; options that were typed, unless they are empty, win over their variables.

    Print one line for each fault, which names the option or variable that is at fault, and exit. That a setting among
    `needed` is not set is one.
    """
    # Imported here: `--help` and `--version` need no settings.
    from onebyone.runtime.settings_faults import BadSettings, read_settings

    typed = {name: value for name, value in options.items() if value not in (None, "")}
    try:
        return read_settings(*needed, **typed)
    except BadSettings as bad:
        refuse(*bad.faults)


def load_private_settings(**options: Any) -> Settings:
    """Return the settings of a command that opens the stores, once these are closed to other users.

    Print one line for each thing that stays open.
    """
    from onebyone.runtime.private_files import close_to_others

    settings = load_settings(**options)
    for warning in close_to_others(settings):
        write_error(f"warning: {warning}")
    return settings


def refuse(*faults: str) -> NoReturn:
    """Print a line for each fault and exit with the code for bad settings."""
    fail(*faults, exit_code=BAD_SETTINGS)


def fail(*faults: str, exit_code: int = 1) -> NoReturn:
    """Print a line for each fault and exit."""
    for fault in faults:
        write_error(fault)
    raise typer.Exit(exit_code)


def write_error(fault: str) -> None:
    """Print one line on standard error; text from outside in it is escaped."""
    print(f"onebyone: {printable(fault)}", file=sys.stderr, flush=True)
