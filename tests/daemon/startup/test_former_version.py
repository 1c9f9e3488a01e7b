"""The release before is killed, and today's goes on: nothing is lost, nothing runs twice."""

import os
import socket
from collections import Counter
from pathlib import Path
from typing import Final

from emperord.replay.verify import verify
from support import processes
from support.daemon import MARK
from support.former import Installation
from support.kept import Emperor
from support.ports import free_port
from support.vassals import SLEEPER, program

from ..conftest import MakeEmperor

ACCEPTS: Final = "[uwsgi]\nsay 1 5\n"
# A vassal for each phase: its config, what a change of it appends, and the phase that follows.
VASSALS: Final[dict[str, tuple[str, str, str]]] = {
    "accepting.ini": (ACCEPTS, "", "accepting"),
    "loyal.ini": (ACCEPTS + "say 17\n", "", "accepting"),
    "program.ini": (SLEEPER, "", "ready"),
    "starting.ini": ("[uwsgi]\nawait never\n", "", "starting"),
    "reloading.ini": (ACCEPTS, "await never\n", "reloading"),
    "stopping.ini": (ACCEPTS + "deaf\n", "", "stopping"),
    "throttled.ini": (program("false"), "", "throttled"),
    "barred.ini": (program("sh", "-c", "exit 26"), "", "barred"),
    "held.ini": (ACCEPTS, "", "held"),
}
UP: Final = ("accepting", "ready", "starting", "reloading", "stopping")


def leaders(emperor: Emperor) -> dict[str, int]:
    """The processes that lead a vassal's tree, by vassal; fails where one has two."""
    marks = [
        (processes.environment_of(pid).get(MARK, "").split(".", 2)[-1], pid)
        for pid in emperor.running()
        if os.getsid(pid) == pid
    ]
    twice = [name for name, count in Counter(name for name, _ in marks).items() if count > 1]
    assert twice == [], emperor.account()
    return dict(marks)


def brought_into_its_phase(emperor: Emperor, name: str) -> None:
    config, change, phase = VASSALS[name]
    path = emperor.vassals / name
    if phase == "held":
        emperor.phase(name, "accepting")
        emperor.ctl("stop", name)
    elif phase == "stopping":
        emperor.phase(name, "accepting")
        path.unlink()
    elif change:
        emperor.phase(name, "accepting")
        path.write_text(config.replace("say 1 5\n", change))
    emperor.phase(name, phase)


def test_each_phase_is_gone_on_with(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    installed = Installation(tmp_path)
    long = ("--throttle", "600000", "--max-throttle", "600000", "--mercy", "600")
    emperor = make_emperor(
        *long, "--start-patience", "600", "--max-starting", "99",
        speakers=True, environ=installed.environ,
    )  # fmt: skip
    for name, (config, _, _) in VASSALS.items():
        (emperor.vassals / name).write_text(config)
    emperor.start()
    for name in VASSALS:
        brought_into_its_phase(emperor, name)
    assert emperor.events("daemon_started")[0].body.get("rules") is None
    before, former = leaders(emperor), emperor.fleet()
    seq = emperor.last_seq()

    installed.upgrade()
    emperor.restart()

    assert emperor.events("daemon_started")[1].body["rules"] == 2
    assert leaders(emperor) == before
    fleet = emperor.fleet()
    for name, (_, _, phase) in VASSALS.items():
        vassal = fleet.vassals[name]
        assert vassal.phase == phase, name
        assert vassal.attempt == former.vassals[name].attempt, name
        assert (vassal.pid in before.values()) == (phase in UP), name
    assert emperor.events("spawned", after=seq) == []
    assert emperor.logs.readlink() == emperor.state / "logs", "they have these files open"
    assert {event.vassal for event in emperor.events("adopted", after=seq)} == before.keys()
    assert verify(str(emperor.journal)).exit_code == 0


def test_what_waits_goes_on_waiting(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    installed = Installation(tmp_path)
    emperor = make_emperor(
        "--max-starting", "1", "--start-patience", "600", "--on-demand-extension", ".at",
        speakers=True, environ=installed.environ,
    )  # fmt: skip
    address = f"127.0.0.1:{free_port()}"
    (emperor.vassals / "demand.ini").write_text(ACCEPTS)
    (emperor.vassals / "demand.ini.at").write_text(address)
    (emperor.vassals / "a.ini").write_text("[uwsgi]\nawait go\nsay 1 5\n")
    emperor.start()
    emperor.phase("demand.ini", "listening")
    emperor.phase("a.ini", "starting")
    (emperor.vassals / "b.ini").write_text(ACCEPTS)
    emperor.phase("b.ini", "queued")

    installed.upgrade()
    emperor.restart()

    assert leaders(emperor).keys() == {"a.ini"}
    emperor.phase("demand.ini", "listening")
    emperor.phase("b.ini", "queued")
    (emperor.vassals / "go").touch()
    emperor.phase("a.ini", "accepting")
    emperor.phase("b.ini", "accepting")
    host, port = address.split(":")
    with socket.create_connection((host, int(port))):
        emperor.phase("demand.ini", "accepting")
    assert leaders(emperor).keys() == {"a.ini", "b.ini", "demand.ini"}
    assert verify(str(emperor.journal)).exit_code == 0
