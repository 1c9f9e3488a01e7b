"""The pytest plugin that the package brings: recorded histories are tests, and tests replay them.

pytest imports this module in every project of an environment that has emperord. So it imports
nothing but pytest and the standard library; everything else waits for a history file or a fixture.

A ``*.history`` file below a test folder is a test (``collecting.py``). The fixture ``replay`` steps
through a history or a journal (``steps.py``). The fixture ``fleet`` is a fold to feed events to
(``fleets.py``). The names of their types are here, for annotations.

Imports: ``daemon/core``, ``journal``, ``monitors``, ``replay``, ``replay/histories``. pytest is
imported in this package only.

Invariants:

- A session without histories imports neither the fold nor SQLite.
- A failure says whether the history diverged, is damaged, or is newer than this version.
- A history is rewritten only with ``--history-rewrite``, and the reason stays in it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .fleets import BareFleet as BareFleet
    from .opening import Replays as Replays
    from .steps import EndOfHistory as EndOfHistory
    from .steps import Steps as Steps

_TYPES = {
    "BareFleet": "fleets",
    "Replays": "opening",
    "EndOfHistory": "steps",
    "Steps": "steps",
}
__all__ = ["BareFleet", "EndOfHistory", "Replays", "Steps"]
SUFFIX = ".history"
FIRST_WORDS = b"# emperord "


def __getattr__(name: str) -> Any:
    if name not in _TYPES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_TYPES[name]}", __name__), name)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """The two options of the plugin."""
    _keep_asserts(pluginmanager)
    group = parser.getgroup("emperord", "histories of emperord")
    group.addoption(
        "--history-rewrite",
        metavar="REASON",
        help="write what this version decides into *.history files that diverge, and the reason,"
        " which stays in the file",
    )
    group.addoption(
        "--history-shrunk",
        metavar="DIR",
        help="write the smallest history that still has a divergence into this directory",
    )


def _keep_asserts(pluginmanager: pytest.PytestPluginManager) -> None:
    """Have pytest load emperord as Python does, without the rewriting of its asserts.

    pytest rewrites every package of a distribution that has a plugin. That compiles some hundred
    modules anew for the first history, and makes each assert of the fold slower. pytest has no
    public way to leave one out. Where it changes this set, it rewrites them as before.
    """
    marked = getattr(getattr(pluginmanager, "rewrite_hook", None), "_must_rewrite", None)
    if isinstance(marked, set):
        marked.discard(__name__.partition(".")[0])


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a rewrite without a reason before any test runs."""
    reason = config.getoption("history_rewrite")
    if reason is not None:
        flaw = _flaw_of(reason)
        if flaw:
            raise pytest.UsageError(
                f"--history-rewrite: {flaw}; say why the decisions changed, as in"
                " --history-rewrite 'a reload no longer counts as a death (#41)'"
            )


def _flaw_of(reason: str) -> str:
    if not any(character.isalpha() for character in reason):
        return "the reason has no words"
    return f"{reason!r} is a path, not a reason" if Path(reason).exists() else ""


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A history file is a test. Other programs' files of that ending are none."""
    if file_path.suffix != SUFFIX or not (parent.session.isinitpath(file_path) or _ours(file_path)):
        return None
    from .collecting import HistoryFile

    return HistoryFile.from_parent(parent, path=file_path)


def _ours(path: Path) -> bool:
    """Whether a file begins as a history does, or is empty, as after a crash of its writer."""
    with path.open("rb") as file:
        start = file.read(len(FIRST_WORDS))
    return start in (b"", FIRST_WORDS)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the histories that were written anew."""
    if terminalreporter.config.getoption("history_rewrite") is not None:
        from .collecting import tell_rewritten

        tell_rewritten(terminalreporter)


@pytest.fixture
def fleet() -> "BareFleet":
    """A fold of its own to feed events to; see docs/histories.md of emperord."""
    from .fleets import BareFleet

    return BareFleet()


@pytest.fixture
def replay(request: pytest.FixtureRequest) -> Iterator["Replays"]:
    """Steps through a recorded history or a journal; see docs/histories.md of emperord."""
    from .opening import Replays

    replays = Replays(request.path.parent)
    yield replays
    replays.close()
