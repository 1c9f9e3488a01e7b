"""tools/demo, in a tree of its own: it runs, a second one is refused, TERM ends it."""

import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.demo_tree import demo_tree
from support.waiting import PATIENCE, until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "R&D|100%d"  # a clone may be anywhere
    demo_tree(tree, "demo")
    return tree


def start(tree: Path) -> subprocess.Popen[bytes]:
    with (tree / "output").open("ab") as output:
        return subprocess.Popen(
            [tree / "tools" / "demo"], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )


@pytest.fixture
def first(tree: Path) -> Iterator[subprocess.Popen[bytes]]:
    demo = start(tree)
    yield demo
    if demo.poll() is None:
        demo.terminate()
    assert demo.wait(PATIENCE) == 0, (tree / "output").read_text()


def both_accept(tree: Path, count: int) -> None:
    """Wait until vassals have said so ``count`` times."""
    output = tree / "output"
    until(lambda: output.read_text().count("now accepting") == count, "both accept")


def address(tree: Path) -> str:
    text = (tree / ".demo" / "vassals" / "hello.ini").read_text()
    return text.partition("http-socket = ")[2].partition("\n")[0]


def test_a_second_demo_is_refused_and_changes_nothing(
    tree: Path, first: subprocess.Popen[bytes]
) -> None:
    output, pid = tree / "output", tree / ".demo" / "pid"
    both_accept(tree, 2)
    assert pid.read_text() == f"{first.pid}\n"
    second = start(tree)
    assert second.wait(PATIENCE) == 3
    assert f"{tree}/.demo/journal.db: in use by a running emperor" in output.read_text()
    assert pid.read_text() == f"{first.pid}\n"
    with urllib.request.urlopen(f"http://{address(tree)}/") as answer:
        assert answer.read().startswith(b"Hello from process ")
    os.kill(int(pid.read_text()), signal.SIGTERM)
    assert first.wait(PATIENCE) == 0


def test_a_new_demo_says_its_own_pid(tree: Path) -> None:
    for accepted in (2, 4):
        demo = start(tree)
        both_accept(tree, accepted)
        assert (tree / ".demo" / "pid").read_text() == f"{demo.pid}\n"
        demo.terminate()
        assert demo.wait(PATIENCE) == 0, (tree / "output").read_text()
