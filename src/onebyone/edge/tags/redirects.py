"""Which `redir` is approved (docs/reasons.md, "Redirects")."""

from __future__ import annotations

from onebyone.contracts.configuration import MemberRecord
from onebyone.contracts.locations import browser_host


def is_approved(location: bytes, member: MemberRecord) -> bool:
    """Return whether the member allows redirects to `location`: to a host of its own click URLs, to one of its redirect
    domains or a subdomain, or, by the policy `any`, to every host."""
    host = browser_host(location)
    if host is None:
        return False
    if member.redirect_policy == "any" or host in member.click_hosts:
        return True
    return any(host == domain or host.endswith("." + domain) for domain in member.redirect_domains)
