"""`onebyone demo` as a newcomer runs it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from onebyone.demo import guide
from tests.supervisor.running import Running
from tests.support.product import PASSWORD, Product, start_product
from tests.support.tiers import starts_processes
from tests.support.waiting import wait_until

EVENTS = 60
SERVICES = ("advertiser", "publisher", "line-item", "imptracker", "clicktracker")


@pytest.fixture(scope="module")
@starts_processes
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A demo that these tests share, once its traffic has ended."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    options = ("--data-dir", str(folder), "--password", PASSWORD, "--events", str(EVENTS), "--rate", "50")
    product = start_product(folder, "demo", *options)
    try:
        wait_for(product, "demo traffic has ended")
        yield product
    finally:
        product.stop()


def wait_for(product: Product, text: str, times: int = 1) -> None:
    wait_until(lambda: product.stdout.read_text().count(text) >= times, text, seconds=60)


def test_the_printed_shell_lines_fetch_a_report(demo: Product) -> None:
    text = demo.stdout.read_text()
    script = text[text.index("TOKEN=") : text.index("report-download")] + 'report-download?id=$REPORT"\n'
    answer = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.splitlines()[0] == ",".join(guide.REPORT["columns"])
    assert "Acorn Shoes" in answer.stdout


def test_progress_names_what_the_report_has(demo: Product) -> None:
    lines = [line for line in demo.stdout.read_text().splitlines() if " recorded" in line]
    assert lines[-1] == f"demo: {EVENTS} sent, {EVENTS} recorded, {EVENTS} in the report"
    assert all(line.endswith(" in the report") for line in lines)


def test_a_second_start_reuses_the_sample_and_counts_on(demo: Product) -> None:
    assert f"{EVENTS} sent, {EVENTS} recorded" in demo.stdout.read_text()
    client = demo.client()
    counts = {service: len(client.list(service)) for service in SERVICES}
    assert (counts["advertiser"], counts["publisher"]) == (2, 2)
    assert counts["imptracker"] + counts["clicktracker"] == 6
    assert client.call("GET", "member")["member"]["name"] == "Demo"
    rows = client.report(guide.REPORT, until=lambda rows: _events(rows) == EVENTS)
    assert {row["advertiser_name"] for row in rows} == {"Acorn Shoes", "Borealis Trips"}
    assert sum(float(row["cost"]) for row in rows) > 0

    assert demo.terminate() == 0
    demo.start()
    wait_for(demo, "demo traffic has ended", times=2)
    client = demo.client()
    assert {service: len(client.list(service)) for service in SERVICES} == counts
    client.report(guide.REPORT, until=lambda rows: _events(rows) == 2 * EVENTS)


def test_another_password_at_the_second_start_fails_with_one_line(demo: Product, tmp_path: Path) -> None:
    demo.terminate()
    options = ("--data-dir", str(demo.data_dir), "--password", "An0ther-Password")
    again = Running(tmp_path, "-m", "onebyone", "demo", *options, edge_port=0, api_port=0, workers=1)
    assert again.wait() == 1
    assert "onebyone demo: POST /auth: No match found for user/pass" in again.stderr
    assert again.stderr[-1] == "onebyone: demo cannot run as configured"


def _events(rows: list[dict[str, str]]) -> int:
    return sum(int(row["external_impression"]) + int(row["external_click"]) for row in rows)
