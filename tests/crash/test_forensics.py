"""A daemon is paused by a full disk: each question about its journal has an answer all the same.

A file that a command is to write on that disk is whole, or is not there, and one line says so.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from support.kept import Emperor
from support.replaying import asking

from .ground import tiny_disk
from .test_disk import OPTIONS, SLEEPER, paused

FULL: Final = (
    "cannot be written: No space left on device; make room on its disk, or name a place on another"
)


class Paused(NamedTuple):
    """A daemon whose disk is full."""

    journal: Path
    disk: Path


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paused]:
    """It runs b.ini, and cannot record that a.ini has changed."""
    folder = tmp_path_factory.mktemp("forensics")
    logs = ("--log-directory", str(folder / "logs"))
    with (
        Emperor(folder, *OPTIONS, *logs, keeper=False) as emperor,
        tiny_disk(emperor.state) as disk,
    ):
        names = ("a.ini", "b.ini")
        for name in names:
            (emperor.vassals / name).write_text(SLEEPER)
        emperor.start()
        for name in names:
            emperor.phase(name, "ready")
        (disk.path / "kept.md").write_text("before")
        disk.fill()
        (emperor.vassals / "a.ini").write_text(f"{SLEEPER}\n")
        paused(emperor)
        yield Paused(emperor.journal, disk.path)
        emperor.clean_up()


@pytest.fixture
def full(daemon: Paused, monkeypatch: pytest.MonkeyPatch) -> Paused:
    """Temporary files and caches are on the same disk."""
    for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(daemon.disk))
    return daemon


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("verify",), "verified: "),
        (("verify", "--json"), '"verdict":"verified"'),
        (("state",), "2 vassals"),
        (("why", "a.ini"), "a.ini is ready"),
        (("history",), "running after"),
        (("history", "a.ini"), "a.ini"),
        (("incident", "a.ini"), "# a.ini had no incident"),
        (("report",), "deployment frequency"),
        (("report", "--full", "--json"), '"deploys":2'),
        (("search", "sleep"), "command = sleep 1000"),
        (("export",), "# emperord history"),
        (("export-configs", "--sql"), "INSERT"),
        (("events",), "daemon_started"),
        (("blame", "a.ini"), "command = sleep 1000"),
        (("show", "a.ini"), "command = sleep 1000"),
        (("around", "@3"), "vassal_added"),
        (("graph", "a.ini"), "vassal_added"),
        (("runs",), "a.ini"),
        (("undo", "3"), "rm "),
        (("timeline", "--json"), "a.ini"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_question_has_an_answer(full: Paused, command: tuple[str, ...], says: str) -> None:
    result = asking(command[0])(str(full.journal), *command[1:])
    assert result.exit_code == 0, result.stderr
    assert says in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (("incident", "a.ini", "-o"), "incident.md"),
        (("export", "-o"), "part.history"),
        (("timeline", "-o"), "page.html"),
        (("timeline", "-o"), "drawing.svg"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_file_is_not_begun(full: Paused, command: tuple[str, ...], file: str) -> None:
    path = full.disk / file
    there = sorted(os.listdir(full.disk))
    result = asking(command[0])(str(full.journal), *command[1:], str(path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"emperor-replay: {path}: {FULL}\n"
    assert sorted(os.listdir(full.disk)) == there


def test_a_file_that_is_there_stays(full: Paused) -> None:
    path = full.disk / "kept.md"
    result = asking("incident")(str(full.journal), "a.ini", "-o", str(path))
    assert (result.exit_code, path.read_text()) == (1, "before")


def test_no_config_is_exported_in_part(full: Paused) -> None:
    folder = full.disk / "configs"
    result = asking("export-configs")(str(full.journal), "-o", str(folder))
    assert (result.exit_code, result.stdout) == (1, "")
    assert FULL in result.stderr
    assert result.stderr.count("\n") == 1
    assert not folder.exists() or os.listdir(folder) == []
