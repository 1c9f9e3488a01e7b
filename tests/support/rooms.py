"""The rooms of docs/architecture.md, and which rooms each of them may import."""

import functools
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
_ROW = re.compile(r"^\| `([a-z/]+)` \| [^|]* \|([^|]*)\|$", re.M)


@functools.cache
def rooms() -> dict[str, set[str]]:
    """The rooms of the page's table, and the rooms that each may import."""
    return {
        room.rstrip("/"): {name.rstrip("/") for name in re.findall(r"`([a-z/]+)`", may)}
        for room, may in _ROW.findall(PAGE)
    }
