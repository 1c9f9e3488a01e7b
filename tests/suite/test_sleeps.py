"""A test waits for a condition. Each place that lets time pass has a reason here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

STEERED = "the clock is steered, so no real time passes"
CHANCE = "a random moment is what it tests: the daemon dies, or a file changes, at any time"
LOOKS = "the time between two looks at a condition; the wait has a limit"
REASONS = {
    "crash/chaos.py": CHANCE,
    "crash/churn.py": CHANCE,
    "crash/running.py": LOOKS,
    "crash/test_lock.py": "the child holds the lock so long, as one does between fork and exec",
    "crash/world.py": LOOKS,
    "daemon/control/test_connection_limits.py": STEERED,
    "daemon/control/test_verdicts.py": STEERED,
    "daemon/host/test_lasting.py": STEERED,
    "daemon/loop/test_beside.py": STEERED,
    "daemon/loop/test_clock.py": STEERED,
    "daemon/loop/test_failed_loop.py": STEERED,
    "daemon/loop/test_monitor_runner.py": STEERED,
    "daemon/loop/test_pressure.py": STEERED,
    "monitors/watching.py": "it measures how long others take between two turns",
    "simulation/addresses.py": STEERED,
    "simulation/clock.py": STEERED,
    "simulation/host.py": STEERED,
    "simulation/lasting.py": STEERED,
    "simulation/life.py": STEERED,
    "simulation/looks.py": STEERED,
    "simulation/preflights.py": STEERED,
    "simulation/sources.py": STEERED,
    "simulation/world.py": STEERED,
    "support/gate.py": "a line that passes so many bytes a second",
}
FILES = {str(path.relative_to(TESTS)): path for path in sorted(TESTS.rglob("*.py"))}


def sleeps(text: str) -> Iterator[int]:
    """The lines of calls that sleep, but for those that only let others have their turn."""
    for node in ast.walk(ast.parse(text if "sleep(" in text else "")):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
            if name == "sleep" and [ast.unparse(each) for each in node.args] != ["0"]:
                yield node.lineno


def test_each_sleep_has_a_reason() -> None:
    found = {name: list(sleeps(path.read_text())) for name, path in FILES.items()}
    without = [f"{name}:{line}" for name in found.keys() - REASONS for line in found[name]]
    assert not without, "wait for a condition (support/waiting.py, trio.Event) instead"
    assert {name for name in REASONS if not found.get(name)} == set(), "they sleep no more"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("time.sleep(1)", [1], id="real"),
        pytest.param("await trio.sleep(x)", [1], id="of trio"),
        pytest.param("await asyncio.sleep(0)", [], id="a turn"),
        pytest.param("await trio.sleep_forever()", [], id="until cancelled"),
        pytest.param("program = 'time.sleep(1)'", [], id="in a program of a vassal"),
    ],
)
def test_what_counts_as_a_sleep(text: str, lines: list[int]) -> None:
    assert list(sleeps(text)) == lines
