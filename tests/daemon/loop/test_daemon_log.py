"""The daemon's own log: what it says of signals and of vassals, and its form for journald."""

import json
import logging
import os
import re
import signal
import sys
from typing import Any

import pytest
from emperord.daemon.core.actions import Action
from emperord.daemon.keeper import stdio
from emperord.daemon.loop import daemon_log
from emperord.daemon.loop.event_log import say
from fold.script import Script
from support.kept import Emperor
from support.vassals import SLEEPER, program, shell

from ..conftest import MakeEmperor

UP = ["daemon started", "daemon ready", "added a.ini", "spawned a.ini", "accepting a.ini"]
TWO = [*UP, "added b.ini", "spawned b.ini", "accepting b.ini"]

# A history, and what the log says of its last event.
SAID = {
    "a reload of all": (
        [*TWO, "operator reload"],
        ["a.ini: now reloading", "b.ini: now reloading"],
    ),
    "the second of a bounded reload": (
        ["policy max_starting=1", *TWO, "operator reload", "accepting a.ini"],
        ["a.ini: accepting, now accepting", "b.ini: now reloading"],
    ),
    "a reload of one": (
        [*UP, "operator reload a.ini"],
        ["a.ini: operator requested (reload), now reloading"],
    ),
    "a start of one that stops": (
        [*UP, "operator stop a.ini", "operator start a.ini"],
        ["a.ini: operator requested (start), now stopping; it is started when it has stopped"],
    ),
    "a start takes a freed slot": (
        ["policy max_starting=1", *UP[:4], "added b.ini", "accepting a.ini"],
        ["a.ini: accepting, now accepting"],
    ),
    "the daemon stops": (
        [*UP, "daemon stopping"],
        ["a.ini: now stopping: the daemon stops (asked to)"],
    ),
    "an exit while it stops": (
        [*UP, "daemon stopping", "exited a.ini code=0"],
        ["a.ini: exited (code 0), stopped"],
    ),
    "a new vassal while it stops": (
        [*UP, "daemon stopping", "added b.ini"],
        ["b.ini: added, not started, as the daemon stops"],
    ),
    "a new vassal before it is ready": (
        ["daemon started", "added a.ini"],
        ["a.ini: added, now queued"],
    ),
}


class Told(Script):
    """A script that keeps what the log says of its last event."""

    def happen(
        self, kind: str, vassal: str | None, monitor: str | None, body: dict[str, Any]
    ) -> list[Action]:
        actions = super().happen(kind, vassal, monitor, body)
        self.said = [text for _, text in say(self.events[-1], self.fleet, actions)]
        return actions


@pytest.mark.parametrize(("history", "said"), SAID.values(), ids=SAID)
def test_what_is_said_of_an_event(history: list[str], said: list[str]) -> None:
    script = Told()
    for line in history:
        script.feed(line)
    assert script.said == said


def texts(log: str) -> list[str]:
    """The daemon's lines without their times."""
    return re.findall(r"^[-0-9T:.]+Z emperor: (.*)$", log, re.MULTILINE)


