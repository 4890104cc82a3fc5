"""The forms in which proxies write the address of a client, and in which others try to."""

from __future__ import annotations

CLIENT, CLIENT6 = "203.0.113.7", "2001:db8:7::9"

NODES: list[tuple[str, str, str | None]] = [
    ("plain", "203.0.113.7", CLIENT),
    ("port", "203.0.113.7:51234", CLIENT),
    ("obfuscated port", "203.0.113.7:_p4", CLIENT),
    ("quotes", '"203.0.113.7"', CLIENT),
    ("quotes and port", '"203.0.113.7:51234"', CLIENT),
    ("brackets", "[203.0.113.7]", CLIENT),
    ("blanks", " \t203.0.113.7\t ", CLIENT),
    ("mapped", "::ffff:203.0.113.7", CLIENT),
    ("mapped in hexadecimal", "::FFFF:cb00:7107", CLIENT),
    ("mapped with port", "[::ffff:203.0.113.7]:51234", CLIENT),
    ("version 6", "2001:db8:7::9", CLIENT6),
    ("version 6 in full", "2001:0DB8:0007:0000:0000:0000:0000:0009", CLIENT6),
    ("version 6 in brackets", "[2001:db8:7::9]", CLIENT6),
    ("version 6 with port", "[2001:db8:7::9]:51234", CLIENT6),
    ("version 6 with port, quoted", '"[2001:db8:7::9]:51234"', CLIENT6),
    ("version 6 with port, no brackets", "2001:db8:7::9:51234", CLIENT6),
    ("zone", "2001:db8:7::9%eth0", CLIENT6),
    ("zone in brackets", "[2001:db8:7::9%25eth0]:51234", CLIENT6),
    ("empty", "", None),
    ("blank", " ", None),
    ("unknown", "unknown", None),
    ("unknown in capitals", "UNKNOWN", None),
    ("unknown with port", "unknown:51234", None),
    ("obfuscated", "_hidden", None),
    ("obfuscated and quoted", '"_SEVKISEK"', None),
    ("host name", "client.example", None),
    ("localhost", "localhost", None),
    ("port too high", "203.0.113.7:65536", None),
    ("port not a number", "203.0.113.7:http", None),
    ("port alone", ":51234", None),
    ("open quote", '"203.0.113.7', None),
    ("open bracket", "[2001:db8:7::9", None),
    ("leading zeros", "203.000.113.007", None),
    ("three numbers", "203.0.113", None),
    ("one number", "3405803783", None),
    ("network", "203.0.113.0/24", None),
    ("two addresses", "203.0.113.7 198.51.100.1", None),
    ("semicolon", "203.0.113.7;x", None),
    ("no address at all", "0.0.0.0", None),  # noqa: S104
    ("no address at all, version 6", "::", None),
    ("digits of another script", "\u0662\u0660\u0663.0.113.7", None),
    ("binary", "\xff\xfe", None),
    ("too long", "203.0.113.7" + "0" * 5000, None),
]
"""Name, what a proxy writes for one hop, and the address that it means; None: it names nobody."""


def forwarded_element(node: str) -> str | None:
    """Return an element of `Forwarded` (RFC 7239) for a node; None if that is another test."""
    if not node.strip() or not node.isascii() or node != node.strip():
        return None
    if node.startswith('"') or not set(node) & set('[]:" ;/'):
        return f"for={node}"
    return f'for="{node}"'
