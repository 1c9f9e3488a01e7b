"""A daemon whose journal is not the one that its vassals run for waits, and doubles none."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from emperord.journal.store import Journal
from journal_builder import building
from support import processes
from support.daemon import Daemon
from support.kept import Emperor
from support.vassals import APP, SLEEPER, Answer, Application, free_port, program
from support.waiting import until

from ..conftest import MakeEmperor


def backup(journal: Path, copy: Path) -> Path:
    """Copy a journal that is in use, as SQLite does it."""
    with closing(sqlite3.connect(journal)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def beside(emperor: Emperor) -> list[Path]:
    return [emperor.journal.with_name(emperor.journal.name + suffix) for suffix in ("-wal", "-shm")]


def remove(emperor: Emperor, older: Path) -> None:
    for path in (emperor.journal, *beside(emperor)):
        path.unlink()


def remove_log(emperor: Emperor, older: Path) -> None:
    beside(emperor)[0].unlink()


def put_back(emperor: Emperor, older: Path) -> None:
    remove(emperor, older)
    shutil.copyfile(older, emperor.journal)


def swap(emperor: Emperor, older: Path) -> None:
    strange = older.with_name("strange.db")
    with building(str(strange)) as builder:
        builder.start()
        builder.added("strange.ini")
    put_back(emperor, strange)


def spoil(emperor: Emperor, older: Path) -> None:
    remove(emperor, older)
    emperor.journal.write_bytes(b"no journal at all" * 100)


Lose = Callable[[Emperor, Path], None]
LOSSES = [
    pytest.param(remove, "is not there", id="removed"),
    pytest.param(remove_log, "no events", id="log removed"),
    pytest.param(put_back, "was durable", id="older copy"),
    pytest.param(swap, "is another journal", id="another"),
]


def verified(emperor: Emperor) -> None:
    argv = [
        sys.executable,
        "-m",
        "emperord.replay.main",
        "--journal",
        str(emperor.journal),
        "verify",
    ]
    subprocess.run(argv, check=True, capture_output=True)


@pytest.fixture
def app(emperor: Emperor, tmp_path: Path) -> Application:
    """A uWSGI application and a program run; ``older.db`` was copied before the second program."""
    app = Application(tmp_path)
    (emperor.vassals / "app.ini").write_text(app.config("hello"))
    (emperor.vassals / "plain.ini").write_text(SLEEPER)
    emperor.start()
    emperor.phase("app.ini", "accepting")
    emperor.up("plain.ini")
    answered(app)
    emperor.event("vassal_loyal", "app.ini")
    backup(emperor.journal, tmp_path / "older.db")
    (emperor.vassals / "late.ini").write_text(program("sleep", "1001"))
    emperor.up("late.ini")
    return app


def estrange(emperor: Emperor, lose: Lose, tmp_path: Path) -> None:
    """Lose the journal and the daemon, and wait until the next one says so."""
    (pid,) = emperor.daemons()
    times = emperor.log().count("emperor: estranged: ")
    lose(emperor, tmp_path / "older.db")
    os.kill(pid, signal.SIGKILL)
    emperor.until(lambda: emperor.log().count("emperor: estranged: ") > times, "it is estranged")


def decide(emperor: Emperor, *words: str) -> None:
    seq = emperor.last_seq()
    done = emperor.ctl(*words)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    emperor.event("daemon_ready", after=seq)


@pytest.mark.few(1)
@pytest.mark.parametrize(("lose", "reason"), LOSSES)
def test_nothing_is_touched_until_somebody_adopts(
    emperor: Emperor, app: Application, tmp_path: Path, lose: Lose, reason: str
) -> None:
    before, last = emperor.environments(), emperor.last_seq()
    worker = answered(app)
    estrange(emperor, lose, tmp_path)
    status = emperor.ctl("status")
    assert status.returncode == 3
    assert reason in status.stdout
    assert "emperor-ctl adopt" in status.stdout
    assert emperor.ctl("list").returncode == 0
    stop = emperor.ctl("stop", "plain.ini")
    assert stop.returncode == 1
    assert "emperor-ctl adopt" in stop.stderr
    emperor.send(signal.SIGHUP)
    emperor.until(lambda: "SIGHUP: nothing is done" in emperor.log(), "it was told")
    assert emperor.environments() == before
    decide(emperor, "adopt")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.environments() == before
    assert answered(app) == worker
    assert emperor.ctl("status").returncode == 0
    adopted = emperor.event("journal_adopted")
    assert (adopted.body["uid"], adopted.body["seq"]) == (os.getuid(), last)
    if reason in ("no events", "is not there"):
        assert adopted.seq == last + 1
    assert f"late.ini: spawned (pid {emperor.pid_of('late.ini')}, taken over)" in emperor.log()
    # They are in its hands: a change reloads in place, a removal stops, a death is known.
    seq = emperor.last_seq()
    (emperor.vassals / "app.ini").write_text(app.config("changed"))
    emperor.event("vassal_accepting", "app.ini", after=seq)
    emperor.until(lambda: answered(app).says == "changed", "it serves its new text")
    assert answered(app).master == worker.master
    (emperor.vassals / "late.ini").unlink()
    emperor.gone("late.ini")
    os.kill(emperor.pid_of("plain.ini"), signal.SIGUSR1)
    assert emperor.event("exited", "plain.ini", after=seq).body["signal"] == signal.SIGUSR1
    verified(emperor)
    emperor.restart()
    emperor.stop()
    verified(emperor)


def test_a_lost_log_pauses_an_idle_daemon_and_a_kill_doubles_nothing(
    emperor: Emperor, app: Application
) -> None:
    """A log that was deleted is saved, as the daemon has it open; one that was cut is not."""
    before, last = emperor.environments(), emperor.last_seq()
    remove_log(emperor, emperor.journal)
    emperor.until(lambda: "can be written again" in emperor.log(), "it has saved the events")
    assert "cannot be written: the -wal file is gone; vassals keep running" in emperor.log()
    emperor.restart()
    assert emperor.last_seq() > last
    assert emperor.environments() == before

    os.truncate(beside(emperor)[0], 0)
    emperor.until(lambda: "cannot be written: the -wal file was cut" in emperor.log(), "it pauses")
    status = emperor.ctl("status")
    assert (status.returncode, "the -wal file was cut" in status.stdout) == (3, True)
    (pid,) = emperor.daemons()
    os.kill(pid, signal.SIGKILL)
    emperor.until(lambda: "emperor: estranged: " in emperor.log(), "the next one is estranged")
    assert emperor.environments() == before
    decide(emperor, "adopt")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.environments() == before
    verified(emperor)
    emperor.stop()


def answered(app: Application) -> Answer:
    return until(app.answers, "it serves")


def waiting(emperor: Emperor) -> set[str]:
    """The vassals of which no process is known yet."""
    fleet = emperor.fleet()
    return {name for name in ("app.ini", "plain.ini", "late.ini") if not fleet.vassals[name].pid}


@pytest.mark.few(2)
@pytest.mark.parametrize("lost", [True, False], ids=["older", "whole"])
@pytest.mark.parametrize("lose", [remove, spoil])
def test_a_copy_is_restored(
    emperor: Emperor, app: Application, tmp_path: Path, lose: Lose, lost: bool
) -> None:
    before, last = emperor.environments(), emperor.last_seq()
    backup(emperor.journal, tmp_path / "whole.db")
    other = tmp_path / "other.db"
    with building(str(other)) as builder:
        builder.start()
    estrange(emperor, lose, tmp_path)
    if lose is spoil:
        assert "restore FILE" in emperor.ctl("adopt").stderr
    for bad, why in ((other, "another journal"), (tmp_path / "nosuch.db", "no such file")):
        refused = emperor.ctl("restore", str(bad))
        assert refused.returncode == 1
        assert why in refused.stderr
    copy = tmp_path / ("older.db" if lost else "whole.db")
    with Journal.open(str(copy)) as journal:
        count = last - journal.seq
    done = emperor.ctl("restore", str(copy))
    assert done.returncode == 0
    assert (f"{count} events are lost" in done.stdout) == lost
    emperor.until(lambda: emperor.log().count("emperor: ready: ") == 2, "it goes on")
    emperor.event("journal_adopted", file=str(copy))
    emperor.event("daemon_ready", after=last - count + 1)
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.environments() == before
    aside = list(emperor.state.glob("journal.db.replaced-*"))
    assert len(aside) == (lose is spoil)
    assert not list(emperor.state.glob("*.restoring*"))
    verified(emperor)
    emperor.stop()


@pytest.mark.slow
def test_copies_from_before_and_after_an_adoption_are_restored(
    emperor: Emperor, app: Application, tmp_path: Path
) -> None:
    """A process is another attempt in each of these journals. Its sockets follow it."""
    before, worker = emperor.environments(), answered(app)
    early = backup(emperor.journal, tmp_path / "early.db")
    estrange(emperor, remove, tmp_path)
    decide(emperor, "adopt")
    emperor.phase("app.ini", "accepting")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    late = backup(emperor.journal, tmp_path / "late.db")
    for copy in (early, late):
        estrange(emperor, remove, tmp_path)
        with Journal.open(str(copy)) as journal:
            last = journal.seq
        assert emperor.ctl("restore", str(copy)).returncode == 0
        assert emperor.event("adopted", "app.ini", after=last).body["control"]
        assert emperor.environments() == before
        assert answered(app) == worker
    emperor.until(lambda: emperor.log().count("emperor: ready: ") == 4, "it goes on")
    (emperor.vassals / "app.ini").write_text(app.config("changed"))
    emperor.until(lambda: answered(app).says == "changed", "it reloads in place")
    assert answered(app).master == worker.master
    verified(emperor)
    emperor.stop()


def test_a_copy_from_amid_a_start_is_restored(emperor: Emperor, tmp_path: Path) -> None:
    """It says once that it accepts, and that event is lost. The keeper knows it."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    app = Application(tmp_path, f"open({str(gate)!r}).close()\n{APP}")
    (emperor.vassals / "app.ini").write_text(app.config("hello"))
    emperor.start()
    emperor.up("app.ini")
    copy = backup(emperor.journal, tmp_path / "copy.db")
    gate.write_text("")
    worker = answered(app)
    before = emperor.environments()
    emperor.event("vassal_loyal", "app.ini")
    estrange(emperor, remove, tmp_path)
    assert emperor.ctl("restore", str(copy)).returncode == 0
    emperor.phase("app.ini", "accepting")
    with Journal.open(str(copy)) as journal:
        emperor.event("vassal_loyal", "app.ini", after=journal.seq)
    assert emperor.environments() == before
    assert answered(app) == worker
    verified(emperor)
    emperor.stop()


