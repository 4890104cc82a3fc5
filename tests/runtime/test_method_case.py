"""Methods in another case reach the parser in upper case, and nothing else is touched."""

from __future__ import annotations

import pytest

from onebyone.runtime.method_case import with_upper_case_method


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"put / HTTP/1.1", b"PUT / HTTP/1.1"),
        (b"Delete /a?b=get c HTTP/1.1", b"DELETE /a?b=get c HTTP/1.1"),
        (b"GET /Get get HTTP/1.1", b"GET /Get get HTTP/1.1"),
        (b"foo / HTTP/1.1", b"foo / HTTP/1.1"),
        (b"get/ HTTP/1.1", b"get/ HTTP/1.1"),
        (b" get / HTTP/1.1", b" get / HTTP/1.1"),
        (b"", b""),
    ],
)
def test_methods_in_another_case(sent: bytes, read: bytes) -> None:
    assert with_upper_case_method(sent) == read
