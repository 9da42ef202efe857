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
:caption: %s

%s
```
"""
_SECTIONS = {
    "Tutorial": "tutorial/*",
    "How-to": "how-to/*",
    "Runbooks": "runbooks/*",
    "Reference": "reference/*",
    "Explanation": "explanation/*",
}


def add_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """Give the start page the contents of every folder that has pages."""
    if page == "index":
        source[0] += "".join(CONTENTS % each for each in _SECTIONS.items() if any(_HERE.glob(f"{each[1]}.md")))


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
