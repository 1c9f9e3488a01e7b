"""The fold sees the fleet and the event, nothing else: it can reach for nothing else."""

import ast
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Final

import pytest

IMPURE: Final = frozenset(
    [
        "asyncio",
        "datetime",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "pathlib",
        "random",
        "secrets",
        "select",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "sqlite_utils",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "trio",
        "uuid",
    ]
)
# Built-in ways to the outside.
CALLS: Final = frozenset(("open", "input", "print", "exec", "eval", "__import__", "hash", "id"))
ROOTS: Final = tuple(
    f"emperord.daemon.core.{name}" for name in ("fold", "steps", "fleet", "actions")
)

CORE: Final = tuple(
    f"emperord.daemon.core.{path.stem}"
    for path in sorted((Path(__file__).parents[2] / "daemon" / "core").glob("*.py"))
    if path.stem != "__init__"
)


def source(module: str) -> ast.Module:
    found = find_spec(module)
    assert found is not None
    assert found.origin is not None
    return ast.parse(Path(found.origin).read_text())


@cache
def imported(module: str) -> set[str]:
    """Absolute names of all that a module imports, wherever in it."""
    package = module.rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(source(module)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            # "from . import slots" names modules; of other names find_spec knows nothing.
            parts = {f"{origin}.{alias.name}" for alias in node.names}
            ours = origin.startswith("emperord")
            names |= {origin} | {part for part in parts if ours and _is_module(part)}
    return names


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def closure(roots: Iterable[str] = ROOTS) -> dict[str, set[str]]:
    """These modules and those of ours that they need, with the imports of each."""
    found: dict[str, set[str]] = {}
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found[module] = imported(module)
            waiting += [name for name in found[module] if name.startswith("emperord.")]
    return found


@pytest.mark.parametrize("module", sorted(closure()))
def test_imports_nothing_that_reaches_outside(module: str) -> None:
    assert not {name.partition(".")[0] for name in closure()[module]} & IMPURE


@pytest.mark.parametrize("module", CORE)
def test_a_module_of_the_core_imports_no_way_to_the_outside(module: str) -> None:
    """Deploys are a view for people, so an error in it is logged."""
    assert imported(module) & IMPURE <= {"logging"}


def test_the_core_needs_neither_the_system_nor_sqlite() -> None:
    """``records`` prints times for people: the conversion is allowed, and the fold does without."""
    needed = {name.partition(".")[0] for names in closure(CORE).values() for name in names}
    assert needed & IMPURE <= {"datetime", "logging", "time"}


@pytest.mark.parametrize("module", ROOTS)
def test_calls_nothing_that_reaches_outside(module: str) -> None:
    called = {
        node.func.id
        for node in ast.walk(source(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & CALLS


def test_the_closure_is_not_empty() -> None:
    assert closure().keys() >= {*ROOTS, "emperord.journal.events", "emperord.journal.policy"}


def test_a_program_that_folds_has_loaded_no_machinery() -> None:
    """Seen from a fresh process, whatever the import statements look like."""
    heavy = ("trio", "sqlite3", "logging", "subprocess", "socket", "random")
    program = (
        "import sys, msgspec; before = set(sys.modules)\n"
        "import emperord.daemon.core.fold\n"
        f"print(*sorted((set(sys.modules) - before) & set({heavy})))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == []
