"""emperor-replay on a terminal: local times with their zone, colours, lines within its width."""

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest
from emperord.daemon.cli import terminal
from emperord.replay import clocks, line_styles
from journal_builder import building
from support import warm
from support.terminals import CODES, at_terminal, lines

LONG = f"{'long' * 48}.ini"  # 196 characters
REASON = " ".join(f"reason{n}" for n in range(30))
ZONE = {"TZ": "CET-1CEST,M3.5.0,M10.5.0/3", "PAGER": "cat"}
LOCAL = r"2026-11-24 07:\d\d:\d\d\.\d{3} CET"


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A journal with a vassal that died of a change, and one with a long name."""
    path = str(tmp_path_factory.mktemp("terminal") / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", b"[uwsgi]\nmaster = true\n")
        builder.changed("a.ini", b"[uwsgi]\nmaster = false\n")
        builder.exited("a.ini", code=1)
        builder.up(LONG, b"[uwsgi]\nmaster = 1\n")
        builder.event("monitor_failed", None, "dir:///etc/vassals", reason=REASON)
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    return path


def argv(journal: str, *words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "emperord.replay.main", "--journal", journal, *words]


def seen(journal: str, *words: str, columns: int = 80) -> str:
    code, text = at_terminal(argv(journal, *words), columns=columns, environ=ZONE)
    assert code == 0, text
    return text


def piped(journal: str, *words: str) -> str:
    done = warm.run(argv(journal, *words), {**os.environ, **ZONE})
    done.check_returncode()
    return done.stdout


COMMANDS = {
    "events": ("events",),
    "around": ("around", "@5"),
    "history": ("history",),
    "state": ("state",),
    "report": ("report",),
    "runs": ("runs",),
    "search": ("search", "master"),
    "graph": ("graph", "a.ini"),
    "why": ("why", "a.ini"),
    "why of a long name": ("why", LONG),
}


@pytest.mark.parametrize("columns", [80, 132])
@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_lines_end_at_the_width(journal: str, words: tuple[str, ...], columns: int) -> None:
    told = lines(seen(journal, *words, columns=columns))
    table = told[3:] if words[0] in ("state", "report") else told  # words stand above these
    assert max(map(terminal.cells, table)) <= columns


HEADS = {
    "events": "2026-11-24 CET",
    "history": "AT (CET)",
    "state": "SINCE (CET)",
    "report": "SINCE (CET)",
    "runs": "SINCE (CET)",
    "search": "AT (CET)",
    "why": "2026-11-24 CET",
}


@pytest.mark.parametrize("name", HEADS)
def test_times_are_local_with_their_zone(journal: str, name: str) -> None:
    text = CODES.sub("", seen(journal, *COMMANDS[name], columns=200))
    assert HEADS[name] in text
    assert "07:00" in text
    assert not re.search(r"06:00|\bUTC\b|\dZ", text)


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_in_a_pipe_times_are_utc_and_lines_are_whole(journal: str, words: tuple[str, ...]) -> None:
    text = piped(journal, *words)
    assert "CET" not in text
    assert "07:00" not in text
    assert "\x1b" not in text
    assert "…" not in text


def test_a_time_that_was_shown_is_understood(journal: str) -> None:
    (shown,) = re.findall(rf"phase: +throttled since ({LOCAL})", lines_of(journal, "why", "a.ini"))
    (line,) = piped(journal, "events", "--since", shown, "--until", shown).splitlines()
    assert " exited " in line


def lines_of(journal: str, *words: str) -> str:
    return "\n".join(lines(seen(journal, *words)))


@pytest.mark.parametrize(
    ("words", "colour"),
    [
        (("events",), "\x1b[36mvassal_changed\x1b[0m"),
        (("events",), "\x1b[1m2026-11-24 CET\x1b[0m"),
        (("around", "@5"), "\x1b[33mexited\x1b[0m"),
        (("history",), "\x1b[1;31mdied\x1b[0m"),
        (("history",), "\x1b[1mOUTCOME\x1b[0m"),
        (("state",), "\x1b[1;31mthrottled\x1b[0m"),
        (("search", "master"), "VASSAL: LINE\x1b[0m"),
        (("why", "a.ini"), "\x1b[1mphase:\x1b[0m "),
    ],
)
def test_colours(journal: str, words: tuple[str, ...], colour: str) -> None:
    assert colour in seen(journal, *words)
    assert "\x1b" not in seen(journal, *words, "--color", "never")


def test_a_page_for_others_has_utc(journal: str, tmp_path: Path) -> None:
    text = seen(journal, "incident", "a.ini")
    assert "2026-11-24 06:00:07.000 UTC" in text
    assert "CET" not in text
    drawn = seen(journal, "graph", "a.ini", "-o", "dot", columns=200)
    assert "06:00:07.000  exited" in drawn


def test_json_has_utc(journal: str) -> None:
    assert "CET" not in seen(journal, "why", "a.ini", "--json", columns=200)


def test_no_word_of_a_fact_is_cut(journal: str) -> None:
    told = lines(seen(journal, "why", "a.ini"))
    (first,) = (place for place, line in enumerate(told) if line.startswith("its source:"))
    fact = " ".join(line.strip() for line in told[first:])
    assert REASON in fact
    assert all(line.startswith(" " * 17) for line in told[first + 1 : first + 3])


# Without a terminal of its own


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A terminal of 60 columns in another zone."""
    monkeypatch.setenv("TZ", ZONE["TZ"])
    time.tzset()
    monkeypatch.setattr(terminal, "is_terminal", lambda: True)
    monkeypatch.setattr(terminal, "width", lambda: 60)
    yield
    monkeypatch.undo()
    time.tzset()


