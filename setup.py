"""The description that a package index shows: README.md, with links that work there.

A relative link leads nowhere on an index. Where pyproject.toml has a URL ``Source``, links lead to
the files there. Otherwise each becomes the name of its page, which is in both distributions.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent
_LINK = re.compile(r"\[(?P<text>[^]]*)\]\((?!https?:|#)(?P<page>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def description(readme: str, source: str = "") -> str:
    """The text of README.md for an index. ``source`` is a URL below which its files are."""

    def adapted(link: re.Match[str]) -> str:
        text, page, anchor = link["text"], link["page"], link["anchor"] or ""
        if source:
            return f"[{text}]({source.rstrip('/')}/{page}{anchor})"
        return f"`{page}`" if text == page else f"{text} (`{page}`)"

    return _LINK.sub(adapted, readme)


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    setup(
        script_name="setup.py",  # itself is no module of the package
        long_description=description(
            (ROOT / "README.md").read_text(encoding="utf-8"),
            project.get("urls", {}).get("Source", ""),
        ),
        long_description_content_type="text/markdown",
    )
