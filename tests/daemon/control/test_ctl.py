"""emperor-ctl and the control socket: every command, and whoever means no good."""

import contextlib
import csv
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon import ctl
from emperord.daemon.control import unix_sockets
from emperord.daemon.control.server import LONGEST, ControlInUse, bind
from support.daemon import STAMP
from support.kept import Emperor
from support.root import need_root
from support.vassals import SLEEPER, program, shell

from ..conftest import MakeEmperor

STATE = [
    "name", "monitor", "phase", "loyal", "deaf", "done", "pid", "attempt", "config", "path", "ts",
    "uid", "gid", "socket", "deaths", "not_before", "reason",
]  # fmt: skip


def asked(emperor: Emperor, *words: str, code: int = 0) -> Any:
    """The JSON that a command prints."""
    done = emperor.ctl(*words, "--json")
    assert done.returncode == code, done
    return json.loads(done.stdout)


def refused(emperor: Emperor, *words: str) -> str:
    """Why a command is refused: one line on stderr."""
    done = emperor.ctl(*words)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("emperor-ctl: ")
    return line.removeprefix("emperor-ctl: ")


@pytest.fixture
def running(emperor: Emperor) -> Emperor:
    """An emperor with one vassal."""
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    return emperor


# Commands


def test_status(running: Emperor) -> None:
    said = asked(running, "status")
    assert list(said) == [
        "version", "pid", "journal", "seq", "at", "monitors", "outages", "vassals", "stopping",
        "keeper", "paused", "estranged", "unrecorded", "renamed_logs", "held", "attention",
    ]  # fmt: skip
    assert said["pid"] == running.daemon_pid()
    assert said["journal"] == str(running.journal)
    assert said["monitors"] == [f"dir://{running.vassals}"]
    assert said["vassals"] == {"ready": 1}
    assert (said["keeper"], said["paused"], said["stopping"]) == (True, None, False)
    text = running.ctl("status").stdout
    assert "vassals:         1 ready" in text
    running.stop()


def test_list(running: Emperor) -> None:
    said = asked(running, "list")
    assert list(said) == ["seq", "at", "vassals"]
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
    emperor = make_emperor("--throttle", "60000", "--max-throttle", "60000", speakers=True)
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
        environ={"UWSGI_VASSAL_HARAKIRI": "30", "EMPEROR_LOG_SIZE": "100000"},
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


def test_stop_and_start(running: Emperor) -> None:
    pid = running.pid_of("a.ini")
    assert asked(running, "stop", "a.ini") == {"phase": "held"}
    assert running.running() == []
    assert asked(running, "stop", "a.ini") == {"phase": "held"}  # it is already
    assert asked(running, "show", "a.ini")["held"] is True
    running.restart()  # and stays so
    (running.vassals / "a.ini").write_text(program("sleep", "2000"))
    running.event("vassal_changed", "a.ini")
    assert "held" in refused(running, "reload", "a.ini")
    assert "held" in refused(running, "retry", "a.ini")
    done = running.ctl("start", "a.ini")
    assert (done.returncode, done.stdout) == (0, "a.ini: now ready\n")
    running.event("spawned", "a.ini", count=2)
    assert running.pid_of("a.ini") != pid
    requests = running.events("operator_requested")
    assert [(e.vassal, e.body) for e in requests] == [
        ("a.ini", {"request": "stop", "uid": os.getuid(), "via": "control"}),
        ("a.ini", {"request": "start", "uid": os.getuid(), "via": "control"}),
    ]
    running.stop()


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
    assert asked(emperor, "reload", "a.ini") == {"phase": "accepting"}
    assert emperor.kinds("a.ini", seq) == ["operator_requested", "vassal_accepting"]
    assert emperor.pid_of("a.ini") == pid
    assert "accepting" in refused(emperor, "retry", "a.ini")
    emperor.stop()


def test_retry(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--throttle", "60000", "--max-throttle", "60000")
    (emperor.vassals / "a.ini").write_text(shell("[ -e ok ] && exec sleep 1000; exit 1"))
    emperor.start()
    emperor.phase("a.ini", "throttled")
    (emperor.vassals / "ok").touch()
    assert asked(emperor, "retry", "a.ini") == {"phase": "ready"}
    emperor.stop()


@pytest.mark.parametrize(
    "words", [["nonsense"], ["show"], ["stop", "a", "b"], ["--nonsense", "list"]]
)
def test_bad_usage(emperor: Emperor, words: list[str]) -> None:
    assert emperor.ctl(*words).returncode == 2


def test_no_daemon_there(emperor: Emperor) -> None:
    emperor.state.mkdir()
    done = emperor.ctl("status")
    assert done.returncode == 4
    assert str(emperor.control) in done.stderr
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(emperor.control))
    assert emperor.ctl("list").returncode == 4


