"""Skip reasons that name a package are counted."""

from __future__ import annotations

import pytest

from tests.support.debian_packages import needs, skipped_by_package, summary_lines


def skipped(reason: str) -> pytest.TestReport:
    where = ("test_module.py", 1, f"Skipped: {reason}")
    return pytest.TestReport("test", ("test_module.py", 1, "test"), {}, "skipped", where, "setup")


def test_packages_with_their_number_of_tests() -> None:
    reports = [skipped(needs("chromium")) for _ in range(3)]
    reports += [skipped(needs("nodejs", "npm")), skipped("the machine has no /dev/shm")]
    assert summary_lines(skipped_by_package(reports)) == [
        "apt-get install chromium: 3 more tests",
        "apt-get install nodejs npm: 1 more test",
    ]
