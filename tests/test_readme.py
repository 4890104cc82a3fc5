"""The README's first session works when it is pasted."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.product import start_product

README = (Path(__file__).parents[1] / "README.md").read_text()


def session() -> list[str]:
    """Return the lines of the curl session."""
    (block,) = (block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "/auth" in block)
    return str(block).splitlines()


def password() -> str:
    """Return the password that the README gives `make run`."""
    (found,) = re.findall(r"ONEBYONE_ADMIN_PASSWORD='([^']+)' make run", README)
    return str(found)


def test_the_session_is_five_lines_of_curl() -> None:
    assert len(session()) == 5
    assert all("curl" in line for line in session())


@pytest.mark.processes
def test_the_session_counts_three_impressions(tmp_path: Path) -> None:
    product = start_product(tmp_path / "data", admin_password=password())
    try:
        script = "\n".join(session())
        script = script.replace("http://127.0.0.1:8080", product.edge_url).replace(
            "http://127.0.0.1:8081", product.api_url
        )
        ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    finally:
        product.stop()
    assert ran.stderr == ""
    assert ran.stdout.lower().count("x-onebyone: recorded") == 3
    _, header, lines = ran.stdout.partition("day,line_item_name,publisher_name,external_impression")
    assert header
    # Two rows when midnight came between the impressions.
    rows = [line.split(",")[1:] for line in lines.split()]
    assert all(row[:2] == ["Spring", "News"] for row in rows)
    assert sum(int(row[2]) for row in rows) == 3
