"""The command line: options, faults as single lines, and the commands that need no role."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from onebyone import __version__
from onebyone.cli import app
from onebyone.contracts import batches, events, keys
from tests.supervisor.running import Running
from tests.support.payloads import payload
from tests.support.ports import free_port
from tests.support.tiers import starts_processes
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import wait_until

Run = Callable[..., Running]

EVENT = {
    "v": events.VERSION,
    "id": 7,
    "ts": 1_790_000_000_000,
    "kind": "imp",
    "tracker_id": 3,
    "member_id": 1,
    "advertiser_id": 1,
    "line_item_id": 1,
    "insertion_order_id": 0,
    "publisher_id": 1,
    "site_id": 0,
    "tag_id": 0,
    "payment_rule_id": 0,
}


@pytest.fixture
@starts_processes
def onebyone(tmp_path: Path) -> Iterator[Run]:
    """Run the command with arguments and settings."""
    running: list[Running] = []

    def start(*arguments: str, **settings: object) -> Running:
        folder = tmp_path / f"run{len(running)}"
        folder.mkdir()
        settings = {"data_dir": tmp_path / "data"} | settings
        running.append(Running(folder, "-m", "onebyone", *arguments, **settings))
        return running[-1]

    yield start
    for each in running:
        each.end()


def all_commands(group: Any, words: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command and group of commands, each after the words that call it."""
    yield words, group
    for name, command in getattr(group, "commands", {}).items():
        yield from all_commands(command, f"{words} {name}".strip())


COMMANDS: dict[str, Any] = dict(all_commands(get_command(app)))


@pytest.mark.parametrize("arguments", [("version",), ("--version",), ("--version", "serve")])
def test_version(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, list(arguments))
    assert (result.exit_code, result.output) == (0, f"{__version__}\n")


@pytest.mark.parametrize("words", COMMANDS)
def test_help_is_not_cut_off_on_80_columns(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = CliRunner().invoke(app, [*words.split(), "--help"]).output
    assert "..." not in text.replace("[ARGS]...", "").replace("{PRODUCER}...", "")
    assert all(len(line) <= 80 for line in text.splitlines())
    assert COMMANDS[words].help, "every command says what it does"
    assert all(option.help for option in COMMANDS[words].params), "and every option"


@pytest.mark.parametrize("words", [words for words, command in COMMANDS.items() if not hasattr(command, "commands")])
def test_every_command_that_uses_a_data_folder_takes_it_as_an_option(words: str) -> None:
    assert "--data-dir" in {name for option in COMMANDS[words].params for name in option.opts} or words == "version"


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("serve", "--edge-port", "many"), "Invalid value for '--edge-port'"),
        (("serve", "--edge-port", "70000"), "Invalid value for '--edge-port': Input should be less than"),
        (("serve", "--workers", "0"), "Invalid value for '--workers'"),
        (("check", "--api-port", "-1"), "Invalid value for '--api-port'"),
        (("serve", "--datadir", "x"), "No such option: --datadir"),
    ],
)
def test_an_error_names_the_option_that_was_typed(arguments: tuple[str, ...], fault: str) -> None:
    result = CliRunner().invoke(app, list(arguments), env={"ONEBYONE_EDGE_PORT": "nonsense"})
    assert result.exit_code == 2
    assert fault in result.stderr
    assert "ONEBYONE" not in result.stderr


