"""The page that follows one request through the code names files, functions and methods that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "onebyone"
PAGE = (ROOT / "docs" / "life-of-an-impression.md").read_text()

STEPS = re.findall(r"^## (\d+)\. .+\n\n`([\w/]+\.py)`: `([\w.]+)`\n", PAGE, re.MULTILINE)
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)`:\s`([\w.]+)`", PAGE)))
METHODS = sorted(set(re.findall(r"`([A-Z]\w+\.[a-z_]\w+)`", PAGE)))


def names_defined_in(tree: ast.Module) -> set[str]:
    """Return the functions, the classes, and the methods as `Class.method`."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))
            names |= {f"{node.name}.{method.name}" for method in methods}
    return names


def test_there_are_twelve_steps_each_with_a_function() -> None:
    assert [int(number) for number, _, _ in STEPS] == [*range(1, 13)]


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[f"{path}:{name}" for path, name in NAMED])
def test_function_exists(path: str, name: str) -> None:
    assert name in names_defined_in(ast.parse((PACKAGE / path).read_text()))


@pytest.mark.parametrize("method", METHODS)
def test_method_exists_in_a_named_file(method: str) -> None:
    files = {path for path, name in NAMED if name.partition(".")[0] == method.partition(".")[0]}
    assert any(method in names_defined_in(ast.parse((PACKAGE / path).read_text())) for path in files)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w/]+\.py)`", PAGE))))
def test_file_exists(path: str) -> None:
    assert (PACKAGE / path).is_file()