@pytest.fixture
def control(emperor: Emperor) -> Iterator[str]:
    """The control socket of a daemon that runs, where other users can get at its path."""
    need_root("be several users")
    # Not below pytest's own folder, which others may not enter.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: S103
        path = f"{folder}/control"
        emperor.options += ["--control", path]
        emperor.start()
        yield path
        emperor.stop()


def test_who_may_not_ask_is_refused_and_not_told_that_nobody_is_there(control: str) -> None:
    """A script that starts what is not there would start a second one."""
    done = subprocess.run(
        [sys.executable, "-c", ASKS_AS_ANOTHER, control],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "permission denied" in done.stderr


ASKS_AS_ANOTHER = """
import os, sys
from emperord.daemon import ctl
os.setgroups([])
os.setuid(61_009)
ctl.ask(sys.argv[1], {"do": "status"})
"""


@pytest.mark.parametrize(
    "said", [b"220 mail.example.org ESMTP\n", b"{}\n", b"[]\n", b"3\n", b'{"ok": "yes"}\n']
)
def test_a_stranger_that_listens_there(emperor: Emperor, said: bytes) -> None:
    emperor.state.mkdir()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(emperor.control))
        stranger.listen()

        def answer() -> None:
            with stranger.accept()[0] as client:
                client.recv(100)
                client.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        done = emperor.ctl("list")
        thread.join()
    assert done.returncode == 4
    assert "no emperor" in done.stderr


def test_a_daemon_that_does_not_answer_is_not_called_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ctl, "_PATIENCE", 0.1)
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(tmp_path / "s"))
        hanging.listen()
        with pytest.raises(SystemExit, match="4"):
            ctl.ask(str(tmp_path / "s"), {"do": "status"})
    said = f"emperor-ctl: the daemon at {tmp_path}/s has not answered within 0.1 s\n"
    assert capsys.readouterr().err == said


def test_asked_while_it_is_restarted_it_waits(running: Emperor) -> None:
    """The keeper holds the control socket too: nobody is refused."""
    daemon = running.daemon_pid()
    running.send(signal.SIGSTOP)
    os.kill(daemon, signal.SIGKILL)
    with socket.socket(socket.AF_UNIX) as early:
        early.connect(str(running.control))
        early.sendall(b'{"do": "status"}\n')
        running.send(signal.SIGCONT)
        early.settimeout(20)
        answer = json.loads(early.makefile().readline())
    assert answer["status"]["pid"] != daemon
    running.stop()


def test_while_the_journal_cannot_be_written(running: Emperor) -> None:
    limit = str(16384)
    subprocess.run(["prlimit", "--pid", str(running.daemon_pid()), f"--fsize={limit}:"], check=True)
    (running.vassals / "b.ini").write_text(SLEEPER)
    running.until(lambda: "paused" in running.log(), "it is paused")
    done = running.ctl("status")
    assert (done.returncode, done.stderr) == (3, "")
    assert "\n  paused since " in done.stdout
    assert asked(running, "status", code=3)["paused"] is not None
    assert "cannot be recorded" in refused(running, "stop", "a.ini")
    subprocess.run(
        ["prlimit", "--pid", str(running.daemon_pid()), "--fsize=unlimited:"], check=True
    )
    running.event("spawned", "b.ini")
    assert asked(running, "status")["paused"] is None
    running.stop()


def asked_as(uid: int, path: str) -> str:
    """The result of a connection by another user."""
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setuid(uid)
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
        except PermissionError:
            os._exit(13)
        finally:
            os._exit(1)
    return {13: "refused"}.get(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "let in")


def test_only_its_owner_may_ask(control: str) -> None:
    assert stat.S_IMODE(os.stat(control).st_mode) == 0o600
    assert asked_as(65534, control) == "refused"
    os.chmod(control, 0o666)  # noqa: S103
    assert asked_as(65534, control) == "let in"  # it was the mode that refused


# Hostile clients

