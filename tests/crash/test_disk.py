"""The journal cannot be written: nothing is done that is not recorded, and nothing is lost."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support import processes
from support.daemon import Daemon
from support.kept import Emperor
from support.vassals import Application

from . import record
from .ground import Disk, limit_writing, mounted, tiny_disk
from .running import Ears, ears, until

OPTIONS: Final = ("--freq", "0.2", "--throttle", "100", "--mercy", "1")
RETRIES: Final = 2
SLEEPER: Final = "[emperor]\ncommand = sleep 1000\nreload-signal = CONT\n"


class Reader:
    """A vassal that notes each reload."""

    def __init__(self, folder: Path) -> None:
        self._notes = folder / "reloads"
        script = (
            f"trap 'echo reloaded >> {self._notes}' HUP; while :; do sleep 1000 & wait $!; done"
        )
        self.text = f'[emperor]\ncommand = sh -c "{script}"\n'

    def reloads(self) -> int:
        return len(self._notes.read_text().splitlines()) if self._notes.exists() else 0


@pytest.fixture
def hearing(tmp_path: Path) -> Iterator[Ears]:
    with ears(tmp_path / "notify") as opened:
        yield opened


@pytest.fixture
def daemon(tmp_path: Path, hearing: Ears) -> Iterator[Daemon]:
    logs = ("--log-directory", str(tmp_path / "logs"))
    environ = {"NOTIFY_SOCKET": str(hearing.path)}
    with Daemon(tmp_path, *OPTIONS, *logs, environ=environ) as made:
        yield made


@pytest.fixture
def disk(daemon: Daemon) -> Iterator[Disk]:
    """The small file system with the journal on it."""
    with tiny_disk(daemon.state) as made:
        yield made
        daemon.clean_up()


def retried(hearing: Ears) -> None:
    """Return when the daemon has tried a few times to go on, and could not."""
    told = 0

    def enough() -> bool:
        nonlocal told
        hearing.wait(0.1)
        told += sum(state.startswith("STATUS=paused") for state in hearing.heard())
        return told >= RETRIES

    hearing.heard()
    until(enough, "the daemon tries again")


def paused(daemon: Daemon) -> None:
    daemon.until(lambda: "emperor: paused: " in daemon.log(), "it says that it is paused")


def kill_leader(daemon: Daemon, vassal: str) -> None:
    pid = daemon.pid_of(vassal)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not processes.alive(pid), "the vassal dies")


def asked(daemon: Daemon, *words: str) -> tuple[int, str, str]:
    """The result of a command: exit code, standard output and error. It answers at once."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "emperord.daemon.ctl"),
            *("--control", f"{daemon.journal}.sock", *words),
        ],
        capture_output=True,
        text=True,
        timeout=10,
    )
    return done.returncode, done.stdout, done.stderr


def check(daemon: Daemon) -> None:
    """The record is whole, and nothing runs that does not stand in it."""
    marks = {its["EMPERORD_ATTEMPT"] for its in daemon.environments().values()}
    found, _ = record.check(daemon.journal)
    assert marks <= set(record.ordered_marks(found))


def test_on_a_full_disk_nothing_is_done_until_there_is_room(
    daemon: Daemon, disk: Disk, hearing: Ears
) -> None:
    reader = Reader(daemon.folder)
    files = {name: daemon.vassals / name for name in ("read.ini", "gone.ini", "dies.ini")}
    files["read.ini"].write_text(reader.text)
    files["gone.ini"].write_text(SLEEPER)
    files["dies.ini"].write_text(SLEEPER)
    daemon.start()
    pids = {name: daemon.phase(name, "ready").pid for name in files}
    before = daemon.last_seq()

    disk.fill()
    files["read.ini"].write_text(reader.text + "\n")
    files["gone.ini"].unlink()
    (daemon.vassals / "new.ini").write_text(SLEEPER)
    kill_leader(daemon, "dies.ini")
    paused(daemon)
    retried(hearing)
    assert reader.reloads() == 0
    assert daemon.running_for("new.ini") == []
    assert daemon.running_for("dies.ini") == []
    assert pids["read.ini"] in daemon.running_for("read.ini")
    assert daemon.running_for("gone.ini") == [pids["gone.ini"]]
    assert daemon.last_seq() == before
    assert daemon.log().count("paused: ") == 1, daemon.log()
    check(daemon)

    disk.free()
    daemon.gone("gone.ini")
    daemon.phase("new.ini", "ready")
    until(lambda: reader.reloads() == 1, "the change takes effect")
    daemon.event("exited", "dies.ini", signal=signal.SIGKILL)
    daemon.event("spawned", "dies.ini", count=2)
    assert daemon.pid_of("read.ini") == pids["read.ini"]
    assert "can be written again" in daemon.log()
    assert reader.reloads() == 1
    check(daemon)
    daemon.stop()


