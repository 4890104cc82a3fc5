"""The classes of agents and networks by their bytes: traffic repeats them, and classifying an agent takes long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onebyone.contracts.events import NET
from onebyone.counter.classification.classifier import Classifier
from onebyone.runtime.bounded_memo import BoundedMemo

AGENTS_KNOWN = 32_768
"""Agents that are remembered, in some 10 MB: several times what a busy hour has."""
AGENT_BYTES = 1024
"""A longer agent is classified each time; no edge writes one."""
NETWORKS_KNOWN = 131_072
"""Networks that are remembered, in some 15 MB."""
NETWORK_BYTES = 64
"""Likewise."""


class RememberedClasses:
    """Classifies by the bytes of texts as events have them, in UTF-8. Another state of the lists needs another one."""

    def __init__(self, classifier: Classifier, agents: int = AGENTS_KNOWN, networks: int = NETWORKS_KNOWN) -> None:
        self.classifier = classifier
        self.agents: BoundedMemo[bytes, str] = BoundedMemo(agents)
        """Class of each known agent; empty for none."""
        self.networks: BoundedMemo[bytes, str] = BoundedMemo(networks)
        """Class of each known network; empty for none."""

    def classify(self, agent: bytes, network: bytes) -> str:
        """Return the first class that applies to an event without a reason, `NET` if none does."""
        found = self.agents.get(agent)
        if found is None:
            found = str(self.classifier.classify_agent(agent.decode("utf-8", "replace")) or NET)
            if len(agent) <= AGENT_BYTES:
                self.agents.remember(agent, found)
        return found or self._classify_network(network)

    def classify_event(self, event: Mapping[str, Any]) -> str:
        """Return the same for an event as it is parsed."""
        agent, network = (str(event.get(name) or "").encode("utf-8", "replace") for name in ("ua", "ip"))
        return self.classify(agent, network)

    def _classify_network(self, network: bytes) -> str:
        found = self.networks.get(network)
        if found is None:
            found = str(self.classifier.classify_network(network.decode("utf-8", "replace")) or NET)
            if len(network) <= NETWORK_BYTES:
                self.networks.remember(network, found)
        return found
