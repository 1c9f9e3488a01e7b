"""The histories of this project in ``tests/histories``: each run of ``tools/histories`` has one."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from emperord.daemon.core import steps
from emperord.daemon.core.fleet import PHASES
from emperord.replay.histories.check import check
from emperord.replay.histories.history import History
from emperord.replay.histories.text import read

ROOT: Final = Path(__file__).resolve().parents[3]
PATHS: Final = sorted((ROOT / "tests" / "histories").glob("*.history"))
SOURCES: Final = {"amqp", "dir", "glob", "ldap", "mongodb", "pg", "zmq", "zoo"}
MODES: Final = {
    "adopted",
    "connection_waiting",
    "deploy_refused",
    "health_lost",
    "heartbeat_lost",
    "keeper_lost",
    "listen_failed",
    "listen_refused",
    "listing_doubted",
    "monitor_recovered",
    "observation_rejected",
    "request_refused",
    "spawn_failed",
    "timeout_extended",
    "vassal_loyal",
    "vassal_resigned",
}


def test_there_is_one_of_each_run() -> None:
    told = subprocess.run(
        [sys.executable, ROOT / "tools" / "histories"], capture_output=True, text=True, check=False
    )
    names = re.findall(r"^  ([a-z-]+) ", told.stderr, re.MULTILINE)
    there = {path.stem for path in PATHS}
    runs = {name for name in names if not name.startswith("incident-")}
    assert len(runs) > 30
    assert runs <= there
    assert len({name for name in there if name.startswith("incident-")}) >= 5


@pytest.fixture(scope="module")
def histories() -> list[History]:
    return [read(path.read_text(), path.name) for path in PATHS]


def test_each_source_has_one(histories: list[History]) -> None:
    urls = {url for history in histories for url in history.header.sources}
    assert {url.partition("://")[0] for url in urls} == SOURCES


def test_each_phase_and_mode_is_in_one(histories: list[History]) -> None:
    all_steps = [step for history in histories for step in history.steps]
    assert set(PHASES) - {each.phase for step in all_steps for each in step.expectations} == set()
    assert MODES - {step.event.kind for step in all_steps} == set()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_names_no_path_of_a_machine(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"/(?:tmp|work|root|home)/", text) == []
    assert str(ROOT) not in text


@pytest.mark.slow
def test_a_run_can_be_recorded_again(tmp_path: Path) -> None:
    argv = [sys.executable, str(ROOT / "tools" / "histories"), str(tmp_path), "crash-loop"]
    subprocess.run(argv, check=True, capture_output=True, timeout=100)
    (made,) = tmp_path.iterdir()
    history = read(made.read_text(), made.name)
    assert [step.event.kind for step in history.steps].count("exited") == 4
    assert history.header.notes[0].startswith("A program dies three times")


def test_a_doubled_mercy_is_found(
    histories: list[History], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fold that decides the same and remembers another deadline."""
    monkeypatch.setattr(steps, "seconds", lambda duration: int(duration * 2_000_000_000))
    outcomes = [check(history) for history in histories]
    assert {outcome.kind for outcome in outcomes} == {"same", "diverged"}
    assert {outcome.field for outcome in outcomes if not outcome.same} == {"field 'deadline'"}
