"""Output at a terminal and in a pipe: colours, width, pager."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from emperord.daemon.cli import terminal
from journal_builder import building
from support import warm
from support.programs import installed
from support.terminals import Terminal, at_terminal, lines

LONG = f"{'long' * 48}.ini"  # 196 characters
WIDE = "日本語.ini"
REPLAY = [sys.executable, "-P", "-m", "emperord.replay.main"]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A journal with three vassals, of which one is barred."""
    path = str(tmp_path_factory.mktemp("terminal") / "journal.db")
    with building(path, group=50) as builder:
        builder.start()
        for name in ("a.ini", LONG, WIDE):
            builder.up(name)
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    return path


def replay(journal: str, *words: str) -> list[str]:
    return [*REPLAY, "--journal", journal, *words]


def piped(argv: list[str], **environ: str) -> str:
    done = warm.run(argv, {**os.environ, **environ})
    done.check_returncode()
    return done.stdout


def test_a_pipe_gets_all_of_it_without_colours(journal: str) -> None:
    told = piped(replay(journal, "state"), COLUMNS="40", TERM="xterm")
    assert "\x1b" not in told
    assert LONG in told


def test_a_table_ends_at_the_width_of_the_terminal(journal: str) -> None:
    code, text = at_terminal(replay(journal, "state"))
    assert code == 0
    told = lines(text)
    assert max(terminal.cells(line) for line in told[1:]) <= 80
    assert LONG not in text
    assert "longlong" in text
    assert "…" in text
    assert WIDE in text
    assert "\x1b[33mstopping" in text


def test_columns_stay_aligned_behind_wide_characters(journal: str) -> None:
    from rich.cells import cell_len

    _, text = at_terminal(replay(journal, "state"), columns=200)
    head, *rows = lines(text)[-4:]
    place = head.index("PHASE")
    for row in rows:
        before = row[: row.index(" stopping ") + 1]
        assert cell_len(before) == place


COLOURS = [
    pytest.param((), {}, True, id="auto"),
    pytest.param((), {"NO_COLOR": "1"}, False, id="NO_COLOR"),
    pytest.param((), {"NO_COLOR": ""}, True, id="NO_COLOR is empty"),
    pytest.param((), {"TERM": "dumb"}, False, id="dumb"),
    pytest.param(("--color", "never"), {}, False, id="never"),
    pytest.param(("--color", "always"), {"NO_COLOR": "1"}, True, id="always"),
]


@pytest.mark.parametrize(("words", "environ", "coloured"), COLOURS)
def test_colours_at_a_terminal(
    journal: str, words: tuple[str, ...], environ: dict[str, str], coloured: bool
) -> None:
    for call in (("state", *words), (*words, "state")):
        _, text = at_terminal(replay(journal, *call), environ=environ)
        assert ("\x1b[1m" in text) == coloured


def test_colours_in_a_pipe_are_for_those_who_ask(journal: str) -> None:
    assert "\x1b[1m" in piped(replay(journal, "state", "--color", "always"))


# The pager


def pager(folder: Path) -> str:
    """A pager that writes down its input, as a command for the shell."""
    return f"tee '{folder}/paged' | tail -n 1"


def test_what_is_longer_than_the_terminal_goes_to_the_pager(journal: str, tmp_path: Path) -> None:
    call = replay(journal, "events", "--json")
    code, text = at_terminal(call, rows=6, environ={"PAGER": pager(tmp_path)})
    assert code == 0
    assert (tmp_path / "paged").read_text() == piped(call)
    assert len(lines(text)) == 1


SHOWN_AT_ONCE = [
    pytest.param(("events", "--json", "-n", "3"), 6, {}, id="short"),
    pytest.param(("events", "--json", "--no-pager"), 6, {}, id="--no-pager"),
    pytest.param(
        (
            "events",
            "--json",
        ),
        6,
        {"PAGER": "cat"},
        id="cat",
    ),
    pytest.param(
        (
            "events",
            "--json",
        ),
        6,
        {"PAGER": ""},
        id="empty",
    ),
    pytest.param(
        (
            "events",
            "--json",
        ),
        6,
        {"PAGER": "no-such-pager"},
        id="not there",
    ),
    pytest.param(
        (
            "events",
            "--json",
        ),
        6,
        {"TERM": "dumb"},
        id="dumb",
    ),
]


@pytest.mark.parametrize(("words", "rows", "environ"), SHOWN_AT_ONCE)
def test_what_needs_no_pager(
    journal: str, tmp_path: Path, words: tuple[str, ...], rows: int, environ: dict[str, str]
) -> None:
    call = replay(journal, *words)
    told = {"PAGER": pager(tmp_path), **environ}
    code, text = at_terminal(call, rows=rows, columns=4000, environ=told)
    assert (code, text) == (0, piped([each for each in call if each != "--no-pager"]))
    assert not (tmp_path / "paged").exists()


def test_the_user_ends_the_pager(journal: str) -> None:
    """Colours go through it, and the exit code is that of success."""
    installed("less")
    with Terminal(replay(journal, "events"), rows=6) as at:
        at.until("daemon_started|vassal_added")
        at.type("q")
        code, text = at.end()
    assert code == 0
    assert "Traceback" not in text


def test_errors_come_when_the_pager_has_ended(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path, group=50) as builder:
        builder.start()
        for place in range(20):
            builder.up(f"{place}.ini")
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    call = replay(path, "why", "*.ini", "--at", "@15")
    code, text = at_terminal(call, rows=6, environ={"PAGER": "cat > /dev/null; echo shown"})
    assert code == 0
    shown, *errors = lines(text)
    assert shown == "shown"
    *told, rest = errors
    assert len(told) == 10
    assert all(" was not known then" in line for line in told)
    assert "others have no answer either" in rest


@pytest.mark.parametrize(
    ("natural", "most", "widths"),
    [
        ([3, 5], 80, [3, 5]),
        ([3, 100], 45, [3, 40]),
        ([50, 50], 40, [19, 19]),
        ([5, 60, 60], 41, [5, 16, 16]),
        ([60, 4, 60], 41, [17, 4, 16]),
        ([20, 20, 20], 12, [4, 6]),
        ([20], 10, [10]),
    ],
    ids=["fits", "one is cut", "two are cut", "short ones stay", "name", "too narrow", "alone"],
)
def test_widths(natural: list[int], most: int, widths: list[int]) -> None:
    assert terminal.fitted(natural, most) == widths


# The library for colours


@pytest.mark.parametrize(
    "modules",
    ["emperord.daemon.main", "emperord.daemon.keeper.main", "emperord.daemon.ctl"],
)
def test_a_program_that_draws_no_colours_does_not_import_rich(modules: str) -> None:
    code = f"import sys, {modules}; sys.exit('rich' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_output_to_a_pipe_does_not_import_rich(journal: str) -> None:
    traced = [sys.executable, "-X", "importtime", *replay(journal, "state")[1:]]
    done = subprocess.run(traced, capture_output=True, text=True, check=True)
    assert WIDE in done.stdout
    assert "emperord.replay.state" in done.stderr
    assert "rich" not in done.stderr
