"""The compose file of the separate roles: it parses, names only what exists, and keeps data that must survive."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from onebyone.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ROLES = ("edge", "api", "counter")
SETTINGS = {f"ONEBYONE_{name.upper()}" for name in Settings.model_fields}


def variables(text: str) -> set[str]:
    return set(re.findall(r"\$\{(\w+)", text))


def defined() -> dict[str, str]:
    lines = (DEPLOY / "example.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def environment(service: str) -> dict[str, str]:
    found: dict[str, str] = SERVICES[service].get("environment", {})
    return found


def arguments(service: str) -> dict[str, str]:
    command = SERVICES[service]["command"]
    return dict(zip(command[1::2], command[2::2], strict=True))


def test_roles_and_stores() -> None:
    assert set(SERVICES) == {*ROLES, "postgres", "cache", "stream"}
    for role in ROLES:
        assert SERVICES[role]["command"] == [role]


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_exists(service: str) -> None:
    named = {name for name in environment(service) if name.startswith("ONEBYONE_")}
    assert named <= SETTINGS


def test_example_has_exactly_the_variables() -> None:
    assert variables(TEXT) == set(defined())


def test_example_has_no_secret() -> None:
    assert [name for name, value in defined().items() if "PASSWORD" in name and value] == []
    for name in variables(TEXT):
        if "PASSWORD" in name:
            assert f"${{{name}:?" in TEXT, f"{name} must be asked for"
            assert f"${{{name}:-" not in TEXT


@pytest.mark.parametrize("role", ROLES)
def test_role_has_only_the_stores_that_it_needs(role: str) -> None:
    needs = {
        "edge": {"ONEBYONE_CACHE_URL", "ONEBYONE_STREAM_URL"},
        "api": {"ONEBYONE_DATABASE_URL", "ONEBYONE_CACHE_URL"},
        "counter": {"ONEBYONE_DATABASE_URL", "ONEBYONE_STREAM_URL"},
    }
    assert {name for name in environment(role) if name.endswith("_URL") and name != "ONEBYONE_PUBLIC_URL"} == needs[
        role
    ]


@pytest.mark.parametrize("role", ROLES)
def test_role_has_few_rights(role: str) -> None:
    assert SERVICES[role]["read_only"] is True
    assert SERVICES[role]["cap_drop"] == ["ALL"]
    assert SERVICES[role]["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("server", ["cache", "stream"])
def test_no_server_evicts(server: str) -> None:
    assert arguments(server)["--maxmemory-policy"] == "noeviction"
    assert "--requirepass" in arguments(server)


def test_stream_and_journals_survive_a_container() -> None:
    assert arguments("stream")["--appendonly"] == "yes"
    for service in ("stream", "edge", "postgres"):
        (volume,) = SERVICES[service]["volumes"]
        assert volume.split(":")[0] in COMPOSE["volumes"]


@pytest.mark.parametrize("service", SERVICES)
def test_health_checks_and_start_order(service: str) -> None:
    assert "healthcheck" in SERVICES[service]
    for other, wanted in SERVICES[service].get("depends_on", {}).items():
        assert wanted == {"condition": "service_healthy"}
        assert SERVICES[other]["healthcheck"].get("disable") is not True


def test_images_have_a_version() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"onebyone|[a-z]+(/[a-z]+)?:[\d.]+", service["image"]), name


def test_only_the_edge_is_public() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"edge": ["8080:8080"], "api": ["127.0.0.1:8081:8081"]}


def has_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not has_compose(), reason="docker compose is not installed")
def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    env = tmp_path / "env"
    env.write_text("".join(f"{name}={value or 'x'}\n" for name, value in defined().items()))
    command = ["docker", "compose", "--env-file", str(env), "--file", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stderr == ""
