"""What a request's body may be, whatever the interpreter's own limits are."""

from __future__ import annotations

import pytest

from onebyone.api.http.body import NESTING_MAX, parse_body
from onebyone.api.http.errors import ApiError


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"[]" + b"}" * (levels - 1)


def test_nesting_up_to_the_maximum_is_read() -> None:
    assert parse_body(nested(NESTING_MAX))


def test_nesting_beyond_the_maximum_is_refused() -> None:
    with pytest.raises(ApiError, match="the body nests too deep"):
        parse_body(nested(NESTING_MAX + 1))


def test_many_shallow_arrays_are_read() -> None:
    assert parse_body(b"[" + b",".join([b"[]"] * 2 * NESTING_MAX) + b"]")


def test_brackets_in_a_text_do_not_nest() -> None:
    assert parse_body(b'"' + b"[" * 2 * NESTING_MAX + b'"')
