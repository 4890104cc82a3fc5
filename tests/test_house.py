"""House rules that no other tool keeps."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-build.lock",
    "tests/clients/requirements.lock",
    "tests/clients/requirements-build.lock",
    "tests/api/openapi/generators.lock",
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def committed() -> list[Path]:
    """Return the files that git tracks, or would with `git add --all`."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def pins(lock: str) -> dict[str, str]:
    """Return the pinned version of each package, by normalised name."""
    found = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {normal(name): version for name, version in found}


def normal(requirement: str) -> str:
    """Return the normalised name of a requirement."""
    (name,) = re.findall(r"^[\w.-]+", requirement)
    return str(re.sub(r"[-_.]+", "-", name)).lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock: str) -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_lock_of_the_node_packages_has_hashes_and_names_no_host() -> None:
    packages = json.loads((ROOT / "tests/clients/package-lock.json").read_text())["packages"]
    installed = [package for path, package in packages.items() if path]
    assert installed
    assert [package for package in installed if not package["integrity"].startswith("sha512-")] == []
    assert [package for package in installed if "resolved" in package] == []


def test_the_locks_cover_the_project() -> None:
    project = PROJECT["project"]
    runtime = [normal(name) for name in (*project["dependencies"], *project["optional-dependencies"]["embedded"])]
    development = [normal(name) for name in PROJECT["dependency-groups"]["dev"] if isinstance(name, str)]
    build = [normal(name) for name in PROJECT["build-system"]["requires"]]
    assert set(runtime) <= set(pins("requirements.lock"))
    assert {*runtime, *development} <= set(pins("requirements-dev.lock"))
    assert {*build, "uv"} <= set(pins("requirements-build.lock"))


def test_the_locks_agree() -> None:
    development = pins("requirements-dev.lock")
    for lock in ("requirements.lock", "requirements-build.lock"):
        shared = {name: version for name, version in pins(lock).items() if name in development}
        assert shared == {name: development[name] for name in shared}


def test_runtime_pins_are_all_in_the_development_lock() -> None:
    assert set(pins("requirements.lock")) <= set(pins("requirements-dev.lock"))


def test_the_build_backend_is_pinned_where_it_is_named() -> None:
    for requirement in PROJECT["build-system"]["requires"]:
        name, _, version = requirement.partition("==")
        assert pins("requirements-build.lock")[normal(name)] == version


MACHINE_PATH = re.compile(r"(?<![\w.{/-])/(?:home|root|work|Users)/[\w.-]+")
LOOSE_END = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b")


@pytest.mark.processes
def test_no_machine_paths_and_no_loose_ends() -> None:
    found = []
    for path in committed():
        text = text_of(path)
        for what, pattern in (("machine path", MACHINE_PATH), ("loose end", LOOSE_END)):
            found += [f"{path.relative_to(ROOT)}: {what}: {match[0]}" for match in pattern.finditer(text)]
    assert found == []


@pytest.mark.parametrize("folder", ["src", "tests", "loadtests"])
def test_every_module_says_what_it_is(folder: str) -> None:
    silent = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        source = path.read_text()
        if (folder == "src" or source.strip()) and ast.get_docstring(ast.parse(source)) is None:
            silent.append(str(path.relative_to(ROOT)))
    assert silent == []


def test_the_licence_is_there() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:300]
    assert PROJECT["project"]["license"] == "Apache-2.0"
