"""Two generators of clients take the document: nothing is dropped, no class is numbered, and a client works."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from onebyone.api.openapi import examples, pages
from tests.support.api_contract import described
from tests.support.running_api import running_api
from tests.support.tiers import starts_processes

HERE = Path(__file__).parent
BIN = HERE.parents[2] / ".clients" / "generators" / "bin"
PACKAGE = "onebyone_client"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the document as the API serves it."""
    if not BIN.exists():
        pytest.skip("the generators are not installed: `make clients`")
    file = tmp_path_factory.mktemp("document") / "openapi.json"
    file.write_bytes(pages.load_page("/openapi.json").content)
    return file


def run(command: str, *arguments: str, folder: Path, **environment: str) -> str:
    """Run a program of the generators' venv in a folder and return what it prints; a word of complaint fails."""
    ran = subprocess.run(
        [str(BIN / command), *arguments],
        cwd=folder,
        env=os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
@starts_processes
def client(document: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the package of openapi-python-client."""
    folder = tmp_path_factory.mktemp("client")
    options = ("--path", str(document), "--output-path", PACKAGE, "--meta", "none", "--fail-on-warning")
    assert run("openapi-python-client", "generate", *options, folder=folder) == f"Generating {PACKAGE}\n"
    return folder


@pytest.fixture(scope="module")
@starts_processes
def models(document: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module of datamodel-code-generator, with a class for everything that it can make one of."""
    folder = tmp_path_factory.mktemp("models")
    options = (
        *("--input-file-type", "openapi", "--output-model-type", "pydantic_v2.BaseModel"),
        *("--openapi-scopes", "schemas", "paths", "parameters", "--formatters", "builtin"),
    )
    files = ("--input", str(document), "--output", "models.py")
    assert run("datamodel-codegen", *files, *options, folder=folder) == ""
    return folder / "models.py"


def class_names(files: Iterator[Path] | list[Path]) -> list[str]:
    """Return the names of all classes in these modules."""
    return [node.name for file in files for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef)]


def numbered(names: list[str]) -> list[str]:
    """Return the names that a generator has made up: with a number, or by the place of a part in its schema."""
    return [name for name in names if re.search(r"[0-9]|Type[0-9]|(Item|Property)$", name) and name != "LineItem"]


def test_every_operation_is_a_function(client: Path) -> None:
    functions = {file.stem for file in (client / PACKAGE / "api").glob("*/*.py")} - {"__init__"}
    operations = [
        operation["operationId"]
        for item in described()["paths"].values()
        for method, operation in item.items()
        if method != "servers"
    ]
    assert functions == {re.sub("([A-Z])", r"_\1", name).lower() for name in operations}
    assert len(functions) == len(operations)


def test_classes_of_the_client_have_names(client: Path) -> None:
    names = class_names((client / PACKAGE / "models").glob("*.py"))
    assert set(names) <= set(described()["components"]["schemas"])
    assert numbered(names) == []


def test_classes_of_the_models_have_names(models: Path) -> None:
    names = class_names([models])
    assert len(names) > len(described()["components"]["schemas"])
    assert numbered(names) == []


def test_the_client_works(client: Path, tmp_path: Path) -> None:
    with running_api(tmp_path) as url:
        printed = run(
            "python",
            *("-W", "error", str(HERE / "generated_client_script.py"), url, *examples.CREDENTIALS.values()),
            folder=tmp_path,
            PYTHONPATH=str(client),
        )
    assert json.loads(printed) == {
        "created": ["Banner", "active", "Spring", None],
        "updated": "inactive",
        "listed": True,
        "deleted": 1,
        "missing": "SYNTAX",
    }


def test_the_models_read_a_body(models: Path) -> None:
    script = (
        "import sys, models\n"
        "print(models.ImptrackerCreateRequest.model_validate_json(sys.argv[1]).imptracker.line_item.id)"
    )
    body = json.dumps({"imptracker": examples.CREATE["imptracker"]})
    assert run("python", "-W", "error", "-c", script, body, folder=models.parent) == "1\n"
