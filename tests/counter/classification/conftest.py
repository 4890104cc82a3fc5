"""One classifier of agents for all tests: it never changes."""

from __future__ import annotations

import pytest

from onebyone.counter.classification.agents import AgentClassifier
from onebyone.counter.classification.robots import RobotList


@pytest.fixture(scope="session")
def agents() -> AgentClassifier:
    """The classifier of this release."""
    return AgentClassifier(RobotList())
