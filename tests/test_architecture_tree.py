"""The tree of docs/architecture.md has every module, with the first sentence of its docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "onebyone"

NAME_COLUMNS = 24
"""Width of the names; longer ones push their sentence to the right."""


def first_sentence(module: Path) -> str:
    """Return the first sentence of a module's docstring, without its full stop."""
    paragraph = " ".join((ast.get_docstring(ast.parse(module.read_text())) or "").split("\n\n")[0].split())
    sentence = re.match(r'(.+?[.?!])(?= [A-Z`"]|$)', paragraph)
    said = sentence[1] if sentence else paragraph
    return said if said.endswith("...") else said.removesuffix(".")


def lines_of(folder: Path, depth: int = 1) -> Iterator[str]:
    """Yield the lines of a package: its modules, then its packages, each sorted by name."""
    for module in sorted(path for path in folder.glob("*.py") if path.name != "__init__.py"):
        yield f"{'  ' * depth}{module.name}".ljust(NAME_COLUMNS) + f" {first_sentence(module)}"
    for package in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield f"{'  ' * depth}{package.name}/".ljust(NAME_COLUMNS) + f" {first_sentence(package / '__init__.py')}"
        yield from lines_of(package, depth + 1)


def test_every_module_has_its_line_and_every_line_its_module() -> None:
    _, _, text = (ROOT / "docs" / "architecture.md").read_text().partition("```text\n")
    assert text.partition("```")[0].splitlines() == ["onebyone/", *lines_of(PACKAGE)]


def test_every_module_says_what_it_is() -> None:
    silent = [line for line in lines_of(PACKAGE) if len(line.split()) == 1]
    assert silent == []