HOSTILE: dict[str, bytes] = {
    "empty": b"\n",
    "no JSON": b"nonsense\n",
    "no object": b"[]\n",
    "nothing": b"{}\n",
    "a list": b'{"do": []}\n',
    "no name": b'{"do": "show"}\n',
    "a name that is none": b'{"do": "show", "name": {}}\n',
    "half a character": b'{"do": "stop", "name": "\\ud800"}\n',
    "no UTF-8": b'{"do": "\xff"}\n',
    "binary": b"\0\1\2\xfe\xff\n",
    "deep": b"[" * 60000 + b"\n",
    "deep objects": b'{"a":' * 10000 + b"\n",
    "a long number": b"1" * 60000 + b"\n",
    "a long name": b'{"do": "show", "name": "' + b"x" * 60000 + b'"}\n',
    "take over": b'{"do": "take_over"}\n',
}


def test_hostile_requests_are_refused_and_the_next_is_heard(running: Emperor) -> None:
    for case, request in HOSTILE.items():
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(running.control))
            client.sendall(request + b'{"do": "status"}\n')
            answers = client.makefile("rb")
            first = json.loads(answers.readline())
            assert first["ok"] is False, case
            assert first["error"]
            assert len(first["error"]) < 500
            assert json.loads(answers.readline())["ok"] is True, case
    assert running.kinds().count("operator_requested") == 0
    running.stop()


def test_a_request_without_end(running: Emperor) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(running.control))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(b"x" * (1 << 20))
        answer = json.loads(client.recv(4096))
    assert str(LONGEST) in answer["error"]
    with socket.socket(socket.AF_UNIX) as client:  # nor does one that goes in the middle harm
        client.connect(str(running.control))
        client.sendall(b'{"do": "stat')
    assert running.ctl("status").returncode == 0
    running.stop()


def test_requests_in_pieces_and_many_on_one_connection(running: Emperor) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(running.control))
        for byte in b'{"do": "status"}\n':
            client.sendall(bytes([byte]))
        client.sendall(b'{"do": "list"}\n' * 50)
        answers = client.makefile("rb")
        assert "status" in json.loads(answers.readline())
        assert all("vassals" in json.loads(answers.readline()) for _ in range(50))
    running.stop()


def test_clients_that_read_nothing_hold_nobody_up(running: Emperor) -> None:
    deaf = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for client in deaf:
        client.connect(str(running.control))
        client.setblocking(False)
        try:
            while True:
                client.send(b'{"do": "list"}\n' * 100)
        except BlockingIOError:
            continue
    assert running.ctl("status").returncode == 0
    (running.vassals / "b.ini").write_text(SLEEPER)
    running.event("spawned", "b.ini")
    for client in deaf:
        client.close()
    running.stop()


def test_two_hundred_at_once(running: Emperor) -> None:
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(str(running.control))
                client.sendall(b'{"do": "list"}\n')
                assert json.loads(client.makefile("rb").readline())["ok"]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    running.stop()


# Where it listens


@pytest.mark.parametrize("name", ["c.sock", "n" * 200], ids=["long folder", "long name"])
def test_a_path_longer_than_an_address(emperor: Emperor, name: str) -> None:
    folder = emperor.folder / ("d" * 120)
    folder.mkdir()
    path = folder / name
    emperor.options += ["--control", str(path)]
    emperor.start()
    done = subprocess.run(
        [sys.executable, "-m", "emperord.daemon.ctl", "--control", path, "status"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    emperor.restart()
    emperor.stop()
    assert list(folder.iterdir()) == []


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    with bind(path), socket.socket(socket.AF_UNIX) as client:
        unix_sockets.connect(client, path)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_socket_where_somebody_listens_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with bind(path), pytest.raises(ControlInUse, match="another process"):
        bind(path)


@pytest.mark.parametrize("kind", ["file", "folder", "symlink to a socket"])
def test_other_files_never_are(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "s"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as elsewhere:
            elsewhere.bind(str(tmp_path / "elsewhere"))
        path.symlink_to(tmp_path / "elsewhere")
    before = path.lstat()
    with pytest.raises(ControlInUse, match="no socket"):
        bind(str(path))
    assert path.lstat() == before


def test_a_control_socket_that_was_removed_is_there_again_after_a_restart(
    running: Emperor,
) -> None:
    running.control.unlink()
    running.restart()
    assert running.ctl("status").returncode == 0
    running.stop()
