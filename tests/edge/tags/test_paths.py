"""Which paths are a tag's, which are only similar, and which are neither."""

from __future__ import annotations

import pytest

from onebyone.edge.tags.paths import similar_kind, tag_kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/imptr", "imp"), ("/clktr", "clk"), ("/clktrb", "clk"), ("/imptr/", "imp"), ("/clktrb/", "clk")],
)
def test_a_path_of_a_tag(path: str, kind: str) -> None:
    assert tag_kind(path) == kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        *(("//imptr", "imp"), ("/Imptr", "imp"), ("/CLKTRB/", "clk"), ("/imptr//", "imp"), ("imptr", "imp")),
        *(("/tags/clktr", "clk"), ("/./imptr", "imp"), ("/imptr/x", "imp"), ("\\imptr", "imp"), ("/ imptr ", "imp")),
        *(("/imptr&id=1", "imp"), ("/imptr?id=1", "imp"), ("/clktr;a", "clk"), ("/clktr.gif", "clk")),
    ],
)
def test_a_similar_path(path: str, kind: str) -> None:
    assert tag_kind(path) is None
    assert similar_kind(path) == kind


@pytest.mark.parametrize(
    "path", ["", "/", "/livez", "/imptracker", "/clktrbb", "/imptr2", "/imptr_x", "/ximptr", "/imp/tr"]
)
def test_any_other_path(path: str) -> None:
    assert tag_kind(path) is None
    assert similar_kind(path) is None
