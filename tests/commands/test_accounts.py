"""`onebyone member` and `onebyone user` on a store of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from onebyone.cli import app
from tests.support import api_harness
from tests.support.api_harness import PASSWORD

Command = Callable[..., Result]


@pytest.fixture
def onebyone(tmp_path: Path) -> Command:
    """Run a command on a prepared store; `text` is its standard input."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'config.sqlite3'}"
    asyncio.run(api_harness.prepare(url))

    def run(*arguments: str, text: str = "") -> Result:
        return CliRunner().invoke(app, list(arguments), input=text, env={"ONEBYONE_DATABASE_URL": url})

    return run


def test_create_disable_enable_and_list_accounts(onebyone: Command) -> None:
    assert onebyone("member", "list").output == "1\tactive\tDefault Member\n"
    assert onebyone("member", "create", "Second").output == "2\n"
    assert onebyone("user", "create", "two", "--member", "2", text=f"{PASSWORD}\n").output == "2\n"
    assert onebyone("user", "create", "root", "--admin", text=f"{PASSWORD}\n").output == "3\n"
    for arguments in (("member", "disable", "2"), ("user", "disable", "TWO")):
        assert onebyone(*arguments).exit_code == 0
    assert onebyone("member", "list").output.splitlines()[1] == "2\tinactive\tSecond"
    assert onebyone("user", "list").output.splitlines() == [
        "1\t1\tactive\tadmin\tadmin",
        "2\t2\tinactive\tmember\ttwo",
        "3\t1\tactive\tadmin\troot",
    ]
    for arguments in (("member", "enable", "2"), ("user", "enable", "two")):
        assert onebyone(*arguments).exit_code == 0
    assert onebyone("user", "password", "two", text="Another-one-1\n").exit_code == 0
    assert "\tactive\tmember\ttwo" in onebyone("user", "list").output


@pytest.mark.parametrize(
    ("arguments", "text", "line"),
    [
        (("member", "create", " "), "", "onebyone: name: must not be blank"),
        (("member", "disable", "9"), "", "onebyone: no member 9"),
        (("user", "create", "x", "--member", "9"), PASSWORD, "onebyone: no member 9"),
        (("user", "create", "ADMIN"), PASSWORD, "onebyone: username: already taken: ADMIN"),
        (("user", "create", "x"), "weak", "onebyone: password: must have 10 to 64 characters"),
        (("user", "password", "admin"), "", "onebyone: password: must have 10 to 64 characters"),
        (("user", "password", "nobody"), PASSWORD, "onebyone: no user nobody"),
        (("user", "disable", "nobody"), "", "onebyone: no user nobody"),
    ],
)
def test_refusals_are_one_line(onebyone: Command, arguments: tuple[str, ...], text: str, line: str) -> None:
    result = onebyone(*arguments, text=text)
    assert result.exit_code == 1
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1


def test_accounts_of_another_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir(mode=0o700)
        asyncio.run(api_harness.prepare(f"sqlite+aiosqlite:///{tmp_path / name / 'config.sqlite3'}"))
    monkeypatch.setenv("ONEBYONE_DATA_DIR", str(tmp_path / "here"))
    there = ["--data-dir", str(tmp_path / "there")]
    assert CliRunner().invoke(app, ["member", "create", "Second", *there]).output == "2\n"
    assert "Second" in CliRunner().invoke(app, ["member", "list", *there]).output
    assert "Second" not in CliRunner().invoke(app, ["member", "list"]).output


def test_a_missing_store_is_named_and_not_created(tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["member", "list", "--data-dir", str(tmp_path)])
    assert run.exit_code == 1
    assert run.output.startswith("onebyone: there is no configuration store at sqlite")
    assert list(tmp_path.iterdir()) == []
