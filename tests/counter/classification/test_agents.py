"""Robots have the class of their entry, people have none, whatever their agents contain."""

from __future__ import annotations

import re
import time

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from onebyone.contracts.events import REASON_LENGTH
from onebyone.contracts.traffic_classes import TrafficClass
from onebyone.counter.classification import robots
from onebyone.counter.classification.agents import AgentClassifier
from tests.counter.classification.agents import ANDROID, IPHONE, LISTED, WINDOWS, people

MAIL_PROXIES = ("GoogleImageProxy", "YahooMailProxy")
RENAMED = {"advertising": "ad_verification"}


def test_every_agent_of_the_list_has_a_class_of_its_entry(agents: AgentClassifier) -> None:
    assert len(LISTED) > 2000
    wrong = []
    for agent, tags in LISTED:
        allowed = {RENAMED.get(tag, tag.replace("-", "_")) for tag in tags}
        if any(name in agent for name in MAIL_PROXIES):
            allowed = {"mail_proxy"}
        if agents.classify(agent) not in allowed:
            wrong.append((agent, agents.classify(agent), tags))
    assert wrong == []


def test_every_entry_is_found_in_other_versions_of_its_agents(agents: AgentClassifier) -> None:
    """Literal agents are the exception: with another version number only the pattern is left."""
    missed = []
    for agent, _ in LISTED:
        newer = re.sub(r"(?<=/)\d+(?=\.\d)", lambda match: str(int(match[0]) + 7), agent, count=1)
        if agents.classify(newer) is None:
            missed.append(newer)
    # The list has taken a telephone's app for a scanner, and the browser of an app for a robot.
    assert [agent for agent in missed if "; wv)" not in agent] == []
    assert len(missed) <= 2


def test_no_agent_of_people_has_a_class(agents: AgentClassifier) -> None:
    collected = people()
    assert len(collected) > 300
    flagged = {agent: (agents.classify(agent), origin) for agent, origin in collected.items() if agents.classify(agent)}
    assert flagged == {}


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("", "no_agent"),
        (" \t ", "no_agent"),
        ("-", "non_browser"),
        ("Mozilla/5.0", "non_browser"),
        ("Mozilla/5.0 (compatible)", "non_browser"),
        ("Mozilla/5.0 (compatible; FinderGo/1.0)", "non_browser"),
        ("CustomAgent/1.0", "non_browser"),
        ("${jndi:ldap://x}", "non_browser"),
        ("curl/8.11.0", "http_library"),
        ("python-requests/2.33.0", "http_library"),
        ("okhttp/5.3.0", "http_library"),
        ("Go-http-client/2.0", "http_library"),
        ("Googlebot/2.9 (+http://www.google.com/bot.html)", "search_engine"),
        ("Mozilla/5.0 (compatible; GPTBot/9.9; +https://openai.com/gptbot)", "ai_crawler"),
        ("facebookexternalhit/1.1", "social_preview"),
        ("WhatsApp/2.25.1 A", "social_preview"),
        (f"{WINDOWS.replace('Chrome', 'HeadlessChrome')}", "browser_automation"),
        (f"{WINDOWS} AdsBot-Google (+http://www.google.com/adsbot.html)", "ad_verification"),
        (f"{WINDOWS} SomeNewbot/1.0", "robot"),
        (f"{WINDOWS} Checker (+https://checker.example)", "robot"),
        (f"{WINDOWS} ops@checker.example", "robot"),
        (f"{ANDROID} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "search_engine"),
        (f"{IPHONE} facebookexternalhit/1.1 Facebot Twitterbot/1.0", "social_preview"),
        (f"{WINDOWS} Edge/12.246 Mozilla/5.0", "mail_proxy"),
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", "mail_proxy"),
        ("Barracuda Sentinel (EE)", "mail_scanner"),
        (f"{WINDOWS} Proofpoint URL Defense", "mail_scanner"),
        (WINDOWS, None),
        (ANDROID, None),
        (IPHONE, None),
        ("Dalvik/2.1.0 (Linux; U; Android 15; Pixel 9 Build/AP4A.250105.002)", None),
        ("MyApp/3 CFNetwork/1568.200.51 Darwin/24.1.0", None),
        ("Roku/DVP-14.5 (14.5.4.5934)", None),
    ],
)
def test_class_of_agent(agents: AgentClassifier, agent: str, expected: str | None) -> None:
    assert agents.classify(agent) == expected


def test_the_end_of_a_long_agent_is_not_looked_at(agents: AgentClassifier) -> None:
    assert agents.classify(WINDOWS + " x" * 300 + " Googlebot/2.1") is None
    assert agents.classify("curl/8" + " " * 1000) == "http_library"


HOSTILE = (
    " " * 600,
    "Android;" * 64,
    "Android " + "(" * 500,
    "Android 1;" + " " * 500,
    "Android 1; " + "a " * 250,
    "Android 1; " + "(a)" * 170,
    "Android 1;" + "build/" * 80,
    "a@" * 250,
    "a@" + "a." * 250,
    "a@" + "." * 500,
    "(iPhone" * 70,
    "(iPhone;" + " AppleWebKit/1" * 40,
    "YouView" * 70,
    "\ud800" * 100,
    "\x00" * 512,
    "ü" * 512,
)


def test_hostile_agents_cost_no_more_than_others(agents: AgentClassifier) -> None:
    def seconds(agent: str) -> float:
        start = time.process_time()
        for _ in range(20):
            agents.classify(agent)
        return time.process_time() - start

    usual = max(seconds((WINDOWS + " ") * 4) for _ in range(3))
    assert [agent[:20] for agent in HOSTILE if min(seconds(agent) for _ in range(3)) > 20 * usual] == []


def test_codes_fit_into_the_column_and_have_no_other_meaning() -> None:
    assert max(len(code) for code in TrafficClass) <= REASON_LENGTH
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", code) for code in TrafficClass)


def test_an_entry_with_tags_of_a_newer_list_is_a_robot() -> None:
    entries = [
        {"pattern": "NewThing", "instances": ["NewThing/1"], "tags": ["quantum"]},
        {"pattern": "Older", "instances": [], "addition_date": "2025/03/04"},
    ]
    listed = robots.RobotList(entries)
    assert listed.find_pattern("a NewThing/2 b") == TrafficClass.ROBOT
    assert listed.find_pattern("a Older b") == TrafficClass.ROBOT
    assert listed.find_pattern("something else") is None
    assert (listed.version.date, listed.version.entries) == ("2025-03-04", 2)


def test_all_tags_of_the_list_are_known() -> None:
    assert {tag for entry in CRAWLER_USER_AGENTS_DATA for tag in entry["tags"]} == set(robots._CLASSES)
