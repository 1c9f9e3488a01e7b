"""emperor-ctl top: what it shows, its keys, and how it leaves the terminal."""

import json
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.client import screen, top_rows
from emperord.daemon.client.top_rows import Row, size_text, time_text, widths
from emperord.daemon.client.top_state import Choice
from emperord.daemon.client.usage import Sample, Usage
from support.asking import asked, refused
from support.kept import Emperor
from support.terminals import Terminal, lines
from support.vassals import SLEEPER, shell

from ..conftest import QUICK

LEFT = "\x1b[?1049l"
REVERSED = "a\u202eb.ini"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "control.md"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emperor]:
    folder = tmp_path_factory.mktemp("top")
    with Emperor(folder, *QUICK, "--max-throttle", "600000", "--throttle", "600000") as emperor:
        for place in range(30):
            (emperor.vassals / f"app-{place:02}.ini").write_text(SLEEPER)
        (emperor.vassals / REVERSED).write_text(SLEEPER)
        (emperor.vassals / "zdies.ini").write_text(shell("exit 3"))
        emperor.start()
        emperor.up(REVERSED, *(f"app-{place:02}.ini" for place in range(30)))
        emperor.phase("zdies.ini", "throttled")
        yield emperor
        emperor.stop()


@contextmanager
def top(emperor: Emperor, *words: str, **more: Any) -> Iterator[Terminal]:
    """A top that shows its first screen."""
    module = [sys.executable, "-P", "-m", "emperord.daemon.ctl"]
    argv = [*module, "--control", str(emperor.control), "top", "-d", "0.3", *words]
    with Terminal(argv, **more) as terminal:
        terminal.until(r"VASSAL")
        yield terminal


def test_the_worst_is_on_top_and_q_ends_it(fleet: Emperor) -> None:
    with top(fleet, "--sort", "restarts") as terminal:
        terminal.until(r"\x1b\[4;1H[^\n]*?zdies.ini +throttled")
        terminal.until(r"\x1b\[23;1H[^\n]*app-1\d.ini")
        terminal.type("q")
        code, text = terminal.end()
        assert code == 0
        assert text.endswith(LEFT)
        assert terminal.settings() == terminal.former


def test_it_fits_into_80_columns_and_into_less(fleet: Emperor) -> None:
    for rows, columns in ((24, 80), (10, 40), (3, 10), (1, 1)):
        with Terminal(
            [
                *(sys.executable, "-P", "-m", "emperord.daemon.ctl"),
                *("--control", str(fleet.control), "top", "-d", "0.25", "-n", "1"),
            ],
            rows=rows, columns=columns, environ={"NO_COLOR": "1"},
        ) as terminal:  # fmt: skip
            code, text = terminal.end()
        assert code == 0
        drawn = re.findall(r"\x1b\[(\d+);1H\x1b\[K([^\x1b]*)", text)
        assert drawn
        assert max(int(place) for place, _ in drawn) <= rows
        assert max(len(line) for _, line in drawn) <= columns


@pytest.mark.parametrize("keys", ["\x03", "\x1b[21~"], ids=["^C", "F10"])
def test_keys_that_end_it(fleet: Emperor, keys: str) -> None:
    with top(fleet) as terminal:
        terminal.type(keys)
        code, text = terminal.end()
        assert (code, LEFT in text) == (0, True)
        assert terminal.settings() == terminal.former


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_leaves_the_terminal_as_it_was(
    fleet: Emperor, number: signal.Signals
) -> None:
    with top(fleet) as terminal:
        assert terminal.settings() != terminal.former
        terminal.send(number)
        code, text = terminal.end()
        assert (code, LEFT in text) == (-number, True)
        assert terminal.settings() == terminal.former


