"""Classes of invalid traffic, the reasons that classification gives to events (docs/invalid-traffic.md).

An event has at most one reason: the edge's, else the first class of this order that applies. Classified events keep
their cost and revenue, and count in the documented columns of reports; what the edge keeps uncounted does not.
"""

from __future__ import annotations

from enum import StrEnum

from onebyone.contracts.events import NET


class TrafficClass(StrEnum):
    """Who asked, if probably not a person with a browser; in order of precedence. No member is ever removed, because
    sums are stored by it."""

    NO_AGENT = "no_agent"
    """No user agent."""
    MAIL_PROXY = "mail_proxy"
    """A mailbox's image proxy: it fetches for a person, once for all who look, or before anybody looks."""
    MAIL_SCANNER = "mail_scanner"
    """A mail gateway that follows the links of a message before it delivers it."""
    AD_VERIFICATION = "ad_verification"
    """Verifies ads, landing pages and sellers' files for ad servers."""
    SOCIAL_PREVIEW = "social_preview"
    """Unfurls links for messengers and social networks."""
    AI_CRAWLER = "ai_crawler"
    """Reads pages for language models and their answers."""
    SEARCH_ENGINE = "search_engine"
    FEED_READER = "feed_reader"
    ARCHIVER = "archiver"
    ACADEMIC = "academic"
    MONITORING = "monitoring"
    """Measures availability and speed."""
    SCANNER = "scanner"
    """Looks for weak points in servers."""
    SEO = "seo"
    """Collects links and rankings for marketing tools."""
    BROWSER_AUTOMATION = "browser_automation"
    """A browser that a program drives."""
    HTTP_LIBRARY = "http_library"
    """The library of a program, under its default name."""
    ROBOT = "robot"
    """Says that it is a robot, or whom to ask about it, and is on no list."""
    NON_BROWSER = "non_browser"
    """Names neither a browser nor a device."""
    DATA_CENTER = "data_center"
    """Comes from a network of servers, by the lists that the operator has supplied."""


CLASSES = frozenset(TrafficClass)
COUNTED_REASONS = (NET, *TrafficClass)
"""Reasons whose sums are in the documented columns of reports, in `first_run` and in flat fees. For every other reason
an edge, of this release or a newer one, keeps events uncounted."""
