"""The files of the last two results, and their comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.bench import results
from loadtests.bench.rows import Column, Row, Table

MICROS = (Column("us CPU", "micros", compared=True), Column("x log", "micros", 2, "log", compared=True))
COLUMNS = {"contest": (*MICROS, Column("req/s", "rate", 0))}


def table(**micros: float) -> Table:
    rows = [Row(name, {"micros": [value], "rate": [1000.0]}) for name, value in micros.items()]
    return Table("contest", "Contest", COLUMNS["contest"], rows)


def write(folder: Path, *tables: Table, rounds: int = 5) -> None:
    results.write_result(tables, {"cores": "2"}, {"rounds": rounds}, folder)


def test_last_two_results_are_kept(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        results.read_last_two(tmp_path)
    for micros in (1.0, 2.0, 3.0):
        write(tmp_path, table(edge=micros))
    found = [side["tables"]["contest"]["rows"][0]["values"]["micros"] for side in results.read_last_two(tmp_path)]
    assert found == [[2.0], [3.0]]


def test_comparison_shows_the_change(tmp_path: Path) -> None:
    write(tmp_path, table(log=10.0, edge=40.0, gone=1.0))
    write(tmp_path, table(log=20.0, edge=30.0, new=1.0), Table("idle", "Idle", (), []))
    assert results.compare(*results.read_last_two(tmp_path), COLUMNS).splitlines() == [
        "## Contest",
        "",
        "|      | figure | before | after | change |",
        "| ---- | -----: | -----: | ----: | -----: |",
        "| log  | us CPU |   10.0 |  20.0 | +100 % |",
        "| log  |  x log |   1.00 |  1.00 |   +0 % |",
        "| edge | us CPU |   40.0 |  30.0 |  -25 % |",
        "| edge |  x log |   4.00 |  1.50 |  -62 % |",
    ]


def test_comparison_names_different_conditions(tmp_path: Path) -> None:
    write(tmp_path, table(edge=1.0), rounds=1)
    write(tmp_path, table(edge=1.0))
    said = results.compare(*results.read_last_two(tmp_path), COLUMNS).splitlines()[0]
    assert said == "other options than before: {'rounds': 1} and {'rounds': 5}"
