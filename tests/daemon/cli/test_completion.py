"""Completion: what click is told for a word, and bash, zsh and fish with the scripts we bring."""

import os
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from emperord.daemon.cli import completion
from emperord.daemon.core.fleet import PHASES
from journal_builder import building
from support.kept import Emperor
from support.programs import installed
from support.terminals import Terminal
from support.vassals import SLEEPER

ROOT = Path(__file__).resolve().parents[3]
SHARE = Path(sysconfig.get_path("data")) / "share"
COMMANDS = Path(sys.executable).parent
# Each would be a command, an option, a pattern or two words where a shell inserts it unquoted.
HOSTILE = ("$(touch pwned).ini", "a;b.ini", "a b.ini", "-a.ini", "a*.ini", "a'.ini")


def offered(words: Sequence[str], **environ: str) -> list[str]:
    """The words that may stand in place of the last one."""
    variable = f"_{words[0].replace('-', '_').upper()}_COMPLETE"
    done = subprocess.run(
        [COMMANDS / words[0]],
        capture_output=True,
        text=True,
        check=True,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("EMPEROR_")},
            variable: "bash_complete",
            "COMP_WORDS": "\n".join(words),
            "COMP_CWORD": str(len(words) - 1),
            **environ,
        },
    )
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


@pytest.fixture
def fleet(emperor: Emperor) -> Emperor:
    """An emperor with vassals of ordinary names, and of names that no shell may get."""
    for name in ("app-one.ini", "app-two.ini", "über.ini", *HOSTILE):
        (emperor.vassals / name).write_text(SLEEPER)
    emperor.start()
    emperor.up("app-one.ini", "app-two.ini", "über.ini", *HOSTILE)
    return emperor