def test_it_ends_with_its_terminal(fleet: Emperor, tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    words = [sys.executable, "-P", "-m", "emperord.daemon.ctl", "--control", str(fleet.control)]
    script = f"exec {shlex.join([*words, 'top', '-d', '0.3'])} 2>'{errors}'"
    with Terminal(["sh", "-c", script]) as terminal:
        terminal.until("VASSAL")
        terminal.hang_up()
        assert terminal.process.wait(60) == -signal.SIGHUP
    assert errors.read_text() == ""


def test_a_terminal_that_has_gone_ends_it_before_the_signal_has_come() -> None:
    """The kernel lets writes fail first. No signal comes here: this is no session's terminal."""
    master, slave = os.openpty()
    shown = screen.Screen(slave, slave)

    def draw_without() -> None:
        with shown.held():
            os.close(master)
            shown.draw(["a line"])

    with pytest.raises(screen.Ended) as ended:
        draw_without()
    assert ended.value.number == signal.SIGHUP
    with pytest.raises(screen.Ended), shown.held():
        pytest.fail("it has no terminal")
    os.close(slave)


def test_an_error_leaves_the_terminal_as_it_was(fleet: Emperor) -> None:
    """The text of the error is below the shell's screen, where it can be read."""
    code = (
        "import sys; from emperord.daemon import ctl; from emperord.daemon.client import top\n"
        "def fail(*_): raise ZeroDivisionError('for a test')\n"
        "top._second = fail; ctl.main()"
    )
    argv = [sys.executable, "-c", code, "--control", str(fleet.control), "top"]
    with Terminal(argv) as terminal:
        ended, text = terminal.end()
        assert ended != 0
        assert "ZeroDivisionError: for a test" in text.partition(LEFT)[2]
        assert terminal.settings() == terminal.former


def test_it_is_suspended_with_the_terminal_as_it_was(fleet: Emperor) -> None:
    """By ^Z under a shell with job control: the shell reads a line, and then goes on with it."""
    words = [sys.executable, "-P", "-m", "emperord.daemon.ctl", "--control", str(fleet.control)]
    script = f"{shlex.join([*words, 'top', '-d', '0.3'])}; echo stopped; read line; fg"
    with Terminal(["bash", "--norc", "-mc", script]) as terminal:
        terminal.until("VASSAL")
        assert terminal.settings() != terminal.former
        terminal.type("\x1a")
        terminal.until(re.escape(LEFT))
        terminal.until("stopped")
        assert terminal.settings() == terminal.former
        terminal.type("\n")
        terminal.until("VASSAL")
        terminal.type("q")
        assert terminal.end()[0] == 0


def test_a_window_of_another_size_is_drawn_anew(fleet: Emperor) -> None:
    with top(fleet) as terminal:
        terminal.resize(40, 120)
        terminal.until(r"\x1b\[40;1H")
        terminal.type("q")
        assert terminal.end()[0] == 0


def test_a_filter_and_a_search(fleet: Emperor) -> None:
    with top(fleet, "--sort", "name") as terminal:
        terminal.type("\\APP-2")
        terminal.until(r"10 shown with 'APP-2'")
        terminal.type("\r/29")
        terminal.until(r"\x1b\[7mapp-29.ini")
        terminal.type("\r\x1b")
        terminal.until(r"restarts in an hour 1\x1b")
        terminal.type("q")
        assert terminal.end()[0] == 0


def test_names_cannot_turn_the_terminal_round(fleet: Emperor) -> None:
    with top(fleet, "--sort", "name", rows=50) as terminal:
        terminal.until(re.escape(r"a\u202eb.ini"))
        terminal.type("q")
        _, text = terminal.end()
        assert "\u202e" not in text


def test_a_daemon_that_hangs_or_dies_is_told_and_keys_go_on(
    make_emperor: Callable[..., Emperor],
) -> None:
    emperor = make_emperor()
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    with top(emperor) as terminal:
        pid = emperor.daemon_pid()
        os.kill(pid, signal.SIGSTOP)
        terminal.until(r"no answer for \d+ s")
        terminal.type("?")
        terminal.until(r"sort by CPU")
        os.kill(pid, signal.SIGCONT)
        terminal.until(r"1 vassal: 1 ready")
        emperor.stop()
        terminal.until(r"no daemon answers at ")
        terminal.type("xq")
        assert terminal.end()[0] == 0


def test_no_daemon_needs_no_screen(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "emperord.daemon.ctl", "--control", str(tmp_path / "s"), "top"]
    with Terminal(argv) as terminal:
        code, text = terminal.end()
    assert code == 4
    assert "\x1b" not in text


# A table


def test_a_pipe_gets_tables(fleet: Emperor) -> None:
    done = fleet.ctl("top", "-d", "0.25", "-n", "2", "app-0*")
    first, second = done.stdout.split("\n\n")
    for table in (first, second):
        head, *rows = table.splitlines()
        assert head.split() == [column.head for column in top_rows.COLUMNS]
        assert len(rows) == 10
    assert refused(fleet, "top", "--once", "nope.ini").startswith("there is no vassal nope.ini")


def test_once_at_a_terminal_is_a_table(fleet: Emperor) -> None:
    argv = [
        *(sys.executable, "-m", "emperord.daemon.ctl", "--control", str(fleet.control)),
        *("top", "--once", "-d", "0.25", "app-00.ini"),
    ]
    with Terminal(argv) as terminal:
        code, text = terminal.end()
    assert code == 0
    assert "\x1b[?1049h" not in text
    assert lines(text)[1].split()[:2] == ["app-00.ini", "ready"]


def test_the_json_is_that_of_the_page(fleet: Emperor) -> None:
    (told,) = asked(fleet, "top", "-d", "0.25", "app-00.ini")
    (row,) = re.findall(r"^\| `top` \|.*$", PAGE.read_text(), re.M)
    assert re.findall(r"`(\w+)`", row)[1:] == list(told)
    assert (told["name"], told["phase"], told["processes"]) == ("app-00.ini", "ready", 1)
    assert told["memory_bytes"] > 0
    assert told["cpu_percent"] >= 0


def test_each_field_of_a_list_and_a_status_is_on_the_page(fleet: Emperor) -> None:
    text = PAGE.read_text()
    status = json.loads(fleet.ctl("status", "--json").stdout)
    state = asked(fleet, "list")["vassals"][0]
    known = set(re.findall(r"`(\w+)`", text)) | set(re.findall(r'"(\w+)"', text))
    live = list(state)[list(state).index("in_line") :]
    assert {*status, *live} - known == set()


# Rows and keys


def row(name: str, share: float | None = 0.0, memory: int = 0, **more: Any) -> Row:
    vassal = {"name": name, "phase": "ready", "pid": 1, "restarts": 0, **more}
    return Row(vassal, Usage(share, Sample(1.0, memory, 1)))


ROWS = [row("a.ini", 0.5, 10), row("b.ini", 0.1, 30, restarts=2), row("c.ini", None, 20)]


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ([], "abc"),
        (["M"], "bca"),
        (["M", "I"], "acb"),
        (["R"], "bac"),
        ([">"], "bca"),
        (["<", "<", "<", "<"], "abc"),
        (["\\", "b"], "b"),
        (["\\", "b", "escape"], "abc"),
        (["\\", "b", "enter", "escape"], "abc"),
        (["\\", "b", "backspace", "enter"], "abc"),
        (["/", "c", "escape"], "abc"),
        (["?", "M"], "abc"),  # any key ends the help
    ],
    ids=str,
)
def test_what_keys_do(keys: list[str], names: str) -> None:
    choice = Choice()
    choice.rows(ROWS)
    for key in keys:
        choice.press(key, 10)
    assert [each.name[0] for each in choice.rows(ROWS)] == list(names)


