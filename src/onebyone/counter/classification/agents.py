"""The class of a user agent: by the list of robots first, then by what its own text shows."""

from __future__ import annotations

import re

from onebyone.contracts.traffic_classes import TrafficClass
from onebyone.counter.classification import agent_shapes
from onebyone.counter.classification.robots import AGENT_MAX, RobotList

_MAIL_PROXIES = re.compile(r"GoogleImageProxy|YahooMailProxy|Edge/12\.246 Mozilla/5\.0$")
"""Image proxies of mailboxes. The last is Gmail's, when it fetches images before a message is opened."""

_MAIL_SCANNERS = re.compile(
    r"barracuda|mimecast|proofpoint|urldefense|safelinks|ironport|ciscosecureemail|messagelabs|\btmes\b|fortimail"
    r"|mailmarshal|hornetsecurity|vade ?secure|avanan",
    re.IGNORECASE,
)
"""Mail gateways that name themselves; most have the agent of a browser, and show only by their network."""


class AgentClassifier:
    """Classifies agents. It keeps nothing between calls: callers remember results by the bytes of the agent."""

    def __init__(self, robots: RobotList) -> None:
        self._robots = robots

    def classify(self, agent: str) -> TrafficClass | None:
        """Return the class of an agent, None for a browser, an app or a device."""
        # Runs of blanks would make the patterns slow, and mean nothing.
        agent = " ".join(agent[:AGENT_MAX].split())
        if not agent:
            return TrafficClass.NO_AGENT
        if _MAIL_PROXIES.search(agent):
            return TrafficClass.MAIL_PROXY
        if _MAIL_SCANNERS.search(agent):
            return TrafficClass.MAIL_SCANNER
        found = self._robots.find_instance(agent)
        if found is not None:
            return found
        masked = agent_shapes.mask_device_names(agent)
        introduced = agent_shapes.introduces_robot(masked)
        if introduced or not agent_shapes.is_web_view(agent):
            found = self._robots.find_pattern(masked)
            if found is not None:
                return found
        if introduced:
            return TrafficClass.ROBOT
        return None if agent_shapes.names_browser_or_device(agent) else TrafficClass.NON_BROWSER