def make_it_a_directory(journal: Path) -> None:
    journal.mkdir()


def make_it_a_loop(journal: Path) -> None:
    journal.symlink_to(journal.name)


def lead_it_nowhere(journal: Path) -> None:
    journal.symlink_to(journal.parent / "unmounted" / "journal.db")


def write_it_by_a_newer_one(journal: Path) -> None:
    newer = journal.with_name("newer.db")
    with building(str(newer)) as builder:
        builder.start()
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('emperord', '9999_newer', '')"
        )
        connection.commit()
    newer.rename(journal)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("spoils", "reason"),
    [
        pytest.param(make_it_a_directory, "Is a directory", id="a directory"),
        pytest.param(make_it_a_loop, "Too many levels of symbolic links", id="a symlink to itself"),
        pytest.param(lead_it_nowhere, "that directory is not there", id="a symlink to nowhere"),
        pytest.param(write_it_by_a_newer_one, "written by a newer emperord", id="newer"),
    ],
)
def test_a_journal_that_cannot_be_opened_is_told_and_restored(
    emperor: Emperor,
    app: Application,
    tmp_path: Path,
    spoils: Callable[[Path], None],
    reason: str,
) -> None:
    """A daemon that ended and started over and over could not say what is wrong."""
    before = emperor.environments()
    copy = backup(emperor.journal, tmp_path / "whole.db")

    def lose(emperor: Emperor, older: Path) -> None:
        remove(emperor, older)
        spoils(emperor.journal)

    estrange(emperor, lose, tmp_path)
    status = emperor.ctl("status")
    assert status.returncode == 3
    assert reason in status.stdout
    assert emperor.ctl("adopt").returncode == 1
    assert not (emperor.journal.parent / "unmounted").exists()
    assert emperor.environments() == before
    if spoils is lead_it_nowhere:
        refused = emperor.ctl("restore", str(copy))
        assert (refused.returncode, "unmounted: " in refused.stderr) == (1, True)
        (emperor.journal.parent / "unmounted").mkdir()
    done = emperor.ctl("restore", str(copy))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(emperor.ctl("status", "--json").stdout)["estranged"] is None
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.environments() == before
    verified(emperor)
    emperor.stop()


