"""How Sphinx makes the site of these pages: `make docs`. The pages are plain Markdown, as a code host shows them."""

from __future__ import annotations

import re
from typing import Any

from pygments.lexers.special import TextLexer  # type: ignore[import-untyped]

from pipeline import __version__

project = "pipeline"
copyright = "the authors of pipeline, Apache-2.0"  # noqa: A001  # Sphinx's name for it
release = __version__

extensions = ["myst_parser"]
myst_heading_anchors = 3  # the same anchors that a code host gives to headings
nitpicky = True
highlight_language = "text"

html_theme = "furo"
html_title = f"pipeline {__version__}"
html_copy_source = False
html_show_sphinx = False


def contents(_app: object, page: str, source: list[str]) -> None:
    """The order of the site, from the lists of links on the first page: said once, and shown by a code host as well."""
    if page != "index":
        return
    for section in re.split(r"(?m)^## ", source[0])[1:]:
        title, _, text = section.partition("\n")
        if pages := re.findall(r"(?m)^- \[[^\]]+\]\(([a-z-]+)\.md\)", text):
            source[0] += "\n".join(["", "```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```", ""])


def setup(app: Any) -> None:
    app.connect("source-read", contents)
    for plain in ("crontab", "logrotate"):
        app.add_lexer(plain, TextLexer)
