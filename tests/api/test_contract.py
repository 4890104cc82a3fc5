"""The OpenAPI document under generated requests, valid and invalid, with and without a token."""

from __future__ import annotations

from pathlib import Path

import pytest

from onebyone.resources.entities import ENTITIES
from tests.api import contract_run


@pytest.mark.processes
@pytest.mark.timeout(300)
def test_every_response_matches_the_document(tmp_path: Path) -> None:
    found = contract_run.run(tmp_path, phases="examples,fuzzing", cases=3, seconds=180)
    assert found.code == 0, found.output[-20_000:]
    # A run without successes, for want of a token or of valid bodies, has tested nothing.
    for service in (*(entity.service for entity in ENTITIES), "report"):
        assert found.answers[service, "OK"], (service, found.answers)
