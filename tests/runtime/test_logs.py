"""Log lines as another process reads them: JSON or readable, and never forged or mixed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

pytestmark = pytest.mark.processes

LOGGER = """
import logging, sys, structlog
from onebyone.runtime import logs
logs.configure_logging("edge", "info", sys.argv[1])
hostile = "\\x1b[2J\\n12:00:00 [info     ] edge       forged\\u2028x\\x9b"
log = structlog.get_logger()
log.debug("below the level")
log.info("an event", value=hostile, words="two words", number=3)
logging.getLogger("library").warning("of a library: %s", hostile)
try:
    raise ValueError(hostile)
except ValueError:
    log.exception("a failure")
"""
WRITER = """
import sys, structlog
from onebyone.runtime import logs
from onebyone.runtime.terminal import write_line
logs.configure_logging(sys.argv[1], "info", "json")
log = structlog.get_logger()
for number in range(2000):
    log.info("line", number=number, text="x" * 300)
    write_line(sys.stderr, f"{sys.argv[1]} " + "y" * 100)
"""


LINE = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2} \[[a-z]+ +\] edge       (an event|of a library:|a failure|forged)")


def run(log_format: str, **variables: str) -> str:
    """Return what the logging program writes to a pipe."""
    command = [sys.executable, "-c", LOGGER, log_format]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, check=True)
    assert done.stdout == b""
    return done.stderr.decode()


@pytest.mark.parametrize("log_format", ["json", "auto"])
def test_json_lines_on_a_pipe(log_format: str) -> None:
    lines = [orjson.loads(line) for line in run(log_format).split("\n")[:-1]]
    assert [(line["level"], line["role"]) for line in lines] == [
        ("info", "edge"),
        ("warning", "edge"),
        ("error", "edge"),
    ]
    assert lines[0]["value"].endswith("forged\u2028x\x9b")
    assert "ValueError" in lines[2]["exception"]


def test_readable_lines_escape_what_is_not_printable() -> None:
    text = run("console")
    assert all(char.isprintable() or char == "\n" for char in text)
    lines = text.splitlines()
    # Each line has a second of its own.
    records = [line for line in lines if not line.startswith("    ")]
    assert [match[1] for line in records if (match := LINE.match(line))] == ["an event", "of a library:", "a failure"]
    assert len(records) == 3
    assert lines[0].endswith(
        '[info     ] edge       an event value="\\x1b[2J\\n12:00:00 [info     ] edge       forged\\u2028x\\x9b" '
        'words="two words" number=3'
    )
    assert "    Traceback (most recent call last):" in lines


def test_a_closed_standard_error_writes_into_no_other_file(tmp_path: Path) -> None:
    program = f"taken = open({str(tmp_path / 'data')!r}, 'w'); assert taken.fileno() == 2\n{LOGGER}"
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", program, "json"]
    subprocess.run(command, check=True)
    assert (tmp_path / "data").read_text() == ""


def test_lines_of_two_processes_never_mix() -> None:
    reading, writing = os.pipe()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, name], stderr=writing, env=os.environ | {"PYTHONUNBUFFERED": "1"}
        )
        for name in ("edge", "api")
    ]
    os.close(writing)
    with os.fdopen(reading) as reader:
        lines = reader.read().splitlines()
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(lines) == 8000
    for line in lines:
        if line.startswith("{"):
            assert orjson.loads(line)["text"] == "x" * 300
        else:
            assert line in ("edge " + "y" * 100, "api " + "y" * 100)
