"""The life of a whole run, with stand-ins for the roles and a real embedded server."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from tests.supervisor.running import Running
from tests.support.product import alive, children, command_line
from tests.support.tiers import starts_processes
from tests.support.waiting import wait_until

Serve = Callable[..., Running]


@pytest.fixture
@starts_processes
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a supervisor of stand-ins with the given behaviours, on the data folder `data`."""
    running: list[Running] = []

    def start(edge: str = "ok", api: str = "ok", counter: str = "ok", **settings: object) -> Running:
        folder = tmp_path / f"run{len(running)}"
        folder.mkdir()
        settings = {"data_dir": tmp_path / "data", "workers": 1, "drain_seconds": 0} | settings
        arguments = ("-m", "tests.supervisor.stand_in", "serve", edge, api, counter)
        running.append(Running(folder, *arguments, **settings))
        return running[-1]

    yield start
    for each in running:
        each.end()


def diary(run: Running) -> list[str]:
    """Return what the stand-ins did, in order: `NAME WHAT`."""
    path = run.folder / "diary"
    return [line.rpartition(" ")[0] for line in path.read_text().splitlines()] if path.exists() else []


def pid_of(run: Running, name: str) -> int:
    """Return the process id of a stand-in, or of the embedded server as `valkey`."""
    mark = b"valkey-server" if name == "valkey" else f"role\0{name}\0".encode()
    return next(pid for pid in children(run.pid) if mark in command_line(pid))


def wait_ready(run: Running) -> None:
    for name in ("edge", "api", "counter"):
        run.wait_for_line(f"{name} ready")


def logged(run: Running, event: str) -> list[dict[str, object]]:
    """Return the log lines with this event."""
    lines = [orjson.loads(line) for line in run.stderr if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def test_each_role_prints_one_line_and_the_counter_drains_last(serve: Serve) -> None:
    run = serve(edge="slow", workers=2)
    wait_ready(run)
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert sorted(line.split()[0] for line in run.stdout) == ["api", "counter", "edge", "valkey"]
    stops = [line for line in diary(run) if "started" not in line and "ready" not in line]
    assert stops[-2:] == ["counter draining", "counter stopped"]
    assert stops.count("edge stopped") == 2


def test_a_drained_run_removes_its_socket_folder(serve: Serve) -> None:
    run = serve()
    line = run.wait_for_line("valkey ready")
    socket_dir = Path(line.partition("unix socket ")[2].rstrip(")")).parent
    assert socket_dir.stat().st_mode & 0o777 == 0o700
    wait_ready(run)
    run.signal(signal.SIGTERM)
    run.wait()
    assert not socket_dir.exists()


def test_sigint_to_the_process_group_reaches_only_the_supervisor(serve: Serve) -> None:
    run = serve(edge="slow")
    wait_ready(run)
    run.interrupt_group()
    assert run.wait() == 0
    assert diary(run)[-2:] == ["counter draining", "counter stopped"]
    assert not logged(run, "process died")


def test_a_second_start_on_the_same_folder_fails_with_one_line(serve: Serve) -> None:
    first = serve()
    wait_ready(first)
    second = serve()
    assert second.wait() == 1
    assert second.stderr[0].startswith("onebyone: data folder")
    assert second.stderr[0].endswith(f"is already in use by process {first.pid}")
    assert len(second.stderr) == 1


@pytest.mark.parametrize(
    ("name", "place"), [("a file is in its place", "file"), ("the system refuses it", "/proc/onebyone")]
)
def test_an_unusable_data_folder_fails_with_one_line(serve: Serve, tmp_path: Path, name: str, place: str) -> None:
    (tmp_path / "file").write_text("")
    run = serve(data_dir=tmp_path / place)
    assert run.wait() == 1, name
    assert len(run.stderr) == 1
    assert "cannot be used" in run.stderr[0]


@pytest.mark.parametrize("name", ["edge", "api", "counter", "valkey"])
def test_a_killed_process_is_restarted_and_logged(serve: Serve, name: str) -> None:
    run = serve()
    wait_ready(run)
    pid = pid_of(run, name)
    os.kill(pid, signal.SIGKILL)
    run.wait_for_line("process restarted")
    (died,) = logged(run, "process died")
    assert (died["process"], died["pid"], died["how"]) == (name, pid, "signal SIGKILL")
    assert pid_of(run, name) != pid
    run.signal(signal.SIGTERM)
    assert run.wait() == 0


def test_a_role_that_dies_at_start_is_restarted_with_growing_delays(serve: Serve) -> None:
    run = serve(api="crash")
    wait_until(lambda: len(logged(run, "process died")) >= 4, "four deaths")
    delays = [line["restart_in"] for line in logged(run, "process died")]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert "api ready" not in run.stdout
    run.signal(signal.SIGTERM)
    assert run.wait() == 0


def test_a_role_that_refuses_its_configuration_stops_the_start(serve: Serve) -> None:
    run = serve(counter="refuse")
    assert run.wait() == 1
    assert "counter has a reason" in run.stderr
    assert run.stderr[-1] == "onebyone: counter cannot run as configured"
    assert diary(run).count("counter started") == 1


def test_a_role_that_refuses_later_is_retried_and_says_why(serve: Serve) -> None:
    run = serve(counter="refuse-later")
    wait_ready(run)
    os.kill(pid_of(run, "counter"), signal.SIGKILL)
    wait_until(lambda: logged(run, "process cannot run as configured"), "the reason is logged")
    assert logged(run, "process cannot run as configured")[0]["reason"] == "counter has another reason"
    run.signal(signal.SIGTERM)
    assert run.wait() in (0, 1)


def test_stop_before_all_roles_are_ready(serve: Serve) -> None:
    run = serve(api="never-ready")
    run.wait_for_line("edge ready")
    wait_until(lambda: "api started" in diary(run), "api started")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0


def test_a_second_signal_kills_a_hanging_role_with_one_log_line(serve: Serve) -> None:
    run = serve(edge="stubborn", drain_seconds=300)
    wait_ready(run)
    run.signal(signal.SIGTERM)
    wait_until(lambda: "edge draining" in diary(run), "edge drains")
    run.signal(signal.SIGTERM)
    assert run.wait() == 1
    lines = [orjson.loads(line) for line in run.stderr if line.startswith("{")]
    assert [line["level"] for line in lines if line["role"] == "supervisor"] == ["info", "warning"]
    assert "counter stopped" in diary(run) or "counter draining" not in diary(run)


def test_the_next_start_waits_for_children_of_a_killed_supervisor(serve: Serve) -> None:
    first = serve(edge="slow")
    wait_ready(first)
    orphans = children(first.pid)
    assert len(orphans) == 4
    first.signal(signal.SIGKILL)
    first.wait()
    second = serve()
    wait_ready(second)
    assert not any(alive(pid) for pid in orphans)
    assert "edge stopped" in diary(first)
