"""The head of each package says what it is for, what it may import, and its invariants."""

import ast
import re

import pytest
from support import prose
from support.rooms import ROOT, rooms

_IMPORTS = re.compile(r"^Imports: (.*?)\.(?:\s|$)", re.M | re.S)
_INVARIANTS = re.compile(r"^Invariants:\n\n((?:- .*\n?|  .*\n?)+)", re.M)
NONE = "nothing of ours"


def head(room: str) -> str:
    tree = ast.parse((ROOT / room / "__init__.py").read_text())
    return ast.get_docstring(tree) or ""


def flaws(doc: str, may: set[str]) -> list[str]:
    """The parts that a head lacks, if its package may import these rooms."""
    found = []
    purpose = doc.partition("\nImports:")[0]
    first = purpose.splitlines()[:1]
    if not first or not first[0].endswith("."):
        found.append("its first line is no sentence")
    named = _IMPORTS.search(doc)
    if named is None:
        found.append("says no imports")
    elif named[1] != NONE if not may else set(re.findall(r"``(.+?)``", named[1])) != may:
        found.append(f"imports {sorted(may)} by the page, and says {' '.join(named[1].split())}")
    invariants = _INVARIANTS.search(doc)
    if invariants is None or len(re.findall(r"^- ", invariants[1], re.M)) < 2:
        found.append("says no invariants")
    if sum(1 for _ in prose.of_python(f"{doc!r}\n")) < 5:
        found.append("says too little")
    return found


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_package_says_purpose_imports_and_invariants(room: str) -> None:
    assert flaws(head(room), rooms()[room]) == []


GOOD = """The host.

It does this. It does that.

Imports: ``a``, ``b/c``. No more.

Invariants:

- One is so.
- Two is so,
  on two lines.
"""


@pytest.mark.parametrize(
    ("old", "new", "flaw"),
    [
        pytest.param("", "", None, id="good"),
        pytest.param("host.", "host", "its first line is no sentence", id="no-sentence"),
        pytest.param("Imports", "Uses", "says no imports", id="no-imports"),
        pytest.param(
            ", ``b/c``", "", "imports ['a', 'b/c'] by the page, and says ``a``", id="less"
        ),
        pytest.param("``a``, ``b/c``", NONE, f"and says {NONE}", id="none"),
        pytest.param("- Two", "  Two", "says no invariants", id="one-invariant"),
        pytest.param("Invariants:\n", "", "says no invariants", id="no-invariants"),
    ],
)
def test_a_flaw_of_a_head_is_found(old: str, new: str, flaw: str | None) -> None:
    found = flaws(GOOD.replace(old, new, 1) if old else GOOD, {"a", "b/c"})
    assert [each for each in found if flaw and each.endswith(flaw)] == found
    assert bool(found) == (flaw is not None)


def test_a_package_that_imports_nothing_says_so() -> None:
    assert flaws(GOOD.replace("``a``, ``b/c``", NONE), set()) == []
    assert flaws(GOOD, set()) != []
