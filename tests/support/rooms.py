"""The rooms of docs/architecture.md, which rooms each of them may import, and pictures of both."""

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


@functools.cache
def layer(room: str) -> int:
    """One more than the highest layer that the room imports."""
    return 1 + max((layer(other) for other in rooms()[room]), default=0)


def layers() -> str:
    """The rooms of each layer on a line, the highest first."""
    found: dict[int, list[str]] = {}
    for room in sorted(rooms()):
        found.setdefault(layer(room), []).append(room)
    return "\n".join(f"{each}  {'  '.join(found[each])}" for each in sorted(found, reverse=True))


@functools.cache
def _below(room: str) -> frozenset[str]:
    """The rooms that a room imports, by itself or through others."""
    return frozenset(rooms()[room]).union(*(_below(other) for other in rooms()[room]))


def arrows() -> str:
    """The imports as a drawing by Mermaid, without those that others imply."""
    drawn = ["graph TD"]
    for room in sorted(rooms(), key=lambda room: (-layer(room), room)):
        implied = frozenset[str]().union(*(_below(other) for other in rooms()[room]))
        drawn += [f"    {room} --> {other}" for other in sorted(rooms()[room] - implied)]
    return "\n".join(drawn)
