"""How `make docs` builds these pages. Formulas become MathML, which browsers draw without scripts and network."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

project = html_title = "ascend-moe-gating"
# The source folder is the project's: links to README.md and others are the same here and on a code host.
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "simulator/README.md"]
exclude_patterns = [".*", "build", "kernels", "tests"]  # folders that need not be searched
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_math_renderer = "mathml"
html_static_path = ["style.css"]
html_css_files = ["style.css"]
html_copy_source = html_show_sourcelink = False
highlight_language = "none"


def inline_math(self: Any, node: nodes.math) -> None:
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block_math(self: Any, node: nodes.math_block) -> None:
    self.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>\n')
    raise nodes.SkipNode


def language_of_the_page(app: Sphinx, page: str, template: str, context: dict[str, Any], document: object) -> None:
    context["language"] = "zh-Hans" if page.endswith(".zh") else "en"


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))
    app.connect("html-page-context", language_of_the_page)
