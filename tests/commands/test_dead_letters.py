"""`onebyone dead-letters`: JSON lines that cannot harm a terminal, and faults as lines."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from onebyone.cli import app
from onebyone.clock import now_ms
from onebyone.report_store import schema, tables
from onebyone.runtime import sql
from tests.counter.harness import event

HOSTILE = b"\x1b]0;owned\x07\x1b[2J\x7f\xff\x9b\r\n{}"


async def _store(url: str, *raws: bytes) -> None:
    await schema.upgrade(url)
    engine = sql.create_engine(url)
    letter = {
        "shard": 0,
        "stream_ms": 5,
        "stream_seq": 1,
        "line": 3,
        "producer": "0" * 16,
        "seq": 9,
        "reason": "bad_json",
        "detail": "bad",
        "found_at": now_ms(),
    }
    async with sql.writing(engine) as connection:
        for raw in raws:
            await connection.execute(insert(tables.dead_letters).values(**letter, raw=raw))
    await engine.dispose()


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONEBYONE_DATA_DIR", str(tmp_path))
    good = json.dumps(event()).encode()
    asyncio.run(_store(f"sqlite+aiosqlite:///{tmp_path / 'reports.sqlite3'}", HOSTILE, good, b"x" * 5000))
    return tmp_path


def run(*arguments: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, ["dead-letters", *arguments])
    return result.exit_code, result.stdout.splitlines()


def test_list_prints_printable_lines(data_dir: Path) -> None:
    code, lines = run("list")
    assert code == 0
    assert all(line.isascii() and line.isprintable() for line in lines)
    rows = [json.loads(line) for line in lines]
    assert [row["raw"].encode("latin-1") for row in rows][:1] == [HOSTILE]
    assert (rows[0]["stream_id"], rows[0]["line"], rows[0]["seq"]) == ("5-1", 3, 9)
    assert (rows[2]["raw_bytes"], len(rows[2]["raw"])) == (5000, 2000)
    assert len(json.loads(run("list", "--whole")[1][2])["raw"]) == 5000


def test_limit_and_reason(data_dir: Path) -> None:
    assert len(run("list", "--limit", "2")[1]) == 2
    assert run("list", "--reason", "none such")[1] == []


def test_replay_prints_each_outcome_and_totals(data_dir: Path) -> None:
    code, lines = run("replay")
    rows = [json.loads(line) for line in lines]
    assert code == 0
    assert [row["outcome"] for row in rows[:-1]] == ["unreadable", "counted", "unreadable"]
    assert rows[-1] == {"letters": 3, "events": 1, "outcomes": {"unreadable": 2, "counted": 1}}
    assert len(run("list")[1]) == 2


def test_a_missing_store_is_one_line_and_is_not_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEBYONE_DATA_DIR", str(tmp_path / "none"))
    assert run("list") == (1, [])
    assert not (tmp_path / "none").exists()