def test_killed_while_the_disk_is_full_it_goes_on_when_there_is_room(
    daemon: Daemon, disk: Disk
) -> None:
    reader = Reader(daemon.folder)
    (daemon.vassals / "read.ini").write_text(reader.text)
    daemon.start()
    pid = daemon.phase("read.ini", "ready").pid
    disk.fill()
    (daemon.vassals / "read.ini").write_text(reader.text + "\n")
    paused(daemon)
    daemon.kill()
    check(daemon)

    # Its first words cannot be recorded either.
    daemon.launch()
    daemon.until(lambda: daemon.log().count("paused: ") == 2, "it says that it is paused")
    code, out, _ = asked(daemon, "status")
    assert (code, "\n  paused since " in out) == (3, True), out
    assert reader.reloads() == 0
    assert daemon.running_for("read.ini")[0] == pid

    disk.free()
    until(lambda: reader.reloads() == 1, "the change takes effect")
    assert daemon.pid_of("read.ini") == pid
    check(daemon)
    daemon.stop()


@pytest.mark.few(1)
@pytest.mark.parametrize("do", ["stop", "reload"])
def test_a_request_that_finds_the_disk_full_is_refused_and_changes_nothing(
    daemon: Daemon, disk: Disk, hearing: Ears, do: str
) -> None:
    """No pause is known yet: the request itself meets it."""
    reader = Reader(daemon.folder)
    (daemon.vassals / "read.ini").write_text(reader.text)
    daemon.start()
    pid = daemon.phase("read.ini", "ready").pid
    before = daemon.last_seq()
    disk.fill()
    code, out, error = asked(daemon, do, "read.ini")
    assert (code, out) == (1, "")
    assert error.startswith("emperor-ctl: nothing is done that cannot be recorded: ")
    assert error.endswith("; free space on its disk, and the daemon goes on by itself\n")
    status = json.loads(asked(daemon, "status", "--json")[1])
    assert status["vassals"] == {"ready": 1}
    assert (status["seq"], status["unrecorded"]) == (before, 0)
    assert status["paused"] is not None

    # Nothing waits to be recorded, and the daemon notices nevertheless that it can go on.
    retried(hearing)
    disk.free()
    daemon.until(lambda: "can be written again" in daemon.log(), "it goes on")
    assert daemon.last_seq() == before
    assert reader.reloads() == 0
    assert daemon.running_for("read.ini")[0] == pid
    assert asked(daemon, "reload", "read.ini")[0] == 0
    until(lambda: reader.reloads() == 1, "it is reloaded")
    check(daemon)
    daemon.stop()


def test_a_request_behind_what_waits_for_room_is_refused(daemon: Daemon, disk: Disk) -> None:
    """And what is told of the fleet is what is recorded, as nothing else is carried out."""
    for name in ("a.ini", "gone.ini"):
        (daemon.vassals / name).write_text(SLEEPER)
    daemon.start()
    daemon.phase("gone.ini", "ready")
    daemon.phase("a.ini", "ready")
    before = daemon.last_seq()
    disk.fill()
    (daemon.vassals / "gone.ini").unlink()
    (daemon.vassals / "new.ini").write_text(SLEEPER)
    paused(daemon)
    assert asked(daemon, "stop", "a.ini")[0] == 1
    status = json.loads(asked(daemon, "status", "--json")[1])
    assert status["vassals"] == {"ready": 2}
    assert status["seq"] == before
    assert status["unrecorded"] >= 1
    listed = json.loads(asked(daemon, "list", "--json")[1])["vassals"]
    assert [(v["name"], v["phase"]) for v in listed] == [("a.ini", "ready"), ("gone.ini", "ready")]
    disk.free()
    daemon.phase("new.ini", "ready")
    daemon.gone("gone.ini")
    assert json.loads(asked(daemon, "status", "--json")[1])["unrecorded"] == 0
    assert daemon.kinds("a.ini", before) == []
    check(daemon)
    daemon.stop()


