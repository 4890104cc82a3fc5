"""A throw-away PostgreSQL server with a fresh database for each use."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.support.ports import free_port
from tests.support.postgres_programs import executable_by, unprivileged_account

_SERVER_OPTIONS = "-c fsync=off -c max_connections=100"


class PostgresServer:
    """A running server on a free port of `host`, with its data in a temporary folder.

    `programs` is the folder of `initdb`, `pg_ctl` and `psql`.
    """

    def __init__(self, programs: Path, host: str = "127.0.0.1") -> None:
        self._host = host
        self._folder = Path(tempfile.mkdtemp(prefix="obo-pg-"))
        self._numbers = itertools.count(1)
        self._prepared: dict[Callable[[str], None], str] = {}
        self.port = free_port()
        account = unprivileged_account()
        self._user = None if account is None else account.pw_uid
        if account is not None:
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        self._programs = executable_by(account, programs, self._folder)
        self._data = self._folder / "data"
        self._run("initdb", "-D", str(self._data), "-U", "onebyone", "-A", "trust", "-E", "UTF8", "--no-sync")
        with (self._data / "pg_hba.conf").open("a") as access:
            access.write("host all all 0.0.0.0/0 trust\n")
        self.start()

    def fresh_database(self, prepare: Callable[[str], None] | None = None) -> str:
        """Return the SQLAlchemy URL of a new database: empty, or a copy of one on which `prepare` ran once."""
        if prepare is None:
            return self._url(self._create("template1"))
        if prepare not in self._prepared:
            model = self._create("template1")
            prepare(self._url(model))
            self._prepared[prepare] = model
        return self._url(self._create(self._prepared[prepare]))

    def stop(self) -> None:
        """Stop the server if it runs, and remove its data."""
        if (self._data / "postmaster.pid").exists():
            self.crash()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _create(self, model: str) -> str:
        name = f"test_{next(self._numbers)}"
        command = f"CREATE DATABASE {name} TEMPLATE {model}"
        self._run("psql", *self._connection(), "-d", "postgres", "-q", "-c", command)
        return name

    def _url(self, name: str) -> str:
        return f"postgresql+asyncpg://onebyone@127.0.0.1:{self.port}/{name}"

    def _options(self) -> str:
        return f"-p {self.port} -h {self._host} -k {self._folder} {_SERVER_OPTIONS}"

    def _connection(self) -> tuple[str, ...]:
        return ("-h", str(self._folder), "-p", str(self.port), "-U", "onebyone")

    def start(self) -> None:
        """Start the server, also again after `crash`."""
        self._control("-l", str(self._folder / "log"), "-o", self._options(), "start")

    def crash(self) -> None:
        """End the server's processes without a checkpoint, so that the next start recovers."""
        self._control("-m", "immediate", "stop")

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        # pg_ctl's server would inherit a pipe and keep it open, so output goes to a file.
        with tempfile.TemporaryFile() as output:
            ended = subprocess.run(
                [str(self._programs / program), *arguments],
                user=self._user,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            output.seek(0)
            assert ended.returncode == 0, f"{program}: {output.read().decode(errors='replace')}"
