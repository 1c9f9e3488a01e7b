"""emperor-ctl check: the line, exit codes and performance data of Monitoring Plugins."""

import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from emperord.daemon.client.check import range_
from emperord.daemon.ctl import cli
from support.kept import Emperor

Answer = Callable[[Any], str]

# As https://www.monitoring-plugins.org/doc/guidelines.html has them.
RANGES = [
    ("10", [-1, 11], [0, 5, 10]),
    ("10:", [9, -1], [10, 1000]),
    ("~:10", [11], [-5, 0, 10]),
    ("10:20", [9, 21], [10, 15, 20]),
    ("@10:20", [10, 20], [9, 21]),
    ("0", [1], [0]),
]


@pytest.mark.parametrize(("text", "alert", "quiet"), RANGES, ids=[each[0] for each in RANGES])
def test_ranges(text: str, alert: list[float], quiet: list[float]) -> None:
    found = range_(text)
    assert [found.alerts(number) for number in alert] == [True] * len(alert)
    assert [found.alerts(number) for number in quiet] == [False] * len(quiet)


@pytest.mark.parametrize("text", ["", "x", "@", "20:10", "nan", "1:2:3"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no range; write 10"):
        range_(text)


def trouble(what: str, vassal: str | None = None, reason: str | None = None) -> dict[str, Any]:
    return {"what": what, "vassal": vassal, "monitor": None, "since": None, "reason": reason}


def status(*attention: dict[str, Any]) -> dict[str, Any]:
    return {"vassals": {"accepting": 7, "barred": 1}, "attention": [*attention], "unrecorded": 0}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], str]]:
    """A socket that answers one client; the function gives its path."""
    threads = []

    def serve(told: dict[str, Any]) -> str:
        path = str(tmp_path / "s")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()

        def answer() -> None:
            with listener, listener.accept()[0] as client:
                client.recv(65536)
                client.sendall(json.dumps({"ok": True, "status": told}).encode() + b"\n")

        threads.append(threading.Thread(target=answer))
        threads[-1].start()
        return path

    yield serve
    for thread in threads:
        thread.join()


