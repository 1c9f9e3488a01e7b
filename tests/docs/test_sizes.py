"""Limits in lines, tests included: 250 for a class, 70 for a function, 500 for a file."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLASS = 250  # lines
FUNCTION = 70
FILE = 500
SCRIPTS = [
    path
    for path in sorted((ROOT / "tools").iterdir())
    if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env python3\n")
]
FILES = [
    *SCRIPTS,
    *(
        path
        for part in ("journal", "monitors", "daemon", "replay", "tests", "tools")
        for path in sorted((ROOT / part).rglob("*.py"))
    ),
]


def blocks(node: ast.AST) -> Iterator[ast.AST]:
    """The statements of a tree, and what else holds some. No expression holds a definition."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from blocks(child)


def too_long(source: str) -> Iterator[str]:
    """The classes and functions of a source that are over their limit."""
    for node in blocks(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            most = CLASS if isinstance(node, ast.ClassDef) else FUNCTION
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > most:
                yield f"{node.lineno}: {node.name} has {lines} lines, and may have {most}"


def test_no_class_and_no_function_is_too_long() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{offender}"
        for path in FILES
        for offender in too_long(path.read_text())
    ]
    assert found == []


def test_no_file_is_too_long() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in FILES}
    assert {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > FILE} == {}


@pytest.mark.parametrize(
    ("head", "most"), [("class x:", CLASS), ("def x():", FUNCTION), ("async def x():", FUNCTION)]
)
def test_one_line_more_is_found(head: str, most: int) -> None:
    line = "    a = 1\n"
    assert list(too_long(f"{head}\n{line * (most - 1)}")) == []
    assert list(too_long(f"{head}\n{line * most}")) == [
        f"1: x has {most + 1} lines, and may have {most}"
    ]