@pytest.mark.parametrize(
    ("keys", "cursor", "first"),
    [
        (["down"], 1, 0),
        (["down"] * 4, 4, 2),
        (["end"], 9, 7),
        (["end", "page up"], 6, 6),
        (["end", "home"], 0, 0),
        (["up"], 0, 0),
        (["/", "7", "enter"], 7, 5),
        (["/", "i", "enter", "n", "n"], 2, 0),
        (["/", "x", "enter", "n"], 0, 0),
    ],
    ids=str,
)
def test_the_cursor_stays_on_the_screen(keys: list[str], cursor: int, first: int) -> None:
    choice = Choice(by="name")
    rows = [row(f"{place}.ini") for place in range(10)]
    choice.rows(rows)
    for key in keys:
        choice.press(key, 3)
        choice.scroll(3)
    assert (choice.cursor, choice.first) == (cursor, first)


@pytest.mark.parametrize("columns", [1, 12, 30, 80, 200])
def test_a_row_is_as_wide_as_the_terminal(columns: int) -> None:
    for name in ("a.ini", "long" * 50, "日本語" * 30):
        told = top_rows.line(row(name), columns)
        assert len(told.encode("utf-16-le")) // 2 <= columns
    assert sum(widths(columns)[:1]) >= 1


SIZES = [
    (0, "0B"), (999, "999B"), (1000, "1K"), (1 << 20, "1.0M"), (10 << 20, "10M"),
    (999 << 20, "999M"), (1 << 30, "1.0G"), (3 << 40, "3.0T"), (5000 << 40, "5000T"),
]  # fmt: skip


@pytest.mark.parametrize(("size", "text"), SIZES)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.00"), (65.329, "1:05.32"), (5999.999, "99:59.99"), (7200, "2h00m"),
     (360_000, "4d04h")],
)  # fmt: skip
def test_times(seconds: float, text: str) -> None:
    assert time_text(seconds) == text
