"""The Dockerfile: every instruction parses, every copied file is in the build context, nothing runs as root."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
KNOWN = {
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "RUN",
    "USER",
    "VOLUME",
    "WORKDIR",
}


class Instruction(NamedTuple):
    word: str
    rest: str


def instructions() -> list[Instruction]:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines()]


def arguments_of(word: str) -> list[str]:
    return [instruction.rest for instruction in instructions() if instruction.word == word]


def test_only_known_instructions() -> None:
    assert {instruction.word for instruction in instructions()} <= KNOWN
    assert instructions()[0].word == "FROM"


def test_images_have_a_version() -> None:
    for image in arguments_of("FROM"):
        assert re.fullmatch(r"[a-z]+:[\w.-]+( AS \w+)?", image), image


def test_last_user_is_not_root() -> None:
    last_stage = instructions()[max(i for i, item in enumerate(instructions()) if item.word == "FROM") :]
    users = [item.rest for item in last_stage if item.word == "USER"]
    assert users
    assert users[-1] not in ("root", "0")


def test_command_starts_the_product() -> None:
    assert [json.loads(entry) for entry in arguments_of("ENTRYPOINT")] == [["onebyone"]]
    assert [json.loads(command) for command in arguments_of("CMD")] == [["serve"]]


def test_health_check_asks_both_ports() -> None:
    (check,) = arguments_of("HEALTHCHECK")
    command = json.loads(check.split("CMD", 1)[1])
    compile(command[2], "healthcheck", "exec")
    assert "8080" in command[2]
    assert "8081" in command[2]
    assert arguments_of("EXPOSE") == ["8080 8081"]


def test_installs_are_pinned_by_hash_or_use_no_index() -> None:
    commands = [part for run in arguments_of("RUN") for part in run.split("&&") if "pip install" in part]
    assert commands
    for command in commands:
        assert "--require-hashes" in command or "--no-index" in command, command


@pytest.mark.parametrize(
    "source", sorted({s for c in arguments_of("COPY") if "--from" not in c for s in c.split()[:-1]})
)
def test_copied_files_exist_in_the_build_context(source: str) -> None:
    assert (ROOT / source).exists()
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert source.removeprefix("./") in kept
