"""The port of the counter: on, off, in use, wanted or only a default."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from onebyone.settings import Settings
from onebyone.supervisor import plans
from onebyone.supervisor.fault import StartFault
from onebyone.supervisor.main import Plan
from onebyone.supervisor.roles import Role

PLANS = [plans.plan_product, plans.plan_counter]


def counter(plan: Plan) -> Role:
    """Return the counter of a plan, after closing every socket of the plan."""
    roles = [role for group in plan.groups for role in group]
    for role in roles:
        if role.listener is not None:
            role.listener.close()
    return next(role for role in roles if role.name == "counter")


def settings(tmp_path: Path, **more: int) -> Settings:
    """Return settings with free ports."""
    return Settings(data_dir=tmp_path, **{"edge_port": 0, "api_port": 0, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("plan", PLANS)
def test_port_0_switches_it_off(plan: Callable[[Settings], Plan], tmp_path: Path) -> None:
    made = plan(settings(tmp_path, counter_port=0))
    assert counter(made).listener is None
    assert made.settings["counter_port"] == 0


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_port_in_use_that_was_asked_for_is_a_fault(plan: Callable[[Settings], Plan], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StartFault, match=rf"port {port}: Address already in use; ONEBYONE_COUNTER_PORT names"):
            plan(settings(tmp_path, counter_port=port))


def test_a_default_port_in_use_keeps_no_product_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        wanted = settings(tmp_path)
        monkeypatch.setitem(wanted.__dict__, "counter_port", other.getsockname()[1])
        assert counter(plans.plan_product(wanted)).listener is None
        (line,) = capfd.readouterr().err.splitlines()
        assert "warning" in line
        assert line.endswith("ONEBYONE_COUNTER_PORT names the port; the counter runs without a port")
        with pytest.raises(StartFault):
            plans.plan_counter(wanted)


def test_under_serve_it_listens_on_this_machine_alone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = plans.plan_product(settings(tmp_path, counter_port=port).model_copy(update={"host": "0.0.0.0"}))  # noqa: S104
    roles = [role for group in made.groups for role in group if role.listener is not None]
    assert {role.name: role.listener.getsockname()[0] for role in roles if role.listener} == {
        "edge": "0.0.0.0",  # noqa: S104
        "api": "0.0.0.0",  # noqa: S104
        "counter": "127.0.0.1",
    }
    counter(made)