def test_on_a_full_disk_no_journal_can_be_begun(daemon: Daemon, disk: Disk) -> None:
    disk.fill()
    daemon.launch()
    assert daemon.wait() == 3
    (line,) = daemon.log().splitlines()
    assert line.startswith("emperor: ")
    assert "full" in line or "No space left" in line
    disk.free()
    daemon.start()
    daemon.stop()


def test_a_journal_that_fills_its_disk_by_itself_harms_nothing(daemon: Daemon, disk: Disk) -> None:
    path = daemon.vassals / "a.ini"
    path.write_text(SLEEPER)
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    beside = path.with_suffix(".new")
    edits = 0

    def seen() -> bool:
        return "paused: " in daemon.log() or len(daemon.events("vassal_changed")) == edits

    while "paused: " not in daemon.log():
        edits += 1
        beside.write_text(f"{SLEEPER}# {os.urandom(8000).hex()}\n")
        beside.rename(path)
        until(seen, "the change is seen")
    assert processes.alive(pid or 0)
    check(daemon)
    assert daemon.pid_of("a.ini") == pid


def test_asked_to_leave_while_paused_it_stops_all_when_it_can_record_it(
    daemon: Daemon, hearing: Ears
) -> None:
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    limit_writing(daemon.pid, 16384)
    daemon.send(signal.SIGTERM)
    paused(daemon)
    retried(hearing)
    assert daemon.running_for("a.ini") == [pid]
    limit_writing(daemon.pid, None)
    assert daemon.wait() == 0
    assert daemon.running() == []
    assert daemon.events()[-1].kind == "daemon_stopped"
    check(daemon)


def test_asked_twice_while_paused_it_leaves_at_once_and_vassals_run_on(
    daemon: Daemon, hearing: Ears
) -> None:
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    limit_writing(daemon.pid, 16384)
    (daemon.vassals / "b.ini").write_text(SLEEPER)
    paused(daemon)
    daemon.send(signal.SIGTERM)
    daemon.until(lambda: "asked again" in daemon.log(), "it says what asking again would do")
    retried(hearing)
    assert daemon.insist() == 3
    last = daemon.log().splitlines()[-1]
    assert last.startswith("emperor: SIGTERM again, left at once: "), last
    assert daemon.running() == [pid]
    daemon.start()
    daemon.phase("b.ini", "ready")
    assert daemon.pid_of("a.ini") == pid
    check(daemon)
    daemon.stop()


def test_asked_twice_while_paused_the_keeper_leaves_too_and_uwsgi_ends(tmp_path: Path) -> None:
    """As the daemon says when it leaves."""
    with Emperor(tmp_path, *OPTIONS) as emperor:
        app = Application(tmp_path)
        (emperor.vassals / "app.ini").write_text(app.config("hello"))
        (emperor.vassals / "a.ini").write_text(SLEEPER)
        emperor.start()
        pid = emperor.phase("a.ini", "ready").pid
        served_by = emperor.phase("app.ini", "accepting").pid or 0
        limit_writing(emperor.daemon_pid(), 16384)
        emperor.send(signal.SIGTERM)
        paused(emperor)
        assert emperor.insist() == 3
        said = emperor.log().splitlines()[-1]
        assert "uWSGI ends by itself without an emperor, other programs run on" in said
        until(lambda: not processes.alive(served_by), "uWSGI ends")
        assert emperor.running() == [pid]
        emperor.start()
        emperor.until(app.answers, "it serves again")
        assert emperor.pid_of("a.ini") == pid
        check(emperor)
        emperor.stop()


