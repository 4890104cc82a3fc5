"""The documents name everything that a user can meet: settings, metrics, endpoints, reasons, commands."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import pytest
from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr
from starlette.routing import Route
from typer.main import get_command

from onebyone.api import ops_endpoints as api_operator
from onebyone.api.http.methods import entity_methods
from onebyone.api.lists import list_handlers
from onebyone.api.reports import report_handlers
from onebyone.cli import app
from onebyone.contracts.events import Event
from onebyone.contracts.traffic_classes import TrafficClass
from onebyone.edge import ops_endpoints as edge_ops
from onebyone.edge.tags.flags import Flag
from onebyone.edge.tags.paths import PATHS
from onebyone.edge.tags.reasons import Reason
from onebyone.reports.service import ReportService
from onebyone.resources.context import EngineContext
from onebyone.resources.entities import ENTITIES
from onebyone.resources.entity import Entity
from onebyone.settings import Settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COMPUTED = {"workers": "cores, at most 4"}
"""Defaults that differ from machine to machine, as the table words them."""


def rows(name: str) -> list[str]:
    """Return the table rows of a document."""
    return [line for line in (DOCS / name).read_text().splitlines() if line.startswith("|")]


def default(name: str) -> str:
    if name in COMPUTED:
        return COMPUTED[name]
    value = Settings.model_fields[name].get_default()
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return f"`{text}`" if text else ""


@pytest.mark.parametrize("name", Settings.model_fields)
def test_setting(name: str) -> None:
    text = Settings.model_fields[name].description
    assert f"| `ONEBYONE_{name.upper()}` | {default(name)} | {text} |" in rows("settings.md")


def test_no_setting_that_is_gone() -> None:
    named = set(re.findall(r"^\| `ONEBYONE_(\w+)`", (DOCS / "settings.md").read_text(), re.MULTILINE))
    assert {name.lower() for name in named} == set(Settings.model_fields)


def metrics() -> list[MetricWrapperBase]:
    """Return all metrics of the modules named `metrics`, wherever they are in the package."""
    collected = []
    for path in sorted((ROOT / "src").rglob("metrics.py")):
        name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        module = importlib.import_module(name)
        collected += [value for value in vars(module).values() if isinstance(value, MetricWrapperBase)]
    return collected


def test_metrics_are_declared_in_modules_named_metrics() -> None:
    declared = re.compile(r"=\s*(?:Counter|Gauge|Histogram)\(\s*\"onebyone_")
    modules = {path.name for path in (ROOT / "src").rglob("*.py") if declared.search(path.read_text())}
    assert modules == {"metrics.py"}


def metric_row(metric: MetricWrapperBase) -> str:
    (family,) = metric.describe()
    suffix = "_total" if family.type == "counter" else ""
    labels = ", ".join(f"`{label}`" for label in metric._labelnames)
    return f"| `{family.name}{suffix}` | {family.type} | {labels} | {family.documentation} |"


def test_metrics() -> None:
    wanted = {metric_row(metric) for metric in metrics()}
    written = {row for row in rows("metrics.md") if row.startswith("| `")}
    assert written == wanted


@pytest.mark.parametrize("reason", Reason)
def test_reason(reason: Reason) -> None:
    assert any(row.startswith(f"| `{reason}` |") for row in rows("reasons.md"))


def test_traffic_classes() -> None:
    named = [row.split("`")[1] for row in rows("invalid-traffic.md") if re.match(r"\| `[a-z_]+` \|", row)]
    assert named == [*TrafficClass], "every class, in the order of precedence"


@pytest.mark.parametrize("flag", Flag)
def test_flag(flag: Flag) -> None:
    assert any(row.startswith(f"| `{flag}` |") for row in rows("reasons.md"))
    assert any(f"`{flag}`" in row for row in rows("events.md") if row.startswith("| `flags` |"))


def test_event_fields() -> None:
    named = {name for row in rows("events.md") for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert set(Event.__annotations__) <= named


def endpoint_rows(heading: str) -> list[str]:
    """Return the table rows of one section of the endpoints."""
    _, _, section = (DOCS / "endpoints.md").read_text().partition(f"## {heading}")
    return [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `/")]


def test_edge_endpoints() -> None:
    operator = edge_ops.create_ops_app(Settings(), Mock(), Mock())
    paths = [*PATHS, *(route.path for route in operator.routes if isinstance(route, Route))]
    assert [row.split("`")[1] for row in endpoint_rows("Edge")] == paths


def test_api_endpoints() -> None:
    operator = api_operator.create_ops_app(Settings(), dict, Mock())
    services = [
        *(entity.service for entity in ENTITIES),
        *list_handlers(cast(EngineContext, None), {}),
        *report_handlers(cast(ReportService, None)),
    ]
    paths = ["/auth", *(f"/{name}" for name in services)]
    paths += [*(route.path for route in operator.routes if isinstance(route, Route)), "/openapi.json", "/docs"]
    assert [row.split("`")[1] for row in endpoint_rows("Config API")] == paths


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.service)
def test_methods_of_a_service(entity: Entity) -> None:
    start = f"| `/{entity.service}` | {', '.join(entity_methods(entity))} |"
    assert any(row.startswith(start) for row in endpoint_rows("Config API"))


@pytest.mark.parametrize("command", sorted(get_command(app).commands))  # type: ignore[attr-defined]
def test_command(command: str) -> None:
    assert any(row.startswith(f"| `onebyone {command}` |") for row in rows("commands.md"))


@pytest.mark.parametrize("path", sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")]), ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")]), ids=lambda path: path.name)
def test_named_files_exist(path: Path) -> None:
    for name in re.findall(r"`(\w[\w/]*/[\w/]*(?:\.py|/))`", path.read_text()):
        assert any((root / name).exists() for root in (ROOT, ROOT / "src" / "onebyone")), name
