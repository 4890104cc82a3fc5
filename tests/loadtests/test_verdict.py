"""The verdict of a load run, and a real run."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from loadtests.verdict import Totals, loopback, verdict
from tests.support.product import Product

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("recorded", "counted", "last_line", "good"),
    [
        pytest.param(Totals(8, 2), Totals(8, 2), "recorded = counted: 10 = 10", True, id="equal"),
        pytest.param(Totals(8, 2), Totals(7, 2), "recorded != counted: 10 != 9", False, id="lost"),
        pytest.param(Totals(8, 2), Totals(9, 2), "recorded != counted: 10 != 11", False, id="counted twice"),
        pytest.param(Totals(8, 2), Totals(7, 3), "recorded = counted: 10 = 10", False, id="wrong kind"),
        pytest.param(Totals(0, 0), Totals(0, 0), "recorded = counted: 0 = 0", False, id="nothing happened"),
    ],
)
def test_verdict(recorded: Totals, counted: Totals, last_line: str, good: bool) -> None:
    text, equal = verdict(recorded, counted, Counter({"imp ignored; reason=overload": 3}))
    assert text.splitlines()[0] == "answers imp ignored; reason=overload: 3"
    assert text.splitlines()[-1] == last_line
    assert equal is good


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/", "http://localhost:8080", "http://[::1]:8080"])
def test_loopback_url_is_accepted(url: str) -> None:
    assert loopback(url) == url.rstrip("/")


@pytest.mark.parametrize("url", ["http://ads.example", "http://10.0.0.1:8080", "http://localhost.example", "x"])
def test_other_url_is_refused(url: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="loopback"):
        loopback(url)


def test_run_against_a_running_product(product: Product) -> None:
    command = [sys.executable, "-m", "loadtests.verdict", "--users", "8", "--seconds", "3"]
    command += ["--edge", product.edge_url, "--api", product.api_url, "--username", product.username]
    environment = os.environ | {"ONEBYONE_ADMIN_PASSWORD": product.password}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-1].startswith("recorded = counted: ")