def check(path: str, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--control", path, "check", *words])


BARRED = trouble("barred", "a.ini", "it | failed\x1b")
STATES: list[Any] = [
    pytest.param([], [], 0, "EMPEROR OK - 8 vassals, none down", id="well"),
    pytest.param(
        [BARRED], [], 1,
        r"EMPEROR WARNING - 1 of 8 vassals down; a.ini barred (it / failed\x1b)", id="down",
    ),
    pytest.param([BARRED], ["-w", "1"], 0, "EMPEROR OK - 1 of 8", id="few are down"),
    pytest.param([BARRED], ["-c", "0"], 2, "EMPEROR CRITICAL - 1 of 8", id="too many are down"),
    pytest.param([BARRED], ["-w", "1", "-c", "5"], 0, "EMPEROR OK - 1 of 8", id="limits"),
    pytest.param([trouble("crashing", "b.ini")], [], 1, "EMPEROR WARNING - b.ini cr", id="other"),
    pytest.param(
        [trouble("clock"), trouble("paused", reason="disk full")], [], 2,
        "EMPEROR CRITICAL - paused (disk full); clock; 8 vassals", id="grave",
    ),
    pytest.param(
        [trouble("barred", f"{n}.ini") for n in range(5)], [], 1,
        "EMPEROR WARNING - 5 of 8 vassals down; 0.ini barred; 1.ini barred; 2.ini barred;"
        " 2 others down", id="many",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("attention", "words", "code", "line"), STATES)
def test_states(
    daemon: Callable[[dict[str, Any]], str],
    attention: list[dict[str, Any]],
    words: list[str],
    code: int,
    line: str,
) -> None:
    done = check(daemon(status(*attention)), *words)
    assert done.exit_code == code
    assert done.stdout.count("\n") == 1
    text, bar, data = done.stdout.partition(" | ")
    assert text.startswith(line)
    assert bar
    form = r"'?[a-z]+'?=[0-9.]+s?(;[0-9@:~]*){0,2}(;[0-9]*){0,2}"
    assert all(re.fullmatch(form, each) for each in data.split())


def test_performance_data(daemon: Callable[[dict[str, Any]], str]) -> None:
    done = check(daemon(status(BARRED)), "-w", "1", "-c", "5:")
    data = dict(each.split("=") for each in done.stdout.partition(" | ")[2].split())
    assert data["down"] == "1;1;5:;0;8"
    assert (data["accepting"], data["barred"], data["held"]) == ("7;;;0;8", "1;;;0;8", "0;;;0;8")
    assert (data["vassals"], data["attention"]) == ("8;;;0", "1;;;0")
    assert re.fullmatch(r"\d\.\d{3}s;;;0", data["time"])


@pytest.mark.parametrize("words", [["-w", "x"], ["--nonsense"], ["a.ini"], ["-t", "0"]])
def test_a_wrong_command_line_is_unknown(tmp_path: Path, words: list[str]) -> None:
    done = check(str(tmp_path / "s"), *words)
    assert done.exit_code == 3
    assert done.stdout.startswith("EMPEROR UNKNOWN - ")
    assert done.stdout.count("\n") == 1


BEFORE = {
    "option": ["--nonsense", "check"],
    "color": ["--color", "blue", "check"],
    "no path": ["--control", "check"],
}


@pytest.mark.parametrize("words", BEFORE.values(), ids=BEFORE)
def test_a_mistake_before_its_name_is_unknown_as_well(words: list[str]) -> None:
    done = CliRunner().invoke(cli, words)
    assert (done.exit_code, done.stderr) == (3, "")
    assert done.stdout.startswith("EMPEROR UNKNOWN - ")
    assert done.stdout.count("\n") == 1


def test_a_mistake_before_another_command_is_one_of_usage() -> None:
    assert CliRunner().invoke(cli, ["--nonsense", "wait", "check"]).exit_code == 2


def test_as_json(daemon: Callable[[dict[str, Any]], str]) -> None:
    done = check(daemon(status(BARRED)), "--json", "-c", "5:")
    told = json.loads(done.stdout)
    assert done.exit_code == told["code"] == 2
    assert (told["state"], told["text"]) == (
        "CRITICAL", r"1 of 8 vassals down; a.ini barred (it | failed\x1b)",
    )  # fmt: skip
    assert told["data"][0] == {
        "label": "down", "value": 1, "unit": None, "warning": "0", "critical": "5:",
        "min": 0, "max": 8,
    }  # fmt: skip
    assert told["data"][-1]["unit"] == "s"


@pytest.mark.parametrize(
    ("words", "code", "state"),
    [(["check", "--json"], 2, "CRITICAL"), (["--nonsense", "check", "--json"], 3, "UNKNOWN")],
    ids=["no daemon", "usage"],
)
def test_as_json_where_nothing_is_known(
    tmp_path: Path, words: list[str], code: int, state: str
) -> None:
    done = CliRunner().invoke(cli, ["--control", str(tmp_path / "s"), *words])
    told = json.loads(done.stdout)
    assert (done.exit_code, told["code"], told["state"], told["data"]) == (code, code, state, [])


def test_no_daemon_is_critical(tmp_path: Path) -> None:
    done = check(str(tmp_path / "s"))
    assert done.exit_code == 2
    assert done.stdout.startswith("EMPEROR CRITICAL - no daemon answers at ")
    assert "|" not in done.stdout


def test_a_daemon_that_hangs_is_critical(running: Emperor) -> None:
    assert running.ctl("check").returncode == 0
    pid = running.daemon_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        done = running.ctl("check", "-t", "200ms")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert done.returncode == 2
    assert done.stdout.endswith("has not answered within 0.2 s\n")
    running.stop()


@pytest.fixture
def running(make_emperor: Callable[..., Emperor]) -> Emperor:
    emperor = make_emperor()
    emperor.start()
    return emperor
