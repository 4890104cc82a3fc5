"""`onebyone classify`: agents and events in, lists and sums out."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from onebyone.cli import app
from tests.counter.classification.agents import WINDOWS

LINES = [
    WINDOWS,
    WINDOWS,
    "curl/8.11.0",
    "",
    "{not json",
    json.dumps({"ua": WINDOWS, "ip": "203.0.113.0", "kind": "imp"}),
    json.dumps({"ua": "curl/8", "ip": "203.0.113.0"}),
    json.dumps({"ua": "curl/8", "reason": "prefetch"}),
    json.dumps({"ip": "198.51.100.0"}),
]


def test_lists_first_then_a_line_for_each_class(tmp_path: Path) -> None:
    (tmp_path / "network-lists").mkdir()
    (tmp_path / "network-lists/ours-20261101.txt").write_text("203.0.113.0/24\n")
    lines = "\n".join(LINES).encode() + b"\n\xff\xfe\n"
    result = CliRunner().invoke(app, ["classify", "--data-dir", str(tmp_path)], input=lines)
    assert result.exit_code == 0, result.output
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    lists = [line["list"] for line in printed if "list" in line]
    assert lists == ["crawler-user-agents", "ours-20261101.txt"]
    assert all({"version", "date", "entries"} <= line.keys() for line in printed[: len(lists)])
    assert {line["reason"]: line["events"] for line in printed[len(lists) :]} == {
        "": 2,
        "http_library": 2,
        "no_agent": 2,
        "non_browser": 2,
        "data_center": 1,
        "prefetch": 1,
    }


def test_a_list_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "network-lists").mkdir()
    (tmp_path / "network-lists/bad.txt").write_text("\x1b[2J\n")
    result = CliRunner().invoke(app, ["classify", "--data-dir", str(tmp_path)], input="curl/8\n")
    assert result.exit_code == 0
    assert "warning: bad.txt: not a network range" in result.stderr
    assert "\x1b" not in result.output
