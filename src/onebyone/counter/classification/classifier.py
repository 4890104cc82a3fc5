"""Classifies agents and networks by one state of the lists, and names these lists."""

from __future__ import annotations

from dataclasses import dataclass

from onebyone.contracts.traffic_classes import TrafficClass
from onebyone.counter.classification.agents import AgentClassifier
from onebyone.counter.classification.lists import ListVersion
from onebyone.counter.classification.network_ranges import NetworkRanges


@dataclass(frozen=True, slots=True)
class Classifier:
    """Classifies by one state of all lists. Its results never change, so `RememberedClasses` remembers them."""

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
