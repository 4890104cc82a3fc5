"""Fixtures that every test may use, and the hooks of a run; `tests/support` has what they start."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support import debian_packages, process_guard, tiers
from tests.support.postgres import PostgresServer
from tests.support.postgres_programs import require_programs
from tests.support.product import Product, start_product
from tests.support.tiers import starts_processes
from tests.support.valkey import ValkeyProcess, start_valkey

pytest_plugins = ("tests.support.api_fixtures",)


def pytest_configure() -> None:
    """Guard what this process starts; a worker of pytest-xdist comes here as well."""
    process_guard.begin()
    tiers.install()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that start processes, and keep tests that share a fixture of their module on one worker."""
    for item in items:
        if isinstance(item, pytest.Function):
            tiers.mark(item)
            if any(made[-1].scope == "module" for made in item._fixtureinfo.name2fixturedefs.values()):
                item.add_marker(pytest.mark.xdist_group(item.module.__name__))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a quick test whose fixtures start a process; the last test's teardown also stops those of the session."""
    with tiers.held_to_its_tier(item):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a quick test that starts a process."""
    with tiers.held_to_its_tier(item):
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """Say last which Debian packages would bring the tests that were skipped for want of one."""
    yield
    lines = debian_packages.summary_lines(debian_packages.skipped_by_package(terminalreporter.getreports("skipped")))
    if lines:
        terminalreporter.section("skipped for want of a package")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _unchanged_umask() -> Iterator[None]:
    """Restore the umask after a test that runs a command in this process: commands set their own."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture
def anyio_backend() -> str:
    """Run coroutine tests on asyncio."""
    return "asyncio"


@pytest.fixture
@starts_processes
def valkey(tmp_path: Path) -> Iterator[ValkeyProcess]:
    """A Valkey server for one test, which may kill it."""
    server = start_valkey(tmp_path / "valkey")
    yield server
    server.remove()


@pytest.fixture(scope="session")
@starts_processes
def _session_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyProcess]:
    server = start_valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.remove()


@pytest.fixture
def shared_valkey(_session_valkey: ValkeyProcess) -> ValkeyProcess:
    """An empty Valkey server that tests share, and must not kill or stop."""
    with _session_valkey.client() as client:
        client.flushall()
    return _session_valkey


@pytest.fixture(scope="session")
@starts_processes
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that tests share."""
    server = PostgresServer(require_programs())
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """SQLAlchemy URL of a fresh PostgreSQL database."""
    return postgres_server.fresh_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def sql_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLAlchemy URL of a fresh database of each engine."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'store.sqlite3'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
@starts_processes
def product(tmp_path: Path) -> Iterator[Product]:
    """A running product with one edge worker, on an empty data folder."""
    running = start_product(tmp_path / "data")
    yield running
    running.stop()
