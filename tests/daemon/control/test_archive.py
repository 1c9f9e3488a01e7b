"""``emperor-ctl archive``: older events leave the journal while its daemon works."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from emperord.replay.verify import verify
from journal_builder import building, busy_fleet
from support import processes
from support.archives import content, joined, sql
from support.asking import asked, refused
from support.descriptors import descriptors
from support.kept import Emperor
from support.vassals import SLEEPER, shell
from support.waiting import until

from ..conftest import MakeEmperor

EVENTS = 12_000
CUT = 11_000
ARCHIVE = ("archive", "--before", f"@{CUT + 1}")
NAME = f"1-{CUT}.db"
OLD = b"[uwsgi]\nold = 1\n"  # a text that no later event names
WORK = "emperord.replay.for_daemon"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "journal.db"
    with building(str(path), group=500) as builder:
        builder.at += os.getpid()  # an identity of its own, as daemons run on it
        busy_fleet(builder, 1000, 10)
        builder.changed("app001.ini", OLD)
        builder.accepting("app001.ini")
        busy_fleet(builder, EVENTS, 10)
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    return path


@pytest.fixture
def emperor(make_emperor: MakeEmperor, pristine: Path) -> Emperor:
    """A daemon that goes on with that journal."""
    emperor = make_emperor()
    emperor.state.mkdir()
    shutil.copy(pristine, emperor.journal)
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    return emperor


@contextlib.contextmanager
def asking(emperor: Emperor, *words: str) -> Iterator[subprocess.Popen[str]]:
    """``emperor-ctl``, which is not waited for."""
    with subprocess.Popen(
        [*emperor.ctl_argv, *words, "--json"], env=emperor.environ,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        yield process


def archives(emperor: Emperor) -> Path:
    return emperor.journal.with_name("journal.db.archives")


def ends(emperor: Emperor, pipe: str) -> int:
    """The ends of a pipe that the daemon has open."""
    return sum(target == pipe for _, target in descriptors(emperor.daemon_pid()))


def begin(emperor: Emperor) -> int:
    """The event behind which the journal begins."""
    ((seq,),) = sql(emperor.journal, "SELECT seq FROM chain WHERE name = 'anchor'")
    return int(seq)


def workers(emperor: Emperor) -> list[int]:
    """The processes that write an archive."""
    return [
        pid for pid in processes.children_of(emperor.daemon_pid()) if WORK in processes.argv_of(pid)
    ]


def check(emperor: Emperor, pristine: Path) -> None:
    """Both files have all events once, and say what the journal said."""
    emperor.stop()
    file, journal = archives(emperor) / NAME, emperor.journal
    kept, old, new = content(pristine), content(file), content(journal)
    assert old["event"] == kept["event"][:CUT]
    assert (old["event"] + new["event"])[: len(kept["event"])] == kept["event"]
    assert [name for name in os.listdir(archives(emperor)) if name != NAME] == []
    assert {**dict(old["config"]), **dict(new["config"])}.items() >= dict(kept["config"]).items()
    assert OLD not in dict(new["config"]).values()
    ((body,),) = sql(journal, "SELECT body FROM event WHERE kind = 'journal_archived'")
    assert (json.loads(body)["first"], json.loads(body)["through"]) == (1, CUT)
    for verdict in (
        verify(str(file)), verify(str(journal)), verify(str(journal), archives=[str(file)])
    ):  # fmt: skip
        assert verdict.exit_code == 0, verdict.audit.findings
    for command in (f"history --json --until @{CUT + 500}", f"why app001.ini --at @{CUT - 50}"):
        said = joined(file, journal, command=command)
        assert (said.exit_code, said.stdout) == (0, joined(pristine, command=command).stdout)


def test_older_events_leave_and_new_ones_come(emperor: Emperor, pristine: Path) -> None:
    with asking(emperor, *ARCHIVE) as process:
        count = 0
        while process.poll() is None:
            count += 1
            (emperor.vassals / f"new{count}.ini").write_text(SLEEPER)
            emperor.event("vassal_added", f"new{count}.ini")
        assert process.stdout is not None
        done = json.load(process.stdout)
    assert count > 1
    assert {**done, "event": 0, "bytes_before": 0, "bytes_after": 0} == {
        "journal": str(emperor.journal), "archive": str(archives(emperor) / NAME),
        "first": 1, "last": CUT, "event": 0, "bytes_before": 0, "bytes_after": 0,
    }  # fmt: skip
    assert os.stat(done["archive"]).st_mode & 0o777 == 0o600
    assert done["bytes_after"] < 0.6 * done["bytes_before"]
    assert asked(emperor, "status")["attention"] == []  # the guard of the file knows of that
    ((kind,),) = sql(emperor.journal, "SELECT kind FROM event WHERE seq = ?", done["event"])
    assert kind == "journal_archived"
    said = emperor.ctl(*ARCHIVE).stdout
    assert said == f"{emperor.journal}: nothing to archive: no event is from before that time\n"
    check(emperor, pristine)


def test_a_reader_that_stays_delays_the_room_but_not_the_answer(emperor: Emperor) -> None:
    with contextlib.closing(sqlite3.connect(emperor.journal, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM event").fetchall()
        done = asked(emperor, *ARCHIVE)
        assert done["bytes_after"] >= done["bytes_before"]
    emperor.stop()
    assert emperor.journal.stat().st_size < 0.6 * done["bytes_before"]


def is_begun(emperor: Emperor) -> bool:
    return (archives(emperor) / f"{NAME}.unfinished").exists()


def is_published(emperor: Emperor) -> bool:
    return (archives(emperor) / NAME).exists()


def is_being_cut(emperor: Emperor) -> bool:
    return begin(emperor) > 0


def is_cut(emperor: Emperor) -> bool:
    return begin(emperor) == CUT


STEPS = [is_begun, is_published, is_being_cut, is_cut]


@pytest.mark.parametrize("step", STEPS)
def test_a_daemon_that_is_killed_at_a_step_is_gone_on_from(
    step: Callable[[Emperor], bool], emperor: Emperor, pristine: Path
) -> None:
    with asking(emperor, *ARCHIVE) as process:
        emperor.until(lambda: step(emperor), step.__name__)
        pids = workers(emperor)
        emperor.kill_daemon()
        assert process.wait() in (0, 4)
    emperor.until(lambda: not any(map(processes.alive, pids)), "its process ends with it")
    emperor.daemon_pid()
    verdict = verify(str(emperor.journal))
    assert verdict.exit_code == 0, verdict.audit.findings
    done = asked(emperor, *ARCHIVE)
    assert begin(emperor) == CUT
    assert done["archive"] in (None, str(archives(emperor) / NAME))
    check_texts_may_be_left(emperor, pristine, step)


def check_texts_may_be_left(
    emperor: Emperor, pristine: Path, step: Callable[[Emperor], bool]
) -> None:
    """Texts that were to be removed last go with the next archive."""
    if step is is_cut:
        done = asked(emperor, "archive", "--before", f"@{CUT + 101}")
        assert done["first"] == CUT + 1
        Path(done["archive"]).rename(emperor.folder / "next.db")
        emperor.stop()
        assert OLD not in dict(content(emperor.journal)["config"]).values()
        return
    check(emperor, pristine)


@pytest.mark.parametrize("step", STEPS[:1])
def test_a_process_that_is_killed_leaves_nothing(
    step: Callable[[Emperor], bool], emperor: Emperor, pristine: Path
) -> None:
    with asking(emperor, *ARCHIVE) as process:
        emperor.until(lambda: step(emperor), step.__name__)
        for pid in workers(emperor):
            os.kill(pid, signal.SIGKILL)
        assert process.wait() == 1
        assert process.stderr is not None
        assert "ended with code -9; ask again" in process.stderr.read()
    assert begin(emperor) == 0
    asked(emperor, *ARCHIVE)
    check(emperor, pristine)


def test_a_client_that_leaves_ends_it(emperor: Emperor) -> None:
    with asking(emperor, *ARCHIVE) as process:
        (pid,) = emperor.until(lambda: workers(emperor), "it began")
        os.kill(pid, signal.SIGSTOP)  # it shall not be over before the daemon knows
        assert "is being made; ask later" in refused(emperor, *ARCHIVE)
        process.kill()
        pipe = os.readlink(f"/proc/{pid}/fd/0")  # the daemon has both ends, and closes one
        emperor.until(lambda: ends(emperor, pipe) == 1, "the daemon lets go of it")
        os.kill(pid, signal.SIGCONT)
    emperor.until(lambda: not processes.alive(pid), "it ended")
    assert begin(emperor) == 0
    emperor.until(lambda: emperor.ctl(*ARCHIVE).returncode == 0, "another may begin")


def test_what_is_refused(emperor: Emperor, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_text("x")
    told: dict[str, Any] = {
        f"{other}: is there already, and is no archive": ("-o", str(other)),
        f"{emperor.journal}: is there already": ("-o", str(emperor.journal)),
        "its directory is not there; make it": ("-o", str(tmp_path / "no" / "x.db")),
    }
    for said, words in told.items():
        assert said in refused(emperor, *ARCHIVE, *words)
    assert other.read_text() == "x"
    assert begin(emperor) == 0
    assert emperor.until(lambda: emperor.events("request_refused"), "they are recorded")


def test_no_room_changes_nothing(emperor: Emperor) -> None:
    """The folder of the archives cannot be made: a file has its name."""
    archives(emperor).write_text("")
    assert "cannot be used" in refused(emperor, *ARCHIVE)
    assert begin(emperor) == 0
    with contextlib.closing(sqlite3.connect(emperor.journal)) as db:
        assert db.execute("SELECT min(seq) FROM event").fetchall() == [(1,)]


def archive_through(emperor: Emperor, seq: int) -> None:
    """Have the daemon archive its events up to this one. The last 100 events stay."""
    for number in range(110):
        (emperor.vassals / f"{number}.ini").write_text(
            "[emperor]\ncommand = /nowhere/to/be/found\n"
        )
    until(lambda: emperor.last_seq() > seq + 110, "more events than stay")
    done = emperor.ctl("archive", "--before", f"@{seq + 1}")
    assert begin(emperor) == seq, done.stdout


def test_a_process_whose_start_was_archived_is_known_to_the_next_daemon(
    make_emperor: MakeEmperor,
) -> None:
    """It is adopted with its mark, by which all of its descendants end with it."""
    emperor = make_emperor()
    (emperor.vassals / "a.ini").write_text(shell("setsid sleep 1000 & exec sleep 1000"))
    emperor.start()
    emperor.up("a.ini")

    def its() -> int:
        marks = [each["EMPERORD_ATTEMPT"] for each in emperor.environments().values()]
        return sum(mark.endswith(".a.ini") for mark in marks)

    until(lambda: its() == 2, "it has a child")
    seq = emperor.last_seq()
    archive_through(emperor, seq)
    os.kill(emperor.daemon_pid(), signal.SIGKILL)
    assert emperor.ctl("stop", "a.ini").returncode == 0
    until(lambda: its() == 0, "its child has ended with it")
    emperor.stop()


def test_a_process_of_an_attempt_whose_end_was_archived_is_not_taken_over(
    make_emperor: MakeEmperor,
) -> None:
    """It has the marks of the attempt, and was hidden when that was ended."""
    emperor = make_emperor()
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    former = emperor.up("a.ini")["a.ini"]
    marks = emperor.environments()[former]
    assert emperor.ctl("stop", "a.ini").returncode == 0
    with subprocess.Popen(["sleep", "1000"], env=marks, start_new_session=True) as left:
        try:
            seq = emperor.last_seq()
            archive_through(emperor, seq)
            emperor.restart()
            assert emperor.ctl("start", "a.ini").returncode == 0
            spawned = emperor.event("spawned", "a.ini", after=seq)
            assert spawned.body["pid"] not in (former, left.pid)
            assert f"process {left.pid} runs, and this journal" not in emperor.log()
        finally:
            left.kill()
