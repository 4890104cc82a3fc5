"""The guides and the hooks for contributors name what the Makefile has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
GUIDES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / ".github").rglob("*.md")]


def recipe(target: str) -> list[str]:
    """Return the command lines of a target."""
    (lines,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    return [line.strip() for line in lines.splitlines()]


def hooks() -> list[dict[str, object]]:
    """Return the hooks of the pre-commit configuration."""
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    return [hook for repository in repositories for hook in repository["hooks"]]


def tool(command: str) -> str:
    """Return the program of a command line, with its subcommand if it has one."""
    program, *arguments = command.removeprefix(".venv/bin/").removeprefix("$(BIN)/").split()
    return " ".join([program, *arguments[:1]] if arguments[:1] in (["check"], ["format"]) else [program])


@pytest.mark.parametrize("guide", sorted(GUIDES), ids=lambda guide: guide.name)
def test_named_targets_exist(guide: Path) -> None:
    text = guide.read_text()
    named = set(re.findall(r"(?:`|^ {4}|^)make ([a-z][a-z-]*)", text, re.MULTILINE))
    assert named <= TARGETS


def test_hooks_run_the_tools_of_the_makefile() -> None:
    assert {tool(str(hook["entry"])) for hook in hooks()} == {tool(line) for line in recipe("lint") + recipe("types")}


def test_hooks_run_from_the_virtual_environment() -> None:
    assert all(hook["language"] == "system" and str(hook["entry"]).startswith(".venv/bin/") for hook in hooks())