def test_what_the_live_daemon_tells(fleet: Emperor) -> None:
    control = str(fleet.control)
    ctl = ("emperor-ctl", "--control", control)
    plain = ["plain,app-one.ini", "plain,app-two.ini"]
    for command in (
        "restart",
        "show",
        "explain",
        "list",
        "top",
        "why",
        "wait",
        "stop",
        "logs",
        "events",
    ):
        assert offered((*ctl, command, "a")) == plain, command
    assert offered((*ctl, "restart", "app-two.ini", "a")) == plain[:1]
    assert offered((*ctl, "show", "")) == [*plain, "plain,über.ini"]
    assert offered(("emperor-ctl", "show", "app-o"), EMPEROR_CONTROL=control) == plain[:1]
    assert offered((*ctl, "list", "--monitor", "")) == ["plain,dir:vassals"]
    assert offered((*ctl, "events", "--monitor", "")) == ["plain,dir:vassals"]
    assert offered((*ctl, "list", "--phase", "")) == [f"plain,{phase}" for phase in PHASES]
    replay = ("emperor-replay", "--journal", str(fleet.journal))
    assert offered((*replay, "why", "a")) == plain


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A journal with two vassals."""
    path = tmp_path_factory.mktemp("completion") / "journal.db"
    with building(str(path)) as builder:
        builder.start()
        builder.added("app-one.ini")
        builder.added("app-two.ini")
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    return str(path)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("why", "app-t"), ["app-two.ini"]),
        (("events", "app-one.ini", ""), ["app-two.ini"]),
        (("history", ""), ["app-one.ini", "app-two.ini"]),
        (("incident", "app-o"), ["app-one.ini"]),
        (("report", "app-o"), ["app-one.ini"]),
        (("state", "app-o"), ["app-one.ini"]),
        (("show", "app-o"), ["app-one.ini"]),
        (("events", "--monitor", ""), ["dir:vassals"]),
        (("events", "--kind", "adde"), ["added"]),
        (("events", "--kind", "vassal_a"), ["vassal_added", "vassal_accepting"]),
        (("events", "--kind", "daemon_re"), ["daemon_ready"]),
        (("report", "--sort", "na"), ["name"]),
        (("repo",), ["report"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_what_a_journal_tells(journal: str, words: tuple[str, ...], expected: list[str]) -> None:
    told = offered(("emperor-replay", "--journal", journal, *words))
    assert told == [f"plain,{each}" for each in expected]
    assert offered(("emperor-replay", *words), EMPEROR_JOURNAL=journal) == told


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("emperor", "--throt"), ["plain,--throttle"]),
        (("emperor", "--emperor-throt"), ["plain,--emperor-throttle"]),
        (("emperor", "--log-format", "j"), ["plain,json", "plain,journal"]),
        (("emperor", "--journal", "/et"), ["file,/et"]),
        (("emperor", "/et"), ["file,/et"]),
        (("emperor-ctl", "--control", "/et"), ["file,/et"]),
        (("emperor-replay", "--journal", "/et"), ["file,/et"]),
        (("emperor-ctl", "resta"), ["plain,restart"]),
        (("emperor-ctl", "wait", "--for", "h"), ["plain,held"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_words_that_need_no_daemon(words: tuple[str, ...], expected: list[str]) -> None:
    assert offered(words) == expected


def test_a_daemon_that_is_absent_or_hangs_completes_nothing_in_time(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    assert offered(("emperor-ctl", "--control", path, "show", "")) == []
    assert offered(("emperor-replay", "--journal", path, "show", "")) == []
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(path)
        hanging.listen()
        assert offered(("emperor-ctl", "--control", path, "show", "")) == []


def test_a_look_up_that_takes_long_is_left() -> None:
    over = threading.Event()

    def look(_: click.Context) -> list[str]:
        over.wait()
        return ["late.ini"]

    argument = click.Argument(["name"])
    begun = time.monotonic()
    assert completion.looked_up(look)(click.Context(click.Command("x")), argument, "") == []
    assert completion.LIMIT <= time.monotonic() - begun < completion.LIMIT + 5
    over.set()


def test_the_scripts_are_what_click_makes() -> None:
    argv = [sys.executable, str(ROOT / "tools" / "completions"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    scripts = [path for path in (ROOT / "share").rglob("*") if path.is_file()]
    assert {path.read_bytes() for path in scripts} <= {
        path.read_bytes() for path in SHARE.rglob("*") if path.is_file()
    }


SET_UP = {
    "bash": "source {share}/bash-completion/completions/emperor-ctl",
    "zsh": "fpath=({share}/zsh/site-functions $fpath); autoload -Uz compinit; compinit -u -D",
    "fish": "source {share}/fish/vendor_completions.d/emperor-ctl.fish",
}
BARE = {"bash": "--norc", "zsh": "-f", "fish": "--no-config"}


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_the_name_of_a_vassal(fleet: Emperor, shell: str, tmp_path: Path) -> None:
    program = installed(shell)
    environ = {
        "PATH": f"{COMMANDS}:{os.environ['PATH']}",
        "EMPEROR_CONTROL": str(fleet.control),
        "HOME": str(tmp_path),
    }
    with Terminal([program, BARE[shell], "-i"], environ=environ, columns=200) as terminal:
        terminal.type(SET_UP[shell].format(share=SHARE) + "; echo re''ady\n")
        terminal.until("ready\r")
        terminal.type("emperor-ctl show app-o\t")
        terminal.until("app-one.ini")
        terminal.type("\x15emperor-ctl list --phase acc\t")
        terminal.until("accepting")
        terminal.type("\x15exit\n")
        terminal.end()


def test_fish_completes_the_name_of_a_vassal(fleet: Emperor, tmp_path: Path) -> None:
    program = installed("fish")
    script = f"{SET_UP['fish'].format(share=SHARE)}; complete -C 'emperor-ctl show app-'"
    done = subprocess.run(
        [program, BARE["fish"], "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            "PATH": f"{COMMANDS}:{os.environ['PATH']}",
            "EMPEROR_CONTROL": str(fleet.control),
            "HOME": str(tmp_path),
        },
    )
    assert done.stdout.splitlines() == ["app-one.ini", "app-two.ini"]
