"""Names and placeholders in the spellings in which tags arrive, for the tests of every path that reads them."""

from __future__ import annotations

from urllib.parse import quote_from_bytes

AMPERSANDS = (
    *(b"amp;", b"AMP;", b"Amp;", b"#38;", b"#038;", b"#x26;", b"#X26;", b"#x0026;"),
    *(b"amp;amp;", b"amp;#38;", b"amp;amp;amp;", b"amp%3B", b"amp%3b", b"%61mp;", b"%2338;", b"%23x26%3B", b"amp%253B"),
    *(b"%26", b"%26amp;", b"%26amp%3B", b"amp;%26", b"&", b"&amp;"),
)
"""What an `&` that was escaped as HTML leaves in front of the next name, also percent-encoded."""


def encode(text: bytes, times: int = 1, every: bool = False) -> bytes:
    """Percent-encode as an ad server does; with `every`, letters and digits too."""
    for _ in range(times):
        text = b"".join(b"%%%02X" % byte for byte in text) if every else quote_from_bytes(text, safe="").encode()
    return text


def spellings(name: bytes) -> list[bytes]:
    """Return the spellings of a parameter's name that mean this name, without the usual one."""
    one_letter = [name[:at] + b"%%%02x" % name[at] + name[at + 1 :] for at in range(len(name))]
    encoded = [*one_letter, encode(name, every=True), encode(encode(name, every=True))]
    return [*encoded, *(escaped + name for escaped in AMPERSANDS), *(escaped + encoded[0] for escaped in AMPERSANDS)]
