"""emperor-ctl: every command, and its answer."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.client.asking import exchanged
from support.asking import asked, refused
from support.daemon import STAMP
from support.kept import Emperor
from support.vassals import SLEEPER, program, shell, speaker_path

from ..conftest import MakeEmperor

STATE = [
    "name", "monitor", "phase", "loyal", "deaf", "done", "listens", "pid", "attempt", "config",
    "running",
    "due", "target", "check", "refused", "rolled_back", "rollout", "candidate", "path",
    "ts", "uid", "gid",
    "socket",
    "deaths", "restarts", "last_exit", "hold", "not_before", "reason",
]  # fmt: skip


# Commands


def test_status(kept_running: Emperor) -> None:
    said = asked(kept_running, "status")
    assert list(said) == [
        "version", "protocol", "pid", "journal", "seq", "at", "monitors", "outages", "vassals",
        "due", "stopping", "recovers", "keeper", "paused", "estranged", "unrecorded",
        "renamed_logs", "held", "listens", "attention",
    ]  # fmt: skip
    assert said["pid"] == kept_running.daemon_pid()
    assert said["journal"] == str(kept_running.journal)
    assert said["monitors"] == [f"dir://{kept_running.vassals}"]
    assert said["vassals"] == {"ready": 1}
    assert (said["keeper"], said["paused"], said["stopping"]) == (True, None, False)
    assert not said["recovers"]
    text = kept_running.ctl("status").stdout
    assert "vassals:         1 ready" in text
    kept_running.stop()


def _fields(running: Emperor, fields: Any) -> dict[str, Any]:
    """The only vassal, as the daemon answers a client that asks for these fields."""
    answer = exchanged(str(running.control), {"do": "list", "fields": fields}, 20)
    assert answer is not None
    (vassal,) = answer["vassals"]
    return dict(vassal)


def test_list(running: Emperor) -> None:
    said = asked(running, "list")
    assert list(said) == ["seq", "at", "vassals", "sources"]
    (vassal,) = said["vassals"]
    assert list(vassal)[: len(STATE)] == STATE
    assert {"uptime_s", "last_heartbeat", "deadline"} <= set(vassal)
    assert vassal["pid"] == running.pid_of("a.ini")
    assert 0 <= vassal["uptime_s"] < 60
    state = subprocess.run(
        [
            *(sys.executable, "-m", "emperord.replay.main", "--journal", running.journal),
            *("state", "--json"),
        ],
        check=True,
        capture_output=True,
    )
    live = {key: value for key, value in vassal.items() if key in STATE}
    assert json.loads(state.stdout)["vassals"] == [live]
    some = {"name": "a.ini", "pid": vassal["pid"]}
    assert _fields(running, ["pid", "name", "uid", "there is none"]) == some
    for no_fields in (["there is none"], "name", [["name"]], []):
        assert list(_fields(running, no_fields)) == list(vassal)
    header, row = running.ctl("list").stdout.splitlines()
    assert header.split()[:3] == ["VASSAL", "PHASE", "PID"]
    assert row.split()[:3] == ["a.ini", "ready", str(vassal["pid"])]
    (told,) = csv.DictReader(running.ctl("list", "-o", "csv").stdout.splitlines())
    assert list(told) == list(vassal)
    assert (told["name"], told["loyal"], told["uid"]) == ("a.ini", "false", "")
    assert json.loads(running.ctl("list", "-o", "jsonl").stdout)["name"] == "a.ini"
    assert running.ctl("list", "-o", "wide").stdout.split()[:3] == ["NAME", "MONITOR", "PHASE"]
    running.stop()


def test_live_facts_of_heartbeats_and_deadlines(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor(
        "--throttle", "60000", "--max-throttle", "60000", speakers=True, keeper=False
    )
    (emperor.vassals / "beats.ini").write_text("say 1 5\nbeat 1 0\n")
    (emperor.vassals / "dies.ini").write_text(shell("exit 1"))
    emperor.start()
    emperor.event("heartbeat_started", "beats.ini")
    emperor.phase("dies.ini", "throttled")
    beats, dies = asked(emperor, "list")["vassals"]
    assert beats["last_heartbeat"] is not None
    assert beats["deadline"] is None
    assert dies["last_heartbeat"] is None
    assert dies["uptime_s"] is None
    assert dies["deadline"] == dies["not_before"]
    assert dies["deaths"] == 1
    emperor.stop()


def test_show(running: Emperor) -> None:
    vassal = asked(running, "show", "a.ini")
    assert vassal["phase"] == "ready"
    assert "phase:           ready" in running.ctl("show", "a.ini").stdout
    assert refused(running, "show", "b.ini") == "there is no vassal b.ini"
    running.stop()


def test_explain(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    emperor = make_emperor(
        "--vassals-inherit", "all.ini", "--vassal-set", "k=v", "--on-demand-extension", ".socket",
        environ={"UWSGI_VASSAL_HARAKIRI": "30", "EMPEROR_LOG_SIZE": "100000"}, keeper=False,
    )  # fmt: skip
    address = tmp_path / "a.sock"
    text = f"[uwsgi]\nsocket = {address}\n[emperor]\nnofile = 2048\n"
    (emperor.vassals / "a.ini").write_text(text)
    (emperor.vassals / "a.ini.socket").write_text(str(address))
    emperor.start()
    emperor.phase("a.ini", "listening")
    said = asked(emperor, "explain", "a.ini")
    words = [(each["word"], each["from"]) for each in said["argv"]]
    assert words[0][0].endswith("uwsgi")
    assert words[0][1] == "uWSGI as found"
    assert words[1:] == [
        ("--set", "--vassal-set"), ("k=v", "--vassal-set"),
        ("--ini", "the ending of its name"), ("a.ini", "its name"),
        ("--inherit", "--vassals-inherit"), ("all.ini", "--vassals-inherit"),
    ]  # fmt: skip
    origins = {each["name"]: (each["value"], each["from"]) for each in said["environment"]}
    assert origins["UWSGI_HARAKIRI"] == ("30", "UWSGI_VASSAL_HARAKIRI")
    assert origins["EMPERORD_VASSAL"] == ("a.ini", "emperor")
    assert origins[STAMP] == (emperor.stamp, "environment")
    assert "EMPEROR_LOG_SIZE" not in origins
    assert (said["text"], said["limits"]) == (text, {"nofile": "2048"})
    assert (said["cwd"], said["user"]) == (str(emperor.vassals), None)
    (note,) = said["notes"]
    assert f"binds {address} itself" in note
    text = emperor.ctl("explain", "a.ini").stdout
    for line in (f"on demand at: {address}", "  UWSGI_HARAKIRI=30", "  nofile = 2048", "note: its"):
        assert f"\n{line}" in text
    assert refused(emperor, "explain", "b.ini") == "there is no vassal b.ini"
    emperor.stop()


EXPLAINED = [
    pytest.param("[emperor]\ncommand = sleep '1 2'\n", ["sleep", "1 2"], None, id="a program"),
    pytest.param("[emperor]\nnonsense = 1\n", None, "barred: ", id="barred"),
]


@pytest.mark.parametrize(("text", "argv", "note"), EXPLAINED)
def test_what_else_is_explained(
    emperor: Emperor, text: str, argv: list[str] | None, note: str | None
) -> None:
    (emperor.vassals / "a.ini").write_text(text)
    emperor.start()
    said = asked(emperor, "explain", "a.ini")
    if argv is not None:
        assert [each["word"] for each in said["argv"]] == argv
        assert {each["from"] for each in said["argv"]} == {"command in its [emperor] section"}
    assert [each[: len(note or "")] for each in said["notes"]] == ([note] if note else [])
    emperor.stop()


def test_stop_and_start(kept_running: Emperor) -> None:
    pid = kept_running.pid_of("a.ini")
    assert asked(kept_running, "stop", "a.ini") == {"name": "a.ini", "phase": "held"}
    assert kept_running.running() == []
    assert asked(kept_running, "stop", "a.ini") == {
        "name": "a.ini",
        "phase": "held",
    }  # it is already
    assert asked(kept_running, "show", "a.ini")["held"] is True
    kept_running.restart()  # and stays so
    (kept_running.vassals / "a.ini").write_text(program("sleep", "2000"))
    kept_running.event("vassal_changed", "a.ini")
    assert "held" in refused(kept_running, "reload", "a.ini")
    assert "held" in refused(kept_running, "retry", "a.ini")
    done = kept_running.ctl("start", "a.ini")
    assert (done.returncode, done.stdout) == (0, "a.ini: now ready\n")
    kept_running.event("spawned", "a.ini", count=2)
    assert kept_running.pid_of("a.ini") != pid
    requests = kept_running.events("operator_requested")
    assert [(e.vassal, e.body["request"], e.body["uid"], e.body["via"]) for e in requests] == [
        ("a.ini", "stop", os.getuid(), "control"),
        ("a.ini", "start", os.getuid(), "control"),
    ]
    kept_running.stop()


def test_a_reload_is_refused_where_changes_wait_for_the_next_start(emperor: Emperor) -> None:
    (emperor.vassals / "a.ini").write_text(program("sleep", "1000", reload="none"))
    emperor.start()
    emperor.phase("a.ini", "ready")
    assert "a change waits for its next start" in refused(emperor, "reload", "a.ini")
    assert emperor.events("operator_requested") == []
    emperor.stop()


def test_reload(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor(speakers=True)
    (emperor.vassals / "a.ini").write_text("say 1 5 17\n")
    emperor.start()
    emperor.phase("a.ini", "accepting")
    pid, seq = emperor.pid_of("a.ini"), emperor.last_seq()
    assert asked(emperor, "reload", "a.ini")["phase"] == "accepting"
    assert emperor.kinds("a.ini", seq) == ["operator_requested", "vassal_accepting"]
    assert emperor.pid_of("a.ini") == pid
    assert "accepting" in refused(emperor, "retry", "a.ini")
    emperor.stop()


def test_retry(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--throttle", "60000", "--max-throttle", "60000", keeper=False)
    (emperor.vassals / "a.ini").write_text(shell("[ -e ok ] && exec sleep 1000; exit 1"))
    emperor.start()
    emperor.phase("a.ini", "throttled")
    (emperor.vassals / "ok").touch()
    assert asked(emperor, "retry", "a.ini")["phase"] == "ready"
    emperor.stop()


@pytest.mark.parametrize(
    "words", [["nonsense"], ["show"], ["stop", "a", "--all"], ["--nonsense", "list"]]
)
def test_bad_usage(emperor: Emperor, words: list[str]) -> None:
    assert emperor.ctl(*words).returncode == 2


# Wanted and running


def test_a_change_that_waits_is_told(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """While one reloads, the other runs its former config: list, show, status and log tell it."""
    gate = tmp_path / "gate"
    emperor = make_emperor("--max-starting", "1", "--uwsgi", speaker_path(tmp_path), keeper=False)
    names = ("a.ini", "b.ini")
    for name in names:
        (emperor.vassals / name).write_text("; one\nsay 1 5\n")
    emperor.start()
    for name in names:
        emperor.phase(name, "accepting")
    for name in names:
        (emperor.vassals / name).write_text(f"; two\nawait {gate}\nsay 5\n")
        emperor.event("vassal_changed", name)
    behind = emperor.until(lambda: _waits(asked(emperor, "list")["vassals"]), "one waits")
    name = behind["name"]
    assert behind["running"] is not None
    assert behind["running"] != behind["config"]
    row = f"  {behind['running'][:12]}  {behind['config'][:12]}  reload waits (1 in line)"
    assert row in emperor.ctl("list").stdout
    assert "due:             reload waits (1 in line)\n" in emperor.ctl("show", name).stdout
    assert asked(emperor, "status")["due"] == {"reload": 1}
    assert "due:             1 reload waits\n" in emperor.ctl("status").stdout
    gate.touch()
    emperor.event("vassal_accepting", name, count=2)
    assert asked(emperor, "show", name)["running"] == behind["config"]
    assert "due:             none\n" in emperor.ctl("status").stdout
    emperor.stop()


def _waits(vassals: list[dict[str, Any]]) -> dict[str, Any] | None:
    return next((vassal for vassal in vassals if vassal["due"] == "reload"), None)


# Restarts


def test_one_that_is_killed_often_is_seen_in_list_show_and_status(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """Also by a daemon that was not there for it."""
    emperor = make_emperor("--throttle", "10", "--uwsgi", speaker_path(tmp_path))
    (emperor.vassals / "a.ini").write_text("; one\nsay 1 5 17\n")
    emperor.start()
    emperor.event("vassal_loyal", "a.ini")
    for _ in range(3):
        after = emperor.last_seq()
        os.kill(emperor.pid_of("a.ini"), signal.SIGKILL)
        emperor.event("vassal_loyal", "a.ini", after=after)
    emperor.restart()
    vassal = asked(emperor, "show", "a.ini")
    assert (vassal["restarts"], vassal["last_exit"]["whose"]) == (3, "not by emperord")
    assert vassal["last_exit_s"] >= 0
    last = r"SIGKILL \d+ s ago, not by emperord"
    assert re.search(rf"Z +3 +{last}  ", emperor.ctl("list").stdout)
    assert re.search(rf"last exit: +{last}\n", emperor.ctl("show", "a.ini").stdout)
    done = emperor.ctl("status")
    assert done.returncode == 3
    assert re.search(rf"crashing since [^ ]+: restarts \(1 h\) 3, last {last}\n", done.stdout)
    assert "(signal 9, not by emperord), now" in emperor.log()
    emperor.stop()


def test_sources_have_the_names_that_are_given(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.ini").write_text(SLEEPER)
    emperor = make_emperor("--name", f"{other}=prod", keeper=False)
    emperor.monitors.append(other)
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini", "b.ini")
    listed = emperor.ctl("list").stdout.splitlines()
    assert [line.split()[-1] for line in listed[1:]] == ["dir:vassals", "prod"]
    assert asked(emperor, "list")["sources"] == {
        f"dir://{emperor.vassals}": "dir:vassals",
        f"dir://{other}": "prod",
    }
    emperor.stop()
