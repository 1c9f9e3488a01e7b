"""A daemon ends while its client waits: the next one is asked for the outcome, and nothing new."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from emperord.daemon.ctl import cli

RECORDED: list[dict[str, Any]] = [
    {"ok": True, "more": True, "total": 1},
    {"ok": True, "more": True, "recorded": ["a.ini"]},
]
DONE: list[dict[str, Any]] = [
    {"ok": True, "more": True, "total": 1},
    {"ok": True, "more": True, "name": "a.ini", "phase": "accepting"},
    {"ok": True, "done": 1, "failed": 0, "left": {}},
]


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The path of two daemons, the first of which ends, and the requests that they get."""
    path, asked = str(tmp_path / "s"), list[dict[str, Any]]()
    listener = socket.socket(socket.AF_UNIX)
    listener.settimeout(30)
    listener.bind(path)
    listener.listen()

    def answer() -> None:
        with listener:
            for answers in (RECORDED, DONE):
                with listener.accept()[0] as client:
                    asked.append(json.loads(client.makefile().readline()))
                    client.sendall(b"".join(json.dumps(each).encode() + b"\n" for each in answers))

    thread = threading.Thread(target=answer)
    thread.start()
    yield path, asked
    thread.join()


GOALS = {
    "stop": (["stop", "a.ini"], "stop"),
    "reload": (["reload", "a.ini"], "reload"),
    "rollback": (["rollback", "a.ini"], "rollback"),
    "the wanted config is tried again": (["rollback", "--cancel", "a.ini"], "retry"),
}


@pytest.mark.parametrize(("words", "goal"), GOALS.values(), ids=GOALS)
def test_the_next_daemon_is_asked_for_the_same_outcome(
    daemons: tuple[str, list[dict[str, Any]]], words: list[str], goal: str
) -> None:
    path, asked = daemons
    done = CliRunner().invoke(cli, ["--control", path, *words])
    assert (done.exit_code, done.stdout) == (0, "a.ini: now accepting\n")
    first, second = asked
    assert first["do"] == words[0]
    assert (second["do"], second["names"], second["for"]) == ("wait", ["a.ini"], goal)
