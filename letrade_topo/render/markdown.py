"""Text that means only itself in Markdown, whatever it holds."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~@&!])")


def code(text: str) -> str:
    """Inline code that may stand in a table."""
    flat = " ".join(text.split()).replace("|", "\\|") or " "
    fence = "`" * (max((len(run) for run in re.findall("`+", flat)), default=0) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def escape(text: str) -> str:
    """Plain text on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