def test_a_daemon_that_starts_on_a_full_disk_leaves_when_asked_twice(tmp_path: Path) -> None:
    logs = ("--log-directory", str(tmp_path / "logs"))
    with Emperor(tmp_path, *OPTIONS, *logs) as emperor, tiny_disk(emperor.state) as disk:
        (emperor.vassals / "a.ini").write_text(SLEEPER)
        emperor.start()
        pid = emperor.phase("a.ini", "ready").pid
        disk.fill()
        emperor.kill_daemon()
        paused(emperor)
        assert emperor.insist() == 3
        assert emperor.running() == [pid]
        disk.free()
        emperor.start()
        assert emperor.pid_of("a.ini") == pid
        check(emperor)
        emperor.stop()


@pytest.mark.few(1)
@pytest.mark.parametrize("asked", [False, True], ids=["goes on", "stops"])
def test_a_pause_ends_with_its_reason(tmp_path: Path, asked: bool) -> None:
    """A log that the next daemon could only open for reading is opened anew."""
    with Emperor(tmp_path, *OPTIONS) as emperor:
        (emperor.vassals / "a.ini").write_text(SLEEPER)
        emperor.start()
        pid = emperor.phase("a.ini", "ready").pid
        seq, log = emperor.last_seq(), f"{emperor.journal}-wal"
        subprocess.run(["chattr", "+i", log], check=True)
        try:
            emperor.kill_daemon()
            paused(emperor)
            if asked:
                emperor.send(signal.SIGTERM)
                emperor.until(lambda: "asked again, leaves" in emperor.log(), "it was heard")
        finally:
            subprocess.run(["chattr", "-i", log], check=True)
        if asked:
            assert emperor.wait() == 0
            assert emperor.running() == []
        else:
            emperor.next_ready(seq)
            assert emperor.running_for("a.ini") == [pid]
            emperor.stop()
        check(emperor)


def test_a_journal_that_was_moved_away_is_waited_for(daemon: Daemon, hearing: Ears) -> None:
    reader = Reader(daemon.folder)
    (daemon.vassals / "read.ini").write_text(reader.text)
    daemon.start()
    daemon.phase("read.ini", "ready")
    elsewhere = daemon.folder / "elsewhere.db"
    daemon.journal.rename(elsewhere)
    (daemon.vassals / "read.ini").write_text(reader.text + "\n")
    paused(daemon)
    assert "put" in daemon.log()
    retried(hearing)
    assert not daemon.journal.exists()
    assert reader.reloads() == 0
    elsewhere.rename(daemon.journal)
    until(lambda: reader.reloads() == 1, "the change takes effect")
    check(daemon)
    daemon.stop()


def test_a_file_system_that_turns_read_only_harms_nothing(daemon: Daemon, hearing: Ears) -> None:
    image = daemon.folder / "image"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    # Nothing stays open there, so the file system ends with its mount, before the next one begins.
    daemon.options += ["--log-directory", str(daemon.folder / "logs")]
    with mounted(daemon.state, "-o", "loop", str(image)):
        (daemon.vassals / "a.ini").write_text(SLEEPER)
        daemon.start()
        pid = daemon.phase("a.ini", "ready").pid
        # As the kernel does by itself when the device fails.
        subprocess.run(["mount", "-o", "remount,abort", str(daemon.state)], check=True)
        (daemon.vassals / "b.ini").write_text(SLEEPER)
        paused(daemon)
        retried(hearing)
        assert daemon.running() == [pid]
        daemon.send(signal.SIGINT)
        daemon.until(lambda: "asked again" in daemon.log(), "it says what asking again would do")
        assert daemon.insist(signal.SIGINT) == 3
        daemon.let_go()
    with mounted(daemon.state, "-o", "loop", str(image)):
        daemon.start()
        daemon.phase("b.ini", "ready")
        assert daemon.pid_of("a.ini") == pid
        check(daemon)
        daemon.stop()