def test_each_signal_is_told_once_and_what_it_does(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--throttle", "60000", "--max-throttle", "60000")
    sleeper = program("sleep", "1000", reload_signal="CONT")
    for name, text in (("a.ini", sleeper), ("b.ini", sleeper), ("dies.ini", shell("exit 1"))):
        (emperor.vassals / name).write_text(text)
    emperor.start()
    for name, phase in (("a.ini", "ready"), ("b.ini", "ready"), ("dies.ini", "throttled")):
        emperor.phase(name, phase)
    # The journal has an event before the daemon acts on it. Its log has it after that.
    emperor.until(lambda: "dies.ini: exited (code 1), now throttled" in emperor.log(), "told")

    emperor.send(signal.SIGUSR1)
    emperor.until(lambda: "SIGUSR1" in emperor.log(), "USR1 is taken")
    emperor.send(signal.SIGURG)
    emperor.event("operator_requested", request="retry")
    emperor.send(signal.SIGHUP)
    emperor.event("operator_requested", request="reload")
    after = emperor.last_seq()
    emperor.send(signal.SIGUSR2)
    emperor.next_ready(after)
    emperor.stop()

    said = texts(emperor.log())
    for line in (
        "SIGUSR1: the fleet as it is",
        "SIGURG: trying throttled and barred vassals again now",
        "SIGHUP: reloading all vassals",
        "a.ini: now reloading",
        "b.ini: now reloading",
        "SIGUSR2: replacing the daemon in place; vassals run on",
        "SIGTERM: stopping all vassals",
        "a.ini: now stopping: the daemon stops (SIGTERM)",
    ):
        assert said.count(line) == 1, (line, emperor.log())
    (dead,) = [line for line in said if line.startswith("dies.ini: throttled (")]
    assert dead == "dies.ini: throttled (exit code 1)"
    for name in ("a.ini", "b.ini"):
        assert f"{name}: exited (signal 15), stopped" in said
    assert "pid None" not in emperor.log()


# The stream of standard error, as systemd names it, and whether that is the journal.
STREAMS = {
    "the journal": ("{device}:{inode}", True),
    "another file": ("{device}:1", False),
    "another device": ("1:{inode}", False),
    "nonsense": ("journal", False),
    "empty": ("", False),
}


@pytest.mark.parametrize(("stream", "journal"), STREAMS.values(), ids=STREAMS)
def test_standard_error_is_the_journal_if_systemd_says_so(
    monkeypatch: pytest.MonkeyPatch, stream: str, journal: bool
) -> None:
    status = os.fstat(2)
    said = stream.format(device=status.st_dev, inode=status.st_ino)
    monkeypatch.setenv("JOURNAL_STREAM", said)
    assert stdio.is_journal() is journal


@pytest.mark.parametrize("journal", [True, False], ids=["the journal", "a file"])
def test_under_journald_a_line_has_a_priority_and_no_time(emperor: Emperor, journal: bool) -> None:
    """The keeper's own lines as well, and why a daemon does not start."""
    status = open_log(emperor)
    if journal:
        emperor.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.restart()
    emperor.stop()
    emperor.journal.write_text("no journal")
    emperor.launch()
    assert emperor.wait() == 3
    lines = emperor.log().splitlines()
    starts = [line.partition(": ")[0] for line in lines]
    if journal:
        # As root, the daemon warns that its vassals are root as well.
        assert set(starts[:-1]) - {"<4>emperor"} == {"<6>emperor", "<4>emperor.keeper"}
        assert starts[-1] == "<3>emperor"
    else:
        assert all(re.fullmatch(r"[-0-9T:.]{23}Z emperor(.keeper)?", each) for each in starts[:-1])
        assert starts[-1] == "emperor"


def open_log(emperor: Emperor) -> os.stat_result:
    """The file that the emperor's standard error is to be."""
    path = emperor.folder / "daemon.log"
    path.touch()
    return path.stat()


TRACEBACKS = {
    "text": r"[-0-9T:.]+Z emperor: failed\\nly\nTraceback .*\nRuntimeError: a bug",
    "journal": r"<3>emperor: failed\\nly\n<3>emperor: Traceback .*"
    r"\n<3>emperor: RuntimeError: a bug",
    "json": r'{"at": "[-0-9T:.]+Z", "level": "error", "logger": "emperor",'
    r' "message": "failed\\nly\\nTraceback [^\n]*RuntimeError: a bug"}',
}


@pytest.mark.parametrize(("form", "expected"), TRACEBACKS.items(), ids=TRACEBACKS)
def test_a_traceback_in_each_form(form: str, expected: str) -> None:
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        record = logging.LogRecord(
            "emperor", logging.ERROR, "", 0, "failed\nly", (), sys.exc_info()
        )
    written = daemon_log.written(daemon_log.line_of(record), form)
    assert re.fullmatch(expected, written, re.DOTALL), written


@pytest.mark.parametrize("how", ["option", "config file", "environment"])
def test_each_line_is_an_object_where_json_is_wanted(emperor: Emperor, how: str) -> None:
    """The keeper's, too, which reads none of these."""
    if how == "option":
        emperor.options += ["--log-format", "json"]
    elif how == "config file":
        config = emperor.folder / "emperor.yml"
        config.write_text("log-format: json\n")
        emperor.options += ["--config", str(config)]
    else:
        emperor.environ["EMPEROR_LOG_FORMAT"] = "json"
    name = "a\u202e.ini"
    (emperor.vassals / name).write_text(SLEEPER)
    emperor.start()
    emperor.phase(name, "ready")
    assert stdio.FORM not in next(iter(emperor.environments().values()))
    emperor.restart()
    emperor.stop()
    assert emperor.log().isascii()
    lines = [json.loads(line) for line in emperor.log().splitlines()]
    assert {tuple(line) for line in lines} == {("at", "level", "logger", "message")}
    assert {line["logger"] for line in lines} == {"emperor", "emperor.keeper"}
    assert any(line["message"].startswith(f"{name}: added") for line in lines)
    emperor.journal.write_text("no journal")
    emperor.launch()
    assert emperor.wait() == 3
    assert json.loads(emperor.log().splitlines()[-1])["level"] == "error"
