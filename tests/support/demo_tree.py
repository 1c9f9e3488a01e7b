"""A tree of its own for a demonstration, so that it installs nothing while other tests run."""

import shutil
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def demo_tree(tree: Path, name: str) -> Path:
    """The files that ``tools/NAME`` needs; the packages that it would install are there."""
    shutil.copytree(TOOLS / "examples", tree / "tools" / "examples")
    demo = Path(shutil.copy(TOOLS / name, tree / "tools"))
    install = tree / "tools" / "install"
    install.write_text("#!/bin/sh\n")
    install.chmod(0o755)
    (tree / ".venv").symlink_to(sys.prefix)
    return demo
