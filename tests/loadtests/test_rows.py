"""How a table shows the values of its rounds."""

from __future__ import annotations

import pytest

from loadtests.bench.report import markdown, table_text
from loadtests.bench.rows import Column, Row, Table, rows_of


def row(name: str, *micros: float, others: tuple[float, ...] = ()) -> Row:
    made = Row(name)
    for value in micros:
        made.add({"micros": value})
    made.others += others
    return made


PEER, OWN, NONE = row("peer", 8.0, 10.0, 30.0), row("own", 20.0, 5.0), Row("none")


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        pytest.param(Column("us", "micros"), ("10.0", "12.5", ""), id="the middle round, or between the two"),
        pytest.param(Column("x", "micros", 2, "peer"), ("1.00", "1.50", ""), id="the middle of the rounds' ratios"),
        pytest.param(Column("x", "micros", 2, "absent"), ("", "", ""), id="no ratio without its peer"),
        pytest.param(Column("range", "micros", 0, show="range"), ("8-30", "5-20", ""), id="lowest and highest"),
        pytest.param(Column("sum", "micros", 0, show="sum"), ("48", "25", ""), id="of all rounds"),
        pytest.param(Column("ms", "p99_ms"), ("", "", ""), id="not measured"),
    ],
)
def test_cell(column: Column, cells: tuple[str, ...]) -> None:
    rows = [PEER, OWN, NONE]
    assert tuple(column.text(one, rows) for one in rows) == cells


@pytest.mark.parametrize(
    ("others", "noisy"),
    [((), False), ((0.0, 0.1, 0.9), False), ((0.9, 0.0), False), ((0.2, 0.9, 0.0), True)],
)
def test_noise(others: tuple[float, ...], noisy: bool) -> None:
    assert row("any", 1.0, others=others).noisy is noisy


def test_noisy_row_is_marked_with_an_explanation() -> None:
    table = Table(
        "t", "Title", (Column("us", "micros"),), [row("quiet", 1.0, others=(0.0,)), row("loud", 2.0, others=(1.5,))]
    )
    lines = table_text(table).splitlines()
    assert lines[0] == "## Title"
    assert next(line for line in lines if "!" in line).startswith("| loud ")
    assert lines[-1].startswith("!: ")
    table.rows.pop()
    assert "!" not in table_text(table)


def test_markdown() -> None:
    assert markdown([["", "us"], ["a name", "1.5"]]) == [
        "|        |  us |",
        "| ------ | --: |",
        "| a name | 1.5 |",
    ]


def test_json_round_trip() -> None:
    table = Table("t", "Title", (), [PEER, OWN])
    assert rows_of(table.to_json()) == [PEER, OWN]
