"""The documentation site: `make docs` renders these pages with Sphinx, and fails on a broken link or an orphan page."""

from __future__ import annotations

import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]

project = "OneByOne"
version = release = _PROJECT["version"]
html_title = f"{project} {version}"
extensions = ["myst_parser"]
# Links may name any heading of a page, as they do on a code host.
myst_heading_anchors = 3
html_theme = "furo"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
