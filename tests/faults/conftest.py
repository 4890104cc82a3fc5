"""Fixtures of the experiments: each has a separate product under load; a table of all results ends the run.

`ONEBYONE_FAULT_REPEATS` is the number of times each fault is caused (1). `ONEBYONE_FAULT_SEED` repeats the random
choices of an earlier run. `ONEBYONE_FAULT_RESULTS` names a folder for the table as Markdown and JSON.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.faults.oracle import RATE, Oracle
from tests.faults.verdicts import Fault, Table, Verdict
from tests.support.product import start_product
from tests.support.tiers import starts_processes
from tests.support.valkey import ValkeyProcess, start_valkey

# Workers of pytest-xdist inherit it, so this one number repeats a whole run.
SEED = os.environ.setdefault("ONEBYONE_FAULT_SEED", str(random.randrange(10**6)))

_table = Table()


class Experiment(Protocol):
    """Start a product with two edge workers and a load; settings as for `start_product`."""

    def __call__(
        self, *, rate: float = RATE, clients: int = 8, **settings: object
    ) -> AbstractContextManager[Oracle]: ...


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """The random choices of this test."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
@starts_processes
def experiment(request: pytest.FixtureRequest, tmp_path: Path, chance: random.Random) -> Experiment:
    """An `Experiment` for the fault that marks the test."""
    mark = request.node.get_closest_marker("fault")
    assert mark is not None
    about: Fault = mark.args[0]

    def note(verdict: Verdict) -> None:
        request.node.user_properties.append(("verdict", asdict(verdict)))

    @contextlib.contextmanager
    def begin(*, rate: float = RATE, clients: int = 8, **settings: object) -> Iterator[Oracle]:
        print(f"ONEBYONE_FAULT_SEED={SEED}")
        product = start_product(tmp_path / "data", **({"workers": 2} | settings))
        with contextlib.ExitStack() as stack:
            stack.callback(product.stop)
            oracle = Oracle(product, about, chance, note, rate=rate, clients=clients)
            stack.callback(oracle.stop)
            try:
                yield oracle
            except BaseException:
                print(product.output())
                raise

    return begin


@pytest.fixture
@starts_processes
def cache(tmp_path: Path) -> Iterator[ValkeyProcess]:
    """A cache server separate from the stream server."""
    server = start_valkey(tmp_path / "cache")
    yield server
    server.remove()


@pytest.fixture
@starts_processes
def stream(tmp_path: Path) -> Iterator[ValkeyProcess]:
    """A stream server separate from the product."""
    server = start_valkey(tmp_path / "stream")
    yield server
    server.remove()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Put the experiment into its report, which is all that a worker process sends back."""
    mark = item.get_closest_marker("fault")
    if mark is not None and call.when == "setup":
        item.user_properties.append(("fault", asdict(mark.args[0])))
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect what the table shows."""
    faults = [value for name, value in report.user_properties if name == "fault"]
    if faults and (report.when == "call" or report.outcome != "passed"):
        verdicts = [value for name, value in report.user_properties if name == "verdict"]
        _table.add(faults[0], report.outcome, verdicts)  # type: ignore[arg-type]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table if an experiment has run, and write it to the folder of results."""
    if not _table.rows:
        return
    terminalreporter.section(f"faults, ONEBYONE_FAULT_SEED={SEED}")
    for line in _table.text():
        terminalreporter.write_line(line)
    if folder := os.environ.get("ONEBYONE_FAULT_RESULTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, "faults.md").write_text(_table.markdown())
        Path(folder, "faults.json").write_text(_table.json(SEED))
