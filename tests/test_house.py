"""House rules that no other tool keeps."""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import tokenize
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


IDIOMS = {
    r"\bbehind\b": "after",
    r"\bat once\b": "immediately",
    r"\bwho(?:ever|mever|soever| waits?)\b": "the waiter, the caller",
    r"\b(?:is|are|gets?) told\b": "notify, with the actor as its subject",
    r"\b(?:goes?|went|going) along\b": "is included, is sent with",
    r"\bno more(?= ?(?:[.,;:)]|and\b|when\b|once\b|until\b|since\b|$))": "no longer",
    r"\b(?:anyhow|lest|afresh|thereby|whence|thence)\b": "a plain connective",
    r"\bin no time\b": "quickly, with a number",
    r"\bof nobody\b": "unknown",
    r"\b(?:that|which) (?:is|are) (?-i:none)\b": "invalid, is not one",
    r"\b(?:condemn|condemned|buried|tether|hinges?|hearken)\b": "the glossary's term",
}
"""Phrases of prose that reads as translated -> what to say instead."""

LEGITIMATE = {
    r"(?-i:\b[A-Z_]{2,}\b)": "a constant",
    r"\b(?:left|leave|leaves|leaving)(?: \w+){0,3} behind\b": "the phrasal verb",
    r"\bbehind (?:trusted |a |the )?(?:reverse |load )?(?:proxy|proxies|balancer)\b": "a place in the network",
    r"\bbehind the edges\b": "a lag",
    r"\b(?:all|many|two)(?: \w+){0,4} at once\b": "at the same time",
    r", whoever \w+": "no matter who",
}
"""Uses of those phrases that are idiomatic -> what they say."""

NO_PROSE = (".lock", ".svg", ".json")


@pytest.mark.processes
def test_prose_has_no_translated_idioms() -> None:
    found = []
    for path in committed():
        name = path.relative_to(ROOT)
        if path.suffix in NO_PROSE or path in (Path(__file__), ROOT / "LICENSE"):
            continue
        # A phrase may go on in the next line of a paragraph or of a comment.
        prose = re.sub(r"\s*\n[\s#*]*", " ", text_of(path))
        for legitimate in LEGITIMATE:
            prose = re.sub(legitimate, "", prose, flags=re.IGNORECASE)
        for idiom, plain in IDIOMS.items():
            for match in re.finditer(idiom, prose, re.IGNORECASE):
                context = prose[max(0, match.start() - 40) : match.end() + 20]
                found.append(f"{name}: {context!r}: say {plain}")
    assert found == []


LINES_MAX = 300
LONGER = {"config_store/migrations/versions/first_tables.py": "every table of the first release, kept as it was"}


def test_no_module_is_long() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / "src/onebyone").rglob("*.py")}
    long = {str(path.relative_to(ROOT / "src/onebyone")) for path, lines in lengths.items() if lines > LINES_MAX}
    assert long == set(LONGER)


ARITHMETIC = (ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Tuple, ast.Name, ast.Attribute, ast.expr_context)
"""What a numeric constant consists of besides numbers: other constants and arithmetic."""


def is_number(value: ast.expr) -> bool:
    """Return whether an expression is a number, arithmetic with numbers, or a tuple of them."""
    nodes = [node for node in ast.walk(value) if not isinstance(node, ARITHMETIC)]
    values = [node.value if isinstance(node, ast.Constant) else None for node in nodes]
    return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def numbers_without_reason(source: str) -> list[str]:
    """Return the names of numeric constants with neither a docstring nor a comment; adjacent lines share theirs."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    groups: list[list[ast.stmt]] = [[]]
    for statement in ast.parse(source).body:
        group = groups[-1]
        is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if group and (isinstance(group[-1], ast.Expr) or statement.lineno != (group[-1].end_lineno or 0) + 1):
            groups.append(group := [])
        if group or not is_docstring:
            group.append(statement)
    silent = []
    for group in filter(None, groups):
        last = group[-1].end_lineno or 0
        if isinstance(group[-1], ast.Expr) or comments.intersection(range(group[0].lineno - 1, last + 1)):
            continue
        for statement in group:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value and is_number(statement.value):
                target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
                silent += [name for name in re.findall(r"\w+", ast.unparse(target)) if name.isupper()]
    return silent


def test_every_numeric_constant_has_a_reason() -> None:
    modules = sorted((ROOT / "src/onebyone").rglob("*.py"))
    silent = {str(path.relative_to(ROOT)): numbers_without_reason(path.read_text()) for path in modules}
    assert {module: names for module, names in silent.items() if names} == {}


@pytest.mark.parametrize(
    ("source", "silent"),
    [
        ("A = 1\n", ["A"]),
        ('A = 1\n"""Why."""\n', []),
        ("A = 1  # Why.\n", []),
        ("# Why.\nA = 1\n", []),
        ('A = 1\nB = A * 2\n"""Why."""\n', []),
        ('A = 1\n\nB = 2\n"""Why."""\n', ["A"]),
        ('A = 1\n"""Why."""\nB = 2\n', ["B"]),
        ("_A: int = -1\n", ["_A"]),
        ("A, B = 1, 2.5\n", ["A", "B"]),
        ('A = "1"\nB = True\nc = 1\nD = {1: 2}\nE = A\n', []),
    ],
)
def test_reasons_are_found_beside_numbers(source: str, silent: list[str]) -> None:
    assert numbers_without_reason(source) == silent


def test_the_licence_is_there() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:300]
    assert PROJECT["project"]["license"] == "Apache-2.0"