@pytest.mark.parametrize("option", ["--data-dir", "--host"])
def test_an_empty_option_is_an_absent_one(onebyone: Run, option: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = onebyone("serve", option, "", edge_port=taken.getsockname()[1], api_port=0)
        assert run.wait() == 1
    assert run.stderr[0].startswith("onebyone: cannot listen on 127.0.0.1 ")
    assert (tmp_path / "data" / "run").is_dir()


@pytest.mark.parametrize(
    ("arguments", "settings", "line"),
    [
        (
            ("serve",),
            {"admin_password": "weak"},
            "onebyone: ONEBYONE_ADMIN_PASSWORD: must have 10 to 64 characters, with upper and lower case, a digit",
        ),
        (
            ("demo", "--password", "weak"),
            {},
            "onebyone: --password: must have 10 to 64 characters, with upper and lower",
        ),
    ],
)
def test_a_weak_password_is_refused_at_the_first_start(
    onebyone: Run, arguments: tuple[str, ...], settings: dict[str, object], line: str
) -> None:
    run = onebyone(*arguments, edge_port=0, api_port=0, workers=1, drain_seconds=0, **settings)
    assert run.wait() == 2
    assert any(each.startswith(line) for each in run.stderr), run.stderr


def test_a_check_of_nothing_says_so_and_fails(onebyone: Run, tmp_path: Path) -> None:
    run = onebyone("check", "--data-dir", str(tmp_path / "none"), edge_port=1, api_port=1, counter_port=1)
    assert run.wait() == 2
    assert run.stdout[-1].startswith("nothing could be checked: nothing runs here, and ")
    assert all(line.startswith("skipped ") for line in run.stdout[:-1])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "settings", "lines"),
    [
        (
            "each fault is a line",
            ("serve",),
            {"edge_port": 70000, "workers": "many"},
            ["ONEBYONE_EDGE_PORT: Input should be less than", "ONEBYONE_WORKERS: Input should be a valid integer"],
        ),
        ("a bad network", ("serve",), {"trusted_proxies": "10.0.0.0/99"}, ["ONEBYONE_TRUSTED_PROXIES: "]),
        ("a bad choice", ("serve",), {"receipt": "paper"}, ["ONEBYONE_RECEIPT: Input should be 'disk' or 'memory'"]),
        (
            "a URL with another scheme",
            ("serve",),
            {"cache_url": "http://x"},
            ["ONEBYONE_CACHE_URL: must start with redis://"],
        ),
        (
            "a URL with a port that is no number",
            ("serve",),
            {"stream_url": "redis://127.0.0.1:notaport"},
            ["ONEBYONE_STREAM_URL: Port could not be cast"],
        ),
        (
            "an unsupported driver",
            ("serve",),
            {"database_url": "postgresql://x/y"},
            ["ONEBYONE_DATABASE_URL: must start with sqlite+aiosqlite:/// or postgresql+asyncpg://"],
        ),
        (
            "an edge alone needs both servers",
            ("edge",),
            {},
            ["ONEBYONE_CACHE_URL is not set", "ONEBYONE_STREAM_URL is not set"],
        ),
        ("an API alone needs the cache", ("api",), {}, ["ONEBYONE_CACHE_URL is not set"]),
        ("a counter alone needs the stream", ("counter",), {}, ["ONEBYONE_STREAM_URL is not set"]),
        (
            "a demo never runs on real stores",
            ("demo", "--password", "Given-0ne-Password"),
            {"database_url": "postgresql+asyncpg://x/y"},
            ["ONEBYONE_DATABASE_URL is set"],
        ),
    ],
)
def test_each_faulty_variable_is_one_line_and_exit_code_2(
    onebyone: Run, name: str, arguments: tuple[str, ...], settings: dict[str, object], lines: list[str]
) -> None:
    run = onebyone(*arguments, **settings)
    assert run.wait() == 2, name
    assert [line.startswith(f"onebyone: {start}") for line, start in zip(run.stderr, lines, strict=True)] == [
        True for _ in lines
    ], run.stderr


def test_a_port_in_use_fails_with_one_line(onebyone: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = onebyone("serve", "--edge-port", str(port), "--api-port", str(free_port()))
        assert run.wait() == 1
    assert run.stderr == [
        f"onebyone: cannot listen on 127.0.0.1 port {port}: Address already in use; --edge-port names the port"
    ]


def test_a_bad_host_fails_with_one_line(onebyone: Run) -> None:
    run = onebyone("serve", "--host", "192.0.2.1")
    assert run.wait() == 1
    assert len(run.stderr) == 1
    assert run.stderr[0].startswith("onebyone: cannot listen on 192.0.2.1")


def test_a_demo_on_a_file_fails_with_one_line(onebyone: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = onebyone("demo", "--data-dir", str(tmp_path / "file"))
    assert run.wait() == 1
    assert len(run.stderr) == 1
    assert "cannot be used" in run.stderr[0]


@pytest.mark.parametrize(
    ("name", "settings", "line"),
    [
        ("nothing runs", {}, "onebyone: no `onebyone serve` runs on"),
        ("no server there", {"stream_url": "redis://127.0.0.1:1"}, "onebyone: the stream server does not answer"),
    ],
)
def test_tail_without_a_stream_server_fails_with_one_line(
    onebyone: Run, name: str, settings: dict[str, object], line: str
) -> None:
    run = onebyone("tail", **settings)
    assert run.wait() == 1, name
    assert len(run.stderr) == 1
    assert run.stderr[0].startswith(line)


def test_tail_prints_new_events_of_all_shards(onebyone: Run, shared_valkey: ValkeyProcess) -> None:
    def entry(seq: int, event: dict[str, object]) -> dict[str, str | int | bytes]:
        return batches.to_entry(batches.Batch("0" * 16, seq, 1, payload([event])))

    with shared_valkey.client() as client:
        client.xadd(keys.events_key(0), entry(1, {**EVENT, "id": 1}))
        run = onebyone("tail", stream_url=shared_valkey.url, shards=2)

        def seen() -> list[int]:
            # Events before it is connected are not printed, so send some until those of both shards appear.
            client.xadd(keys.events_key(0), entry(2, {**EVENT, "id": 2, "v": 1}))
            client.xadd(keys.events_key(1), entry(3, {**EVENT, "id": 3}))
            client.xadd(keys.events_key(1), {"not": "a batch"})
            assert {orjson.loads(line)["v"] for line in run.stdout} <= {events.VERSION}
            ids = [orjson.loads(line)["id"] for line in run.stdout]
            return ids if {2, 3} <= set(ids) else []

        assert 1 not in wait_until(seen, "both shards", every=0.3)
        wait_until(lambda: any("unreadable batch" in line for line in run.stderr), "the broken batch is reported")
        run.interrupt_group()
        assert run.wait() == 0
