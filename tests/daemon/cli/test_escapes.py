"""Foreign text on terminals and in JSON."""

import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from emperord.daemon.cli import escapes
from emperord.daemon.loop.daemon_log import line_of, written
from hypothesis import given
from hypothesis import strategies as st
from journal_builder import building

EVIL = b"[uwsgi]\n\tname = \x1b]0;owned\x07\x1b[2J \xe2\x80\xae \xff b\xc3\xbccher\r\n"
SHOWN = "[uwsgi]\n\tname = \\x1b]0;owned\\x07\\x1b[2J \\u202e \\xff bücher\\r\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(EVIL, SHOWN, id="all of it"),
        pytest.param(b"plain\n\n", "plain\n\n", id="plain"),
        pytest.param(b"\xc2\x9b31m", "\\x9b31m", id="C1 control"),
    ],
)
def test_on_a_terminal_all_that_is_not_printable_is_escaped(text: bytes, shown: str) -> None:
    assert escapes.for_terminal(text) == shown


@given(st.text())
def test_json_has_no_control_and_no_format_characters_and_says_the_same(text: str) -> None:
    value = {"name": [text.encode("utf-8", "replace").decode()]}
    encoded = escapes.encode(value)
    assert json.loads(encoded) == value
    assert encoded.decode().isprintable()


@pytest.fixture
def journal(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", b"[uwsgi]\n")
        builder.changed("a.ini", EVIL)
        builder.up("\u202eini.ini", b"[uwsgi]\n")
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    return path


def on_a_terminal(*words: str) -> bytes:
    """The bytes that a command writes to a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", *words], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)

    def said() -> Iterator[bytes]:
        while True:
            try:
                yield os.read(ours, 65536)
            except OSError:  # the other end is closed
                return

    text = b"".join(said())
    process.wait()
    os.close(ours)
    return text.replace(b"\r\n", b"\n")


def piped(*words: str) -> bytes:
    return subprocess.run([sys.executable, "-m", *words], capture_output=True).stdout


REPLAY = "emperord.replay.main"


def test_a_config_reaches_no_terminal_as_it_is_unless_told(journal: str) -> None:
    show = (REPLAY, "--journal", journal, "show", "a.ini")
    assert on_a_terminal(*show).decode() == SHOWN
    assert EVIL.rstrip(b"\r\n") in on_a_terminal(*show, "--raw")
    assert piped(*show) == EVIL
    diff = (REPLAY, "--journal", journal, "diff", "a.ini")
    assert b"\n+\tname = \\x1b]0;owned\\x07" in on_a_terminal(*diff)
    assert b"\x1b[2J" in on_a_terminal(*diff, "--raw")
    assert b"\x1b[2J" in piped(*diff)


@pytest.mark.parametrize("form", ["json", "csv", "wide", "short"])
def test_no_list_turns_a_terminal_round(journal: str, form: str) -> None:
    words = (REPLAY, "--journal", journal, "state", "-o", form)
    said = on_a_terminal(*words).decode()
    assert "\u202e" not in said
    assert "\\u202eini.ini" in said
    assert ("\u202e" in piped(*words).decode()) == (form == "csv")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("reopen", "\u202eini.ini"), id="too many names"),
        pytest.param(("reload", "--\u202e"), id="no such option"),
        pytest.param(("\u202e",), id="no such command"),
    ],
)
def test_a_command_line_that_is_refused_is_shown_escaped(words: tuple[str, ...]) -> None:
    """A shell's pattern brings names of others."""
    argv = [sys.executable, "-m", "emperord.daemon.ctl", *words]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 2
    assert "\u202e" not in done.stderr
    assert "\\u202e" in done.stderr
    assert done.stderr.startswith("Usage: ")


def test_a_traceback_in_the_log_is_escaped() -> None:
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        record = logging.LogRecord("emperor", 40, "", 0, "failed", (), sys.exc_info())
    assert "\x1b" not in written(line_of(record), "text")