WINTER = 1_795_501_863_532_123_456  # 2026-11-24T06:31:03.532123456Z
SUMMER = WINTER - 120 * 86_400 * 10**9


@pytest.mark.usefixtures("berlin")
def test_a_time_of_summer_in_a_table_of_winter_has_its_own_zone() -> None:
    assert clocks.cell(WINTER, WINTER) == "07:31:03"
    assert clocks.cell(SUMMER, WINTER) == "Jul 27 08:31 CEST"
    assert clocks.stamp(SUMMER) == "2026-07-27 08:31:03.532 CEST"


@pytest.mark.usefixtures("berlin")
def test_a_time_past_all_calendars_is_told_as_in_a_pipe() -> None:
    assert clocks.told(10**30) == f"@{10**30}ns"[:23]


@pytest.mark.usefixtures("berlin")
def test_a_command_can_keep_utc() -> None:
    with click.Context(click.Command("x")):
        clocks.keep_utc()
        assert clocks.stamp(WINTER) == "2026-11-24 06:31:03.532 UTC"
    assert clocks.stamp(WINTER) == "2026-11-24 07:31:03.532 CET"


STREAM = (
    "       1  2026-11-24 23:59:59.000 CET  spawned  a",
    "       2  2026-11-25 00:00:01.000 CET  spawned  a",
    "web1  !      3  2026-11-25 00:00:02.000 CET  exited  a",
)


@pytest.mark.usefixtures("berlin")
def test_each_day_has_a_line_also_where_it_is_followed() -> None:
    days = line_styles.Days()
    told = [line for part in (STREAM[:1], STREAM[1:]) for line in days.lines(part)]
    assert told == [
        "2026-11-24 CET",
        "       1  23:59:59.000  spawned  a",
        "2026-11-25 CET",
        "       2  00:00:01.000  spawned  a",
        "web1  !      3  00:00:02.000  exited  a",
    ]


def _plain(told: Sequence[str]) -> list[str]:
    return [CODES.sub("", line) for line in told]


@pytest.mark.usefixtures("berlin")
def test_a_foreign_text_is_not_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "is_coloured", lambda: True)
    line = "       1  23:59:59.000  unknown_kind  exited  daemon_ready "
    assert list(line_styles.fitted([line], line_styles.EVENTS)) == [line]
    (told,) = line_styles.fitted(["       1  23:59:59.000  exited  exited"], line_styles.EVENTS)
    assert told == "       1  23:59:59.000  \x1b[33mexited\x1b[0m  exited"
    assert _plain([told]) == ["       1  23:59:59.000  exited  exited"]
