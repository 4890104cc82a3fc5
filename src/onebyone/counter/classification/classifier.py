"""The reason that an event gets by classification: one, the first that applies of a documented order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onebyone.contracts.events import NET
from onebyone.contracts.traffic_classes import TrafficClass
from onebyone.counter.classification.agents import AgentClassifier
from onebyone.counter.classification.lists import ListVersion
from onebyone.counter.classification.network_ranges import NetworkRanges


@dataclass(frozen=True, slots=True)
class Classifier:
    """Classifies by one state of all lists. Its results never change, so callers may remember them."""

    agents: AgentClassifier
    networks: NetworkRanges
    lists: tuple[ListVersion, ...]
    """The lists that the results are by, to be kept with them."""

    def classify_agent(self, agent: str) -> TrafficClass | None:
        """Return the class of an agent, None for a browser, an app or a device; takes some 30 microseconds."""
        return self.agents.classify(agent)

    def classify_network(self, network: str) -> TrafficClass | None:
        """Return the class of a truncated network, None unless it is one of a data centre."""
        return TrafficClass.DATA_CENTER if self.networks.covers(network) else None

    def classify_event(self, event: Mapping[str, Any]) -> str:
        """Return the one reason of an event: the edge's, else its class, else `NET`. A summary has the edge's."""
        reason: str | None = event.get("reason")
        if reason is not None:
            return reason
        agent, network = event.get("ua", ""), event.get("ip", "")
        return self.classify_agent(str(agent)) or self.classify_network(str(network)) or NET
