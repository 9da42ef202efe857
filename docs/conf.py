"""How the documentation site is made of the Markdown pages here: `script/docs`.

The pages are plain Markdown, so that they read as well on a Git host. What only the site needs is added here:
the contents (every page of a folder, without a list to keep) and the pages of linked repository files.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE / "_site"))

project = "letrade-topo"
author = "the letrade-topo authors"
release = version = tomllib.loads((_HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_parser", "sphinxcontrib.mermaid", "repository_files"]
exclude_patterns = ["_site"]

suppress_warnings = ["misc.highlighting_failure"]  # Pygments' PromQL does not know the colons of recording rules

html_theme = "furo"
html_title = f"letrade-topo {release}"
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_use_index = False

myst_heading_anchors = 4
"""Headings get the anchors that Git hosts give them."""
myst_fence_as_directive = ["mermaid"]
mermaid_use_local = "mermaid/mermaid.esm.min.mjs"
"""`script/docs` puts it there: a reader's browser asks nobody else."""
mermaid_height = "auto"
mermaid_fullscreen = False
mermaid_light_theme = "neutral"

CONTENTS = """

```{toctree}
:hidden:
:glob:
:titlesonly:
:caption: %s

%s
```
"""
_CONTENTS_OF = {
    "index": {
        "Tutorial": ["tutorial/*"],
        "How-to": ["how-to/*", "runbooks/README"],
        "Reference": ["reference/*"],
        "Explanation": ["explanation/*"],
    },
    "runbooks/README": {"Runbooks": ["*"]},
}


def add_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """Give the pages that have others below them the list of those."""
    for caption, inside in _CONTENTS_OF.get(page, {}).items():
        source[0] += CONTENTS % (caption, "\n".join(inside))


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
