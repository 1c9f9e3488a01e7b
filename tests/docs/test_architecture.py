"""The rooms of docs/architecture.md: each imports only the rooms that the page lets it import."""

import ast
import functools
import re
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest
from support import rooms as pictures
from support.rooms import PAGE, ROOT, rooms

PORTS = "daemon/loop/ports.py"
ADAPTERS = {"logging", "os", "select", "signal", "socket", "sqlite3", "subprocess", "threading"}


def modules() -> list[Path]:
    return [
        path
        for part in ("journal", "monitors", "daemon", "replay")
        for path in sorted((ROOT / part).rglob("*.py"))
    ]


def room_of(path: str) -> str:
    """The innermost room that a module or package of ours is in."""
    return max((room for room in rooms() if f"{path}/".startswith(f"{room}/")), key=len)


def imported(path: Path) -> Iterator[str]:
    """The imports of a module that lead to ours, as paths without a suffix."""
    package = ".".join(("emperord", *path.parent.relative_to(ROOT).parts))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            origin = resolve_name("." * node.level + (node.module or ""), package)
            base = origin.removeprefix("emperord").lstrip(".").replace(".", "/")
            for alias in node.names:
                inner = f"{base}/{alias.name}".lstrip("/")
                there = (ROOT / f"{inner}.py").exists() or (ROOT / inner).is_dir()
                yield inner if there else base


def foreign(path: Path) -> set[str]:
    """The packages of others that a module of ours imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(str(node.module).partition(".")[0])
    return names


@functools.cache
def arrows() -> set[tuple[str, str]]:
    found = set()
    for path in modules():
        room = room_of(str(path.relative_to(ROOT).with_suffix("")))
        for target in imported(path):
            if target.startswith(("journal", "monitors", "daemon", "replay")):
                found.add((room, room_of(target)))
    return {(one, other) for one, other in found if one != other}


def test_each_folder_is_a_room_of_the_page() -> None:
    folders = {str(path.parent.relative_to(ROOT)) for path in modules()}
    assert {folder for folder in folders if folder not in rooms()} == set()


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_room_imports_what_the_page_says(room: str) -> None:
    assert {other for one, other in arrows() if one == room} == rooms()[room]


def test_no_room_imports_in_a_circle() -> None:
    left = dict(rooms())
    while left:
        free = [room for room, may in left.items() if not may & left.keys()]
        assert free, f"a circle of {sorted(left)}"
        for room in free:
            del left[room]


@pytest.mark.parametrize("language", ["", "mermaid"])
def test_the_pictures_show_the_table(language: str) -> None:
    picture = pictures.arrows() if language else pictures.layers()
    fence = f"```{language}\n{picture}\n```\n"
    assert fence in PAGE, f"docs/architecture.md has no such picture; put it there:\n{fence}"


@pytest.mark.parametrize("room", ["daemon/core", "daemon/keeper"])
def test_the_lowest_rooms_import_nothing_of_the_daemon_above_them(room: str) -> None:
    assert {other for other in rooms()[room] if other.startswith("daemon")} == set()


def test_the_ports_import_no_adapter() -> None:
    """Directly and through others they reach decisions and values, and no way to the outside."""
    reached, waiting = {PORTS}, [PORTS]
    while waiting:
        new = {f"{name}.py" for name in imported(ROOT / waiting.pop())} - reached
        waiting += new
        reached |= new
    assert {room_of(path.removesuffix(".py")) for path in reached - {PORTS}} == {
        "daemon/core",
        "journal",
    }
    outside = {path: names for path in reached if (names := foreign(ROOT / path) & ADAPTERS)}
    assert outside == {}


@pytest.mark.parametrize(
    "path", re.findall(r"`((?:journal|monitors|daemon|replay)/[a-z_/]+\.py)`", PAGE)
)
def test_a_file_that_the_page_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()