def test_a_journal_that_can_be_opened_again_is_gone_on_with(
    emperor: Emperor, app: Application, tmp_path: Path
) -> None:
    """As after an error of the disk, or chattr(1), that is mended: no operator is needed."""
    before = emperor.environments()
    lock = emperor.journal.with_name(emperor.journal.name + ".lock")

    def lose(emperor: Emperor, older: Path) -> None:
        lock.unlink()
        lock.mkdir()

    estrange(emperor, lose, tmp_path)
    seq = emperor.last_seq()
    lock.rmdir()
    emperor.event("daemon_ready", after=seq)
    assert "it can be opened again" in emperor.log()
    assert emperor.environments() == before
    assert emperor.ctl("status").returncode == 0
    emperor.stop()


@pytest.fixture
def keeperless(emperor: Emperor, tmp_path: Path) -> Emperor:
    """An estranged daemon that cannot open its journal, and whose keeper has died."""
    (emperor.vassals / "plain.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("plain.ini")
    lock = lock_of(emperor)

    def lose(emperor: Emperor, older: Path) -> None:
        lock.unlink()
        lock.mkdir()

    estrange(emperor, lose, tmp_path)
    emperor.kill()
    emperor.until(lambda: "the keeper died" in emperor.log(), "it says so")
    assert "keeper died since" in emperor.ctl("status").stdout, emperor.ctl("status")
    return emperor


def lock_of(emperor: Emperor) -> Path:
    return emperor.journal.with_name(emperor.journal.name + ".lock")


def test_without_a_keeper_it_goes_on_with_a_journal_that_can_be_opened(
    keeperless: Emperor,
) -> None:
    emperor, plain = keeperless, keeperless.running_for("plain.ini")
    (daemon,) = emperor.daemons()
    refused = emperor.ctl("upgrade")
    assert (refused.returncode, "Is a directory" in refused.stderr) == (1, True), refused.stderr
    seq = emperor.last_seq()
    lock_of(emperor).rmdir()
    emperor.event("daemon_ready", after=seq)
    assert emperor.daemons() == [daemon]
    assert "keeper died since" in emperor.ctl("status").stdout
    seq = emperor.last_seq()
    emperor.start()  # it takes over
    until(lambda: daemon not in emperor.daemons(), "the one before has left")
    assert emperor.ctl("status").returncode == 0
    assert emperor.running_for("plain.ini") == plain
    verified(emperor)
    emperor.stop()


def test_an_emperor_takes_over_though_it_cannot_open_the_journal(keeperless: Emperor) -> None:
    """It is estranged as well, and has a keeper."""
    emperor, plain = keeperless, keeperless.running_for("plain.ini")
    (daemon,) = emperor.daemons()
    emperor.launch()
    until(lambda: daemon not in emperor.daemons(), "the one before has left")
    emperor.until(lambda: emperor.log().count("emperor: estranged: ") == 2, "it says so")
    assert "keeper died since" not in emperor.ctl("status").stdout
    seq = emperor.last_seq()
    lock_of(emperor).rmdir()
    emperor.event("daemon_ready", after=seq)
    assert emperor.running_for("plain.ini") == plain
    emperor.stop()


def move_directory(emperor: Emperor, away: Path) -> None:
    emperor.state.rename(away)


def move_files(emperor: Emperor, away: Path) -> None:
    away.mkdir()
    for path in (emperor.journal, *beside(emperor), lock_of(emperor)):
        path.rename(away / path.name)


def move_journal(emperor: Emperor, away: Path) -> None:
    away.mkdir()
    emperor.journal.rename(away / emperor.journal.name)


def bring_back(emperor: Emperor, away: Path) -> None:
    if not emperor.state.exists():
        away.rename(emperor.state)
        return
    for path in away.iterdir():
        path.rename(emperor.state / path.name)


MOVES = [
    pytest.param(move_directory, id="directory"),
    pytest.param(move_files, id="all files"),
    pytest.param(move_journal, id="journal.db alone"),
]


@pytest.mark.parametrize("move", MOVES)
def test_a_journal_that_was_away_is_gone_on_with(
    emperor: Emperor, app: Application, tmp_path: Path, move: Callable[[Emperor, Path], None]
) -> None:
    """As after umount and mount: no new journal is made meanwhile, and no operator is needed."""
    before, last, away = emperor.environments(), emperor.last_seq(), tmp_path / "away"

    def lose(emperor: Emperor, older: Path) -> None:
        move(emperor, away)

    estrange(emperor, lose, tmp_path)
    if move is not move_directory:  # in which the socket is, too
        status = emperor.ctl("status")
        assert (status.returncode, "is not there" in status.stdout) == (3, True)
    assert not emperor.journal.exists()
    bring_back(emperor, away)
    emperor.event("daemon_ready", after=last)
    assert emperor.environments() == before
    assert not list(emperor.state.glob("*.lost-*"))
    assert emperor.ctl("status").returncode == 0
    verified(emperor)
    emperor.stop()


@pytest.mark.parametrize("dies", [False, True], ids=["paused", "estranged"])
@pytest.mark.parametrize("move", MOVES[:2])
def test_no_second_emperor_starts_while_the_journal_is_away(
    emperor: Emperor,
    app: Application,
    tmp_path: Path,
    move: Callable[[Emperor, Path], None],
    dies: bool,
) -> None:
    before, last, away = emperor.environments(), emperor.last_seq(), tmp_path / "away"

    def lose(emperor: Emperor, older: Path) -> None:
        move(emperor, away)

    if dies:
        estrange(emperor, lose, tmp_path)
    else:
        lose(emperor, tmp_path)
    argv = [*emperor.argv, "--control", str(tmp_path / "other.sock")]
    for environ in (emperor.environ, {**emperor.environ, "RUNTIME_DIRECTORY": "/proc/nowhere"}):
        second = subprocess.run(
            argv, env=environ, check=False, capture_output=True, text=True, cwd=tmp_path
        )
        assert second.returncode == 3
        assert "put the journal back" in second.stderr + second.stdout
    assert not emperor.journal.exists()
    assert emperor.environments() == before
    bring_back(emperor, away)
    if dies:
        emperor.event("daemon_ready", after=last)
    emperor.until(lambda: emperor.ctl("status").returncode == 0, "it goes on")
    assert emperor.environments() == before
    emperor.stop()


def test_the_log_of_a_journal_that_was_given_up_is_kept(
    emperor: Emperor, app: Application, tmp_path: Path
) -> None:
    """A young journal has its events in the log only."""
    last, away = emperor.last_seq(), tmp_path / "away"

    def lose(emperor: Emperor, older: Path) -> None:
        move_journal(emperor, away)

    estrange(emperor, lose, tmp_path)
    decide(emperor, "adopt")
    (log,) = emperor.state.glob("journal.db-wal.lost-*")
    emperor.until(lambda: str(log) in emperor.ctl("status").stdout, "it is told")
    log.rename(away / "journal.db-wal")
    with closing(sqlite3.connect(away / "journal.db")) as journal:
        assert journal.execute("SELECT max(seq) FROM event").fetchone() >= (last,)
    emperor.stop()


def test_a_start_that_is_refused_leaves_no_journal(emperor: Emperor, tmp_path: Path) -> None:
    emperor.start()
    argv = [*emperor.argv, "--control", str(emperor.control), "--journal", str(tmp_path / "b.db")]
    second = subprocess.run(
        argv, env=emperor.environ, check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert (second.returncode, "another process listens there" in second.stderr) == (3, True)
    assert not list(tmp_path.glob("b.db*[!k]"))
    emperor.stop()


def test_the_socket_is_beside_the_link_to_a_journal(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    emperor = make_emperor()
    emperor.state.mkdir(exist_ok=True)
    emperor.journal.symlink_to(tmp_path / "real.db")
    emperor.start()
    assert emperor.control.exists()
    real = {**os.environ, "EMPEROR_JOURNAL": str(tmp_path / "real.db")}
    link = {**os.environ, "EMPEROR_JOURNAL": str(emperor.journal)}
    argv = [sys.executable, "-m", "emperord.daemon.ctl", "status"]
    assert subprocess.run(argv, env=link, check=False, capture_output=True).returncode == 0
    assert subprocess.run(argv, env=real, check=False, capture_output=True).returncode == 4
    emperor.stop()


def test_term_ends_daemon_and_keeper_and_the_next_is_estranged_too(
    emperor: Emperor, app: Application, tmp_path: Path
) -> None:
    """Programs run on, and no new keeper starts them a second time."""
    plain = emperor.running_for("plain.ini")
    estrange(emperor, remove, tmp_path)
    emperor.send(signal.SIGTERM)
    assert emperor.wait() == 3
    assert emperor.running_for("plain.ini") == plain
    emperor.launch()
    emperor.until(lambda: emperor.log().count("estranged: ") == 2, "it is estranged again")
    assert emperor.running_for("plain.ini") == plain
    decide(emperor, "adopt")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.running_for("plain.ini") == plain
    verified(emperor)
    emperor.stop()


def kill_both(emperor: Emperor, tmp_path: Path) -> None:
    """Kill keeper and daemon, and lose the journal."""
    pids = [emperor.pid, *emperor.daemons()]
    for pid in pids:
        processes.kill(pid)
    emperor.kill()
    until(lambda: not any(map(processes.alive, pids)), "both are dead")
    remove(emperor, tmp_path)


def leave(emperor: Emperor, tmp_path: Path) -> None:
    """Lose the journal and the daemon, and end the next one."""
    estrange(emperor, remove, tmp_path)
    emperor.send(signal.SIGTERM)
    assert emperor.wait() == 3


@pytest.mark.slow
def test_both_were_killed_and_the_journal_is_lost(
    emperor: Emperor, app: Application, tmp_path: Path
) -> None:
    """No keeper knows anything any more; the file in the runtime directory does."""
    plain = emperor.running_for("plain.ini")
    kill_both(emperor, tmp_path)
    emperor.launch()
    emperor.until(lambda: "estranged: " in emperor.log(), "it is estranged")
    decide(emperor, "adopt")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.running_for("plain.ini") == plain
    emperor.stop()


@pytest.mark.slow
def test_it_stays_so_over_kills_and_upgrades_and_hands_over(
    emperor: Emperor, app: Application, tmp_path: Path
) -> None:
    before = emperor.environments()
    estrange(emperor, remove, tmp_path)

    def again(count: int) -> None:
        emperor.until(lambda: emperor.log().count("estranged: ") == count, "it is estranged")
        assert emperor.environments() == before

    (pid,) = emperor.daemons()
    os.kill(pid, signal.SIGKILL)
    again(2)
    assert emperor.ctl("upgrade").returncode == 0
    again(3)
    emperor.kill()  # the keeper; a newcomer takes over from a daemon that is estranged
    emperor.launch()
    again(4)
    until(lambda: len(emperor.daemons()) == 1, "the one before has left")
    decide(emperor, "adopt")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.environments() == before
    verified(emperor)
    emperor.stop()


def test_what_no_source_has_is_left_alone_until_one_has(
    emperor: Emperor, app: Application, tmp_path: Path
) -> None:
    """One that is announced by a message is not listed when the daemon starts."""
    before = emperor.environments()
    estrange(emperor, remove, tmp_path)
    (emperor.vassals / "app.ini").rename(tmp_path / "app.ini")
    decide(emperor, "adopt")
    (pid, _) = emperor.running_for("app.ini")
    assert f"app.ini: process {pid} runs, and this journal does not know of it" in emperor.log()
    emperor.restart()
    status = emperor.ctl("status")
    assert status.returncode == 3
    assert f"app.ini: unknown process: process {pid} runs" in status.stdout
    worker = answered(app)
    (tmp_path / "app.ini").rename(emperor.vassals / "app.ini")
    emperor.phase("app.ini", "accepting")
    assert emperor.environments() == before
    assert answered(app) == worker
    assert emperor.ctl("status").returncode == 0
    verified(emperor)
    emperor.stop()


def test_addresses_on_demand_are_kept(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """One that serves is taken over, one that waits goes on waiting: no client is refused."""
    emperor = make_emperor("--on-demand-extension", ".socket")
    served, idle = Application(tmp_path), Application(tmp_path)
    for name, each in (("served", served), ("idle", idle)):
        (emperor.vassals / f"{name}.ini.socket").write_text(f"127.0.0.1:{each.port}")
        text = f"[uwsgi]\nmaster = true\nprotocol = http\nwsgi-file = {each.module}\n"
        (emperor.vassals / f"{name}.ini").write_text(text)
    emperor.start()
    worker = answered(served)
    emperor.event("vassal_loyal", "served.ini")
    before = emperor.environments()
    estrange(emperor, remove, tmp_path)
    assert answered(served) == worker
    decide(emperor, "adopt")
    emperor.phase("served.ini", "accepting")
    emperor.phase("idle.ini", "listening")
    assert emperor.environments() == before
    assert answered(served) == worker
    assert answered(idle).pid
    verified(emperor)
    emperor.stop()


@pytest.mark.few(1)
@pytest.mark.parametrize("lose", [kill_both, leave])
@pytest.mark.parametrize("kind", ["file", "port"])
def test_one_that_alone_has_its_address_on_demand_is_taken_over(
    make_emperor: MakeEmperor, tmp_path: Path, lose: Lose, kind: str
) -> None:
    """No keeper has the socket any more, and the address is in use until the process has ended."""
    address = str(tmp_path / "od.sock") if kind == "file" else f"127.0.0.1:{free_port()}"
    emperor = make_emperor("--on-demand-extension", ".socket")
    (emperor.vassals / "od.ini").write_text(SLEEPER)
    (emperor.vassals / "od.ini.socket").write_text(address)
    emperor.start()
    emperor.phase("od.ini", "listening")
    with connected(address):
        before = emperor.up("od.ini")
    lose(emperor, tmp_path)
    times = emperor.log().count("estranged: ")
    emperor.launch()
    emperor.until(lambda: emperor.log().count("estranged: ") > times, "it is estranged")
    decide(emperor, "adopt")
    emperor.phase("od.ini", "ready")
    assert emperor.up("od.ini") == before
    assert emperor.ctl("status").returncode == 0
    assert "listen failed" not in emperor.log()
    # It is in its hands: its death is known, and the address is bound again.
    processes.kill(before["od.ini"])
    emperor.phase("od.ini", "listening")
    seq = emperor.last_seq()
    with connected(address):
        emperor.event("spawned", "od.ini", after=seq)
    verified(emperor)
    emperor.stop()


def connected(address: str) -> socket.socket:
    """A client of this address, as soon as it is bound: it is recorded before that is done."""

    def client() -> socket.socket | None:
        host, _, port = address.rpartition(":")
        made = socket.socket(socket.AF_INET if host else socket.AF_UNIX)
        try:
            made.connect((host, int(port)) if host else address)
        except OSError:
            made.close()
            return None
        return made

    return until(client, f"{address} is bound")


def test_adopt_and_restore_are_refused_where_nothing_is_lost(emperor: Emperor) -> None:
    emperor.start()
    for words in (("adopt",), ("restore", "/x.db")):
        refused = emperor.ctl(*words)
        assert refused.returncode == 1
        assert "the daemon has its journal" in refused.stderr
    emperor.stop()


@pytest.mark.few(1)
@pytest.mark.parametrize("lives", [True, False], ids=["it runs", "it was killed"])
def test_adopt_waits_for_the_vassals_of_another_emperor(
    emperor: Emperor, app: Application, tmp_path: Path, lives: bool
) -> None:
    """The journal is another emperor's now, which runs vassals of the same names."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with Emperor(folder, "--freq", "0.2") as other:
        (other.vassals / "plain.ini").write_text(program("sleep", "2000"))
        other.start()
        theirs = other.up("plain.ini")["plain.ini"]
        before, worker = emperor.environments(), answered(app)
        first = backup(emperor.journal, tmp_path / "first.db")
        backup(other.journal, tmp_path / "older.db")
        estrange(emperor, put_back, tmp_path)
        if not lives:
            for pid in (other.pid, *other.daemons()):
                processes.kill(pid)
            other.kill()
        refused = emperor.ctl("adopt")
        assert refused.returncode == 1
        assert f"processes of it run: 1, such as {theirs} (plain.ini)" in refused.stderr
        assert "emperor-ctl restore FILE" in refused.stderr
        assert other.environments().keys() == {theirs}
        if lives:
            other.stop()
        else:
            processes.kill(theirs)
    assert emperor.environments() == before
    decide(emperor, "adopt")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    # Back on the journal that they were started for: they are nobody else's.
    first.rename(tmp_path / "older.db")
    estrange(emperor, put_back, tmp_path)
    decide(emperor, "adopt")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.environments() == before
    assert answered(app) == worker
    verified(emperor)
    emperor.stop()


# Copies


@pytest.fixture
def copy(emperor: Emperor, app: Application, tmp_path: Path, make_emperor: MakeEmperor) -> Emperor:
    """An emperor on a copy of the journal, which is in use; not started yet."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    other = Emperor(folder, "--freq", "0.2", monitors=[folder / "vassals"])
    other.state.mkdir()
    other.environ["RUNTIME_DIRECTORY"] = emperor.environ["RUNTIME_DIRECTORY"]
    backup(emperor.journal, other.journal)
    return other


@pytest.mark.few(1)
@pytest.mark.parametrize("locks", ["seen", "elsewhere", "none"])
def test_a_copy_beside_the_live_one_is_refused(
    emperor: Emperor, copy: Emperor, tmp_path: Path, locks: str
) -> None:
    before = emperor.environments()
    if locks == "elsewhere":
        copy.environ["RUNTIME_DIRECTORY"] = str(tmp_path / "another")
    elif locks == "none":
        shutil.rmtree(emperor.environ["RUNTIME_DIRECTORY"])
    with copy:
        assert copy.launch().wait() == 3
        (line,) = copy.log().splitlines()
    assert "a copy of a journal that is in use" in line
    assert "--restore" in line
    assert emperor.environments() == before
    emperor.stop()


def test_a_copy_is_refused_though_the_original_runs_nothing(
    emperor: Emperor, tmp_path: Path
) -> None:
    """All its vassals may wait for a first request, or for an operator."""
    emperor.start()
    (tmp_path / "elsewhere").mkdir()
    with Emperor(tmp_path / "elsewhere", monitors=[emperor.vassals]) as other:
        other.state.mkdir()
        other.environ["RUNTIME_DIRECTORY"] = str(tmp_path / "another")
        backup(emperor.journal, other.journal)
        assert other.launch().wait() == 3
        assert f"in use ({emperor.journal}, emperor {emperor.pid})" in other.log()
    emperor.stop()


@pytest.mark.slow
def test_a_copy_is_refused_while_the_original_is_between_two_daemons(
    emperor: Emperor, copy: Emperor
) -> None:
    """The keeper holds the lock."""
    (pid,) = emperor.daemons()
    os.kill(emperor.pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not processes.alive(pid), "the daemon is dead")
    with copy:
        assert copy.launch().wait() == 3
    os.kill(emperor.pid, signal.SIGCONT)
    emperor.daemon_pid()
    emperor.stop()


@pytest.mark.slow
def test_a_copy_is_refused_though_the_originals_keeper_and_directory_of_locks_are_gone(
    emperor: Emperor, copy: Emperor, tmp_path: Path
) -> None:
    """Its daemon has the journal, and its vassals have no emperor above them."""
    emperor.kill_daemon()
    emperor.daemon_pid()
    shutil.rmtree(emperor.environ["RUNTIME_DIRECTORY"])
    (pid,) = emperor.daemons()
    emperor.kill()
    before = emperor.environments()
    copy.environ["RUNTIME_DIRECTORY"] = str(tmp_path / "another")
    with copy:
        assert copy.launch().wait() == 3
        assert f"in use ({emperor.journal}, emperor {pid})" in copy.log()
    assert emperor.environments() == before
    emperor.launch()  # takes over
    until(lambda: emperor.daemons() not in ([], [pid]), "another daemon is there")
    emperor.daemon_pid()
    emperor.stop()


@pytest.mark.slow
def test_a_copy_starts_anew_whatever_carries_the_originals_identity(
    emperor: Emperor, copy: Emperor
) -> None:
    """Its vassals have no emperor above them after a takeover, and any process can imitate one."""
    emperor.kill()
    emperor.launch()
    emperor.until(lambda: "taking over" in emperor.log(), "it takes over")
    emperor.daemon_pid()
    before = emperor.environments()
    copy.options.append("--restore")
    (copy.vassals / "plain.ini").write_text(SLEEPER)
    with copy:
        copy.start()
        copy.phase("plain.ini", "ready")
        assert copy.events("journal_forked")
        copy.stop()
    assert emperor.environments() == before
    emperor.stop()


def test_a_copy_with_an_identity_of_its_own_starts_anew(emperor: Emperor, copy: Emperor) -> None:
    before = emperor.environments()
    (copy.vassals / "plain.ini").write_text(SLEEPER)
    copy.options.append("--restore")
    with copy:
        copy.start()
        (forked,) = copy.events("journal_forked")
        assert forked.body["path"] == str(copy.journal)
        copy.phase("plain.ini", "ready")
        mine = copy.pid_of("plain.ini")
        assert mine not in before
        verified(copy)
        copy.restart()  # with the same option, as a unit has it
        assert copy.pid_of("plain.ini") == mine
        for pid in (copy.pid, *copy.daemons()):
            processes.kill(pid)
        copy.kill()
        copy.start()
        assert len(copy.events("journal_forked")) == 1
        assert copy.pid_of("plain.ini") == mine
        assert "does not know of it" not in copy.log()  # of the original's, which are strangers
        copy.stop()
    assert emperor.environments() == before
    emperor.stop()


def test_a_new_journal_does_not_name_what_others_run(
    emperor: Emperor, app: Application, daemon: Daemon, tmp_path: Path
) -> None:
    """Neither those of another living emperor, nor those whose emperor has died."""
    for pid in (emperor.pid, *emperor.daemons()):
        processes.kill(pid)
    emperor.kill()
    with Daemon(tmp_path, "--freq", "0.2", monitors=[tmp_path / "none"]) as other:
        other.journal = tmp_path / "new" / "journal.db"
        (tmp_path / "none").mkdir()
        other.start()
        assert "process" not in other.log()
        other.send(signal.SIGTERM)
        assert other.wait() == 0
    assert emperor.running_for("plain.ini")
