"""``tools/bench`` knows each benchmark: a file that it does not import would be run by no one."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def written() -> set[str]:
    """The functions of all files that are marked as benchmarks."""
    trees = [ast.parse(file.read_text()) for file in (ROOT / "tools/benchmarks").glob("*.py")]
    return {
        node.name
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(mark, ast.Name) and mark.id == "bench" for mark in node.decorator_list)
    }


def test_each_benchmark_can_be_asked_for() -> None:
    command = [sys.executable, str(ROOT / "tools/benchmarks"), "nonsuch"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    _, _, known = done.stderr.strip().partition("; there are ")
    assert set(known.split(", ")) == written()
    assert "neighbours" in written()
