"""Releases follow each other on the same data: older formats are read, and a downgrade loses nothing."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import zstandard

import onebyone
from onebyone.clock import now_ms
from onebyone.contracts import batches, keys
from tests.faults.conftest import Experiment
from tests.faults.means import processes
from tests.faults.oracle import Oracle, cost_of
from tests.faults.verdicts import fault

slow = pytest.mark.faults
pytestmark = pytest.mark.timeout(1200)

FORMATS = Path(__file__).with_name("formats")
BATCHES = 20
EVENTS = 50


@fault(
    26, "journals and stream entries of every older format", means="written by hand as tests/faults/formats/ has them"
)
def test_older_formats_are_read(experiment: Experiment, tmp_path: Path) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            for path in sorted(FORMATS.glob("*.json")):
                form = json.loads(path.read_text())
                for number in range(2):
                    producer = batches.new_producer()
                    payloads = [_payload(oracle, form) for _ in range(BATCHES)]
                    if number == 0:
                        _journal(oracle, form, producer, payloads, tmp_path)
                    else:
                        _entries(oracle, form, producer, payloads)


@slow
@fault(
    26,
    "upgrade, way back by one release, upgrade and replay of dead letters",
    means="a copy of the product whose event version is one higher",
    # The cache server dies with the supervisor: an edge does not know a tracker that it has not seen before.
    refused=("config",),
    broken=True,
)
def test_upgrade_downgrade_upgrade(experiment: Experiment, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    shutil.copytree(Path(onebyone.__file__).parent, newer / "onebyone")
    with (newer / "onebyone" / "contracts" / "events.py").open("a") as events:
        events.write("\n\nUPGRADES[VERSION] = dict\nVERSION += 1\n")
    with experiment() as oracle:
        product = oracle.product
        mine = product.environment
        for _ in oracle.rounds():
            product.terminate()
            product.environment = mine | {"PYTHONPATH": str(newer)}
            product.start()
            time.sleep(oracle.random.uniform(1, 2))
            product.kill()
            product.environment = mine
            product.start()
            time.sleep(oracle.random.uniform(1, 2))
            product.terminate()
            with contextlib.closing(sqlite3.connect(product.data_dir / "reports.sqlite3", timeout=30)) as store:
                assert (
                    store.execute("SELECT count(*) FROM dead_letters WHERE reason = 'unknown_version'").fetchone()[0]
                    > 0
                )
            product.environment = mine | {"PYTHONPATH": str(newer)}
            product.start()
            ended = subprocess.run(
                [sys.executable, "-m", "onebyone", "dead-letters", "replay"],
                env=product.full_environment(),
                capture_output=True,
                text=True,
            )
            assert ended.returncode == 0, ended.stderr


def _payload(oracle: Oracle, form: dict[str, Any]) -> bytes:
    first, now = 2**61 + len(oracle.owed), now_ms()
    lines = [f"{form['head']}\n".replace("ID", str(first)).replace("TIME", str(now))] if "head" in form else []
    for number in range(EVENTS):
        name = f"i{3 * 10**9 + len(oracle.owed)}"
        oracle.owed.add(name)
        line = form["events"][number % len(form["events"])]
        for word, value in {
            "ID": first + number,
            "TIME": now,
            "TRACKER": oracle.trackers["i"],
            "COST": cost_of(name),
            "NAME": name,
        }.items():
            line = line.replace(word, str(value))
        lines.append(f"{line}\n")
    return zstandard.ZstdCompressor(level=1).compress("".join(lines).encode())


def _journal(oracle: Oracle, form: dict[str, Any], producer: str, payloads: list[bytes], folder: Path) -> None:
    path = folder / f"{producer}.sqlite3"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as journal:
        for statement in form["journal"]:
            journal.execute(statement.replace("SHARD", str(batches.shard_of(producer, 4))))
        for seq, payload in enumerate(payloads, 1):
            journal.execute("INSERT INTO batches VALUES (?, ?, ?, ?)", (seq, EVENTS, now_ms(), payload))
    path.rename(oracle.product.data_dir / "journal" / path.name)


def _entries(oracle: Oracle, form: dict[str, Any], producer: str, payloads: list[bytes]) -> None:
    with processes.embedded(oracle.product) as client:
        for seq, payload in enumerate(payloads, 1):
            values = {"PRODUCER": producer, "SEQ": seq, "EVENTS": EVENTS, "PAYLOAD": payload}
            entry: Any = {name: values.get(value, value) for name, value in form["entry"].items()}
            client.xadd(keys.events_key(batches.shard_of(producer, 4)), entry)
