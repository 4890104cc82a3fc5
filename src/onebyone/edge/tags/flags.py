"""What was odd in the request of a recorded event: the codes of an event's `flags` (docs/reasons.md)."""

from __future__ import annotations

from enum import StrEnum


class Flag(StrEnum):
    """One code per oddity, in the order in which an event lists them."""

    ADDRESS_UNKNOWN = "address_unknown"
    """The client's address is not known, mostly because a trusted proxy did not name it: no network is recorded."""
    PROXY_RETRY = "proxy_retry"
    """A trusted proxy has sent this request before, perhaps to another edge, where it may have been counted too."""
    MACRO_UNREPLACED = "macro_unreplaced"
    """A parameter still contained its placeholder, and is treated as absent."""
    CLICK_MACRO_UNREPLACED = "click_macro_unreplaced"
    """The ad server's click macro was still in front of the target in `redir`, so the target cannot be followed."""
    NAME_CASE = "name_case"
    """A parameter differed from a known name only in case, and was ignored."""
    SIGNATURE_INVALID = "signature_invalid"
    """`sig` is not the signature of this tracker, target and expiry; the target is judged as without it."""
    SIGNATURE_EXPIRED = "signature_expired"
    """`exp` of a signed link is over; the target is judged as without the signature."""
    SIGNING_KEY_UNKNOWN = "signing_key_unknown"
    """`kid` names no key of the member, maybe because it was revoked; the target is judged as without the signature."""
    ANCOST_INVALID = "ancost_invalid"
    """`ancost` is no valid cost, and is treated as absent."""
    PREVIEW = "preview"
    """The browser fetches to show a small picture of the page (`client.Purpose`)."""
    REDIRECT_REFUSED = "redirect_refused"
    """`redir` was not approved."""
