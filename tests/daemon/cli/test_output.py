"""Output that cannot be written: of each command of the three programs, never a traceback."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from emperord.daemon.ctl import cli as emperor_ctl
from emperord.replay.main import cli as emperor_replay
from journal_builder import building, busy_fleet
from support.kept import Emperor
from support.subcommands import subcommands
from support.vassals import SLEEPER

from ..conftest import QUICK

FULL = "the output cannot be written: No space left on device"
MODULES = {
    "emperor": "emperord.daemon.keeper",
    "emperor-ctl": "emperord.daemon.ctl",
    "emperor-replay": "emperord.replay.main",
}
GROUPS = {"emperor-ctl": emperor_ctl, "emperor-replay": emperor_replay}
Call = tuple[str, ...]


# Commands that need more than a vassal's name.
MORE: dict[str, Call] = {
    "around": ("@3",),
    "bisect": ("a.ini", "--line", "master = true"),
    "export-configs": ("--sql",),
    "search": ("uwsgi",),
    "simulate": ("--set", "throttle=5000"),
    "timeline": ("--json",),
    "undo": ("3",),
}


def calls(program: str, group: click.Group) -> Iterator[Call]:
    """Each command of a program that prints, on the vassal a.ini where one must be named."""
    for name, command in sorted(subcommands(group).items()):
        if name in ("archive", "backup", "import"):  # they write a file
            continue
        if program == "emperor-replay" and name in MORE:
            yield (program, name, *MORE[name])
            continue
        arguments = [each for each in command.params if isinstance(each, click.Argument)]
        several = program == "emperor-ctl"  # its verbs take names or --all
        named = ["a.ini" for each in arguments if each.required or (several and each.nargs < 0)]
        yield (program, name, *named)


CALLS: list[Call] = [
    ("emperor", "--help"),
    ("emperor", "--version"),
    ("emperor", "--check", "vassals"),
    *[(program, option) for program in GROUPS for option in ("--help", "--version")],
    ("emperor-ctl", "list", "--json"),
    ("emperor-replay", "state", "--help"),
    ("emperor-replay", "events", "--json"),
    *[call for program, group in GROUPS.items() for call in calls(program, group)],
]
# Of emperor-ctl these answer in any case. An order may be refused, and may say nothing.
ANSWERED = (
    "--help", "--version", "status", "list", "show", "explain", "check", "why", "top", "events",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running emperor with one vassal, and another journal beside it."""
    folder = tmp_path_factory.mktemp("output")
    with building(str(folder / "other.db"), group=500) as builder:
        busy_fleet(builder, 3000, 3)
        builder.changed("app001.ini")
        builder.up("a.ini")
        builder.changed("a.ini", b"[uwsgi]\nmaster = true\n")
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    with Emperor(folder, *QUICK) as emperor:
        (emperor.vassals / "a.ini").write_text(SLEEPER)
        emperor.start()
        emperor.up("a.ini")
        yield folder
        emperor.stop()


def started(folder: Path, call: Call, stdout: int | None) -> subprocess.Popen[str]:
    program, *arguments = call
    environ = {
        "EMPEROR_CONTROL": str(folder / "state" / "journal.db.sock"),
        "EMPEROR_JOURNAL": str(folder / "other.db"),
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-m", MODULES[program], *arguments],
        stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=folder,
        env={**os.environ, **environ},
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    with process:
        said = process.communicate(timeout=60)[1]
    return process.returncode, said


@pytest.mark.few(7)
@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_a_full_disk_is_one_line(folder: Path, call: Call) -> None:
    with open("/dev/full", "w") as full:
        done = ended(started(folder, call, full.fileno()))
    if is_order(call):
        is_one_line_at_most(*done)
    else:
        assert done == (1, f"{call[0]}: {FULL}\n")


@pytest.mark.few(7)
@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_a_reader_that_has_gone_ends_it_quietly(folder: Path, call: Call) -> None:
    """As it ends cat and git; a shell says 141 of it."""
    reads, writes = os.pipe()
    os.close(reads)
    process = started(folder, call, writes)
    os.close(writes)
    done = ended(process)
    if is_order(call):
        is_one_line_at_most(*done)
    else:
        assert done == (-signal.SIGPIPE, "")


def is_order(call: Call) -> bool:
    return call[0] == "emperor-ctl" and call[1] not in ANSWERED


def is_one_line_at_most(code: int, said: str) -> None:
    assert code in (0, 1, -signal.SIGPIPE)
    assert said == "" or (said.startswith("emperor-ctl: ") and said.index("\n") == len(said) - 1)


def test_a_reader_that_has_seen_enough_ends_it_quietly(folder: Path) -> None:
    process = started(folder, ("emperor-replay", "events"), subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    assert ended(process) == (-signal.SIGPIPE, "")


@pytest.mark.parametrize(
    "call", [("emperor-ctl", "list"), ("emperor-replay", "state")], ids=" ".join
)
def test_output_that_is_closed_is_one_line(folder: Path, call: Call) -> None:
    command = [sys.executable, "-m", MODULES[call[0]], *call[1:]]
    environ = {
        **os.environ,
        "EMPEROR_CONTROL": str(folder / "state" / "journal.db.sock"),
        "EMPEROR_JOURNAL": str(folder / "other.db"),
    }
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command],
        stderr=subprocess.PIPE, text=True, check=False, env=environ,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, f"{call[0]}: the output is closed\n")


def test_a_pipe_that_does_not_wait_is_waited_for(folder: Path) -> None:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    process = started(folder, ("emperor-replay", "events"), writes)
    os.close(writes)
    with open(reads) as output:
        lines = sum(1 for _ in output)
    assert ended(process) == (0, "")
    assert lines > 3000


def test_errors_that_cannot_be_written_change_no_exit_code(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", MODULES["emperor-replay"], "--journal", "/none", "state"],
            stdout=subprocess.PIPE, stderr=full, cwd=folder, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, b"")
