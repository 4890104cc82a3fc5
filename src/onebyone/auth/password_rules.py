"""The rule for new passwords, the same for the API, the command line and the first start."""

from __future__ import annotations

import re

_CLASSES = tuple(re.compile(pattern) for pattern in ("[A-Z]", "[a-z]", "[0-9]", "[^A-Za-z0-9]"))


def check_password(password: str) -> str:
    """Return `password`, or raise ValueError, whose text is the rule, when it is too weak or too long."""
    if not (10 <= len(password) <= 64 and all(pattern.search(password) for pattern in _CLASSES)):
        raise ValueError("must have 10 to 64 characters, with upper and lower case, a digit and a special one")
    return password
