"""``emperor-replay archive``: older events in a file of their own, which is read as one with it."""

import fcntl
import lzma
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from emperord.daemon.core.fleet import from_json, to_json
from emperord.journal import archive_file, chain
from emperord.journal.store import Journal
from emperord.journal.times import EventNumber
from emperord.replay import archiving
from emperord.replay.main import cli
from emperord.replay.verify import verify
from journal_builder import building, busy_fleet
from support.replaying import asking

CHAOS: Final = Path(__file__).parent.parent / "recorded" / "0.1.0" / "chaos.db.xz"
NEWEST: Final = sorted((Path(__file__).parent.parent / "recorded" / "shapes").glob("*.db.xz"))[-1]
EVENTS: Final = 400
ask = asking()
archive = asking("archive")


def write(path: Path, events: int = EVENTS) -> Path:
    with building(str(path), group=20, snapshot_every=50) as builder:
        busy_fleet(builder, events // 4, 4)
        builder.changed("app001.ini", b"[uwsgi]\nold = 1\n")
        builder.accepting("app001.ini")
        busy_fleet(builder, events // 2, 4)
        builder.checkpoint()
        busy_fleet(builder, events, 4)
        builder.changed("app001.ini", b"[uwsgi]\nnew = 1\n")
        builder.accepting("app001.ini")
        builder.checkpoint()
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    return path


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("pristine") / "journal.db")


@pytest.fixture
def journal(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(pristine, tmp_path / "journal.db"))


@pytest.fixture
def few_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that short journals can be cut."""
    monkeypatch.setattr(archiving, "KEPT", 3)


def at(path: Path, seq: int, file: Path) -> Result:
    return archive(path, "--before", f"@{seq + 1}", "-o", str(file))


def cut(path: Path, seq: int, file: Path) -> None:
    """Archive up to an event."""
    result = at(path, seq, file)
    assert (result.exit_code, result.stderr) == (0, "")


def joined(*paths: Path, command: str) -> Result:
    named = [each for path in paths for each in ("--journal", str(path))]
    return CliRunner().invoke(cli, [*named, *command.split()])


def sql(path: Path, query: str, *parameters: Any) -> list[Any]:
    with closing(sqlite3.connect(path)) as db, db:
        return db.execute(query, parameters).fetchall()


def content(path: Path) -> dict[str, list[Any]]:
    """All that a journal holds."""
    tables = ("event", "config", "snapshot", "chain", "deploy")
    return {table: sql(path, f"SELECT * FROM {table}") for table in tables}


# The two files say what the one said


@pytest.mark.parametrize(
    "command",
    [
        "events --until @404",
        "history --json",
        "state --seq 30",
        "show app001.ini --seq 60",
        "blame app001.ini",
        "search turn",
    ],
)
def test_they_answer_as_the_journal_did(
    command: str, journal: Path, pristine: Path, tmp_path: Path
) -> None:
    cut(journal, 200, tmp_path / "old.db")
    expected = joined(pristine, command=command)
    result = joined(tmp_path / "old.db", journal, command=command)
    assert expected.exit_code == result.exit_code == 0
    assert result.stdout == expected.stdout
    assert "old.db" not in result.stderr


@pytest.mark.parametrize("seq", [1, 49, 50, 51, 150, 303])
def test_both_verify_alone_and_together(seq: int, journal: Path, tmp_path: Path) -> None:
    file, before = tmp_path / "old.db", content(journal)
    cut(journal, seq, file)
    head = len(before["event"]) + 1
    for verdict, events in [
        (verify(str(file)), seq),
        (verify(str(journal)), head - seq),
        (verify(str(journal), archives=[str(file)]), head),
    ]:
        assert (verdict.exit_code, verdict.events) == (0, events), verdict.audit.findings
    assert verify(str(file)).open_end is None
    assert (
        sql(file, "SELECT * FROM event") + sql(journal, "SELECT * FROM event WHERE seq < ?", head)
        == (before["event"])
    )
    ((kind, said),) = sql(journal, "SELECT kind, body FROM event WHERE seq = ?", head)
    assert kind == "journal_archived"
    assert re.search(rf'"file":"old.db","first":1,.*"through":{seq},', said)


def test_texts_go_with_the_events_that_name_them_and_shared_ones_are_in_both(
    journal: Path, tmp_path: Path
) -> None:
    file, all_ = tmp_path / "old.db", dict(content(journal)["config"])
    cut(journal, 200, file)
    old, new = dict(content(file)["config"]), dict(content(journal)["config"])
    assert {**old, **new} == all_
    assert old.keys() & new.keys()
    assert [old[each] for each in old.keys() - new.keys()] == [b"[uwsgi]\nold = 1\n"]
    assert b"[uwsgi]\nnew = 1\n" in [new[each] for each in new.keys() - old.keys()]


def test_the_file_gets_smaller(journal: Path, tmp_path: Path) -> None:
    before = journal.stat().st_size
    cut(journal, 300, tmp_path / "old.db")
    assert journal.stat().st_size < 0.6 * before
    assert sql(journal, "PRAGMA freelist_count") == [(0,)]


@pytest.mark.usefixtures("few_stay")
@pytest.mark.parametrize("packed", [CHAOS, NEWEST], ids=["0.1.0", "newest"])
def test_a_journal_of_older_rules_and_one_with_all_kinds_stay_verifiable(
    packed: Path, tmp_path: Path
) -> None:
    path, file = tmp_path / "journal.db", tmp_path / "old.db"
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    ((head,),) = sql(path, "SELECT max(seq) FROM event")
    ((fork,),) = sql(path, "SELECT coalesce(min(seq), 9999) FROM event WHERE kind LIKE '%forked'")
    cut(path, min(head // 2, fork - 1), file)
    assert [verify(str(each)).exit_code for each in (file, path)] == [0, 0]
    assert verify(str(path), archives=[str(file)]).exit_code == 0


def test_a_daemons_journal_goes_on(journal: Path, tmp_path: Path) -> None:
    cut(journal, 300, tmp_path / "old.db")
    identity = sql(tmp_path / "old.db", "SELECT hash FROM event WHERE seq = 1")
    with Journal.open(str(journal)) as live:
        assert live.head is not None
        assert [(live.head.identity,)] == identity
    with building(str(journal)) as builder:
        builder.start()
        builder.changed("app001.ini", b"[uwsgi]\nnew = 1\n")
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    assert verify(str(journal), archives=[str(tmp_path / "old.db")]).exit_code == 0


# Several archives


def test_two_in_a_row_are_read_in_any_order(journal: Path, pristine: Path, tmp_path: Path) -> None:
    files = [tmp_path / "1.db", tmp_path / "2.db"]
    cut(journal, 120, files[0])
    cut(journal, 260, files[1])
    command = "events --until @404"
    expected = joined(pristine, command=command).stdout
    for order in ([*files, journal], [journal, *files], [files[1], journal, files[0]]):
        assert joined(*order, command=command).stdout == expected
    assert joined(*files, command="verify").stdout.startswith(f"{files[1]}: verified: 260 events")


def test_one_between_is_missing(journal: Path, tmp_path: Path) -> None:
    cut(journal, 120, tmp_path / "1.db")
    cut(journal, 260, tmp_path / "2.db")
    result = joined(tmp_path / "1.db", journal, command="verify")
    assert result.exit_code == 3
    assert "begins behind event 260" in result.stderr
    assert "ends with event 120; give the archive of the events between them" in result.stderr


def test_estranged_journals_are_not_joined(journal: Path, tmp_path: Path) -> None:
    """A copy went on by itself from the archived part on."""
    file, copy = tmp_path / "old.db", Path(shutil.copy(journal, tmp_path / "copy.db"))
    cut(journal, 200, file)
    rewritten(copy, 150)
    cut(copy, 200, tmp_path / "other.db")
    result = joined(tmp_path / "other.db", journal, command="verify")
    assert result.exit_code == 3
    assert "does not go on from it: event 200 has another hash" in result.stderr
    assert joined(tmp_path / "old.db", journal, command="verify").exit_code == 0


def rewritten(path: Path, seq: int) -> None:
    """Make the chain anew from an event on, whose time is a little later."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE event SET at = at + 1 WHERE seq = ?", (seq,))
        ((before,),) = db.execute("SELECT hash FROM event WHERE seq = ?", (seq - 1,))
        rows = db.execute("SELECT * FROM event WHERE seq >= ?", (seq,)).fetchall()
        for *columns, _ in rows:
            before = chain.link(before, tuple(columns))
            db.execute("UPDATE event SET hash = ? WHERE seq = ?", (before, columns[0]))
            db.execute("UPDATE snapshot SET hash = ? WHERE seq = ?", (before, columns[0]))
        db.execute("UPDATE chain SET hash = ? WHERE name = 'head'", (before,))
        db.execute("DELETE FROM snapshot WHERE seq >= ?", (seq,))  # with that time in them


def test_hosts_are_merged_as_before(journal: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.db", 40)
    cut(journal, 200, tmp_path / "old.db")
    result = joined(journal, other, tmp_path / "old.db", command="events --json")
    assert result.exit_code == 0
    counts = [len(content(each)["event"]) for each in (other, journal, tmp_path / "old.db")]
    assert result.stdout.count('"host":"other"') == counts[0]
    assert result.stdout.count('"host":"journal"') == counts[1] + counts[2]


# Nothing to do, and refusals


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("2020-01-01", "no event is from before that time"),
        ("@1", "no event is from before that time"),
    ],
)
def test_nothing_is_older(before: str, said: str, journal: Path, tmp_path: Path) -> None:
    kept = content(journal)
    result = archive(journal, "--before", before, "-o", str(tmp_path / "old.db"))
    assert (result.exit_code, result.stdout) == (0, f"{journal}: nothing to archive: {said}\n")
    assert content(journal) == kept
    assert not (tmp_path / "old.db").exists()


def test_a_time_in_the_future_leaves_the_last_events(journal: Path, tmp_path: Path) -> None:
    result = archive(journal, "--before", "2099-01-01", "-o", str(tmp_path / "old.db"), "--json")
    assert '"first":1,' in result.stdout
    ((count, last),) = sql(journal, "SELECT count(*), max(seq) FROM event")
    assert count == archiving.KEPT + 1
    assert f'"event":{last},' in result.stdout


def foreign(path: Path) -> None:
    path.write_text("a letter")


def other_journal(path: Path) -> None:
    write(path, 30)


@pytest.mark.parametrize("make", [foreign, other_journal])
def test_a_file_in_the_way_stays(make: Any, journal: Path, tmp_path: Path) -> None:
    file, kept = tmp_path / "old.db", content(journal)
    make(file)
    before = file.read_bytes()
    result = at(journal, 200, file)
    assert result.exit_code == 1
    assert "is there already, and is no archive of these events" in result.stderr
    assert (file.read_bytes(), content(journal)) == (before, kept)


def test_the_journal_itself_and_a_later_copy_are_no_archives(journal: Path, tmp_path: Path) -> None:
    copy, kept = Path(shutil.copy(journal, tmp_path / "copy.db")), content(journal)
    for file in (journal, copy):
        result = at(journal, 200, file)
        assert result.exit_code == 1
        assert "is no archive of these events" in result.stderr
    assert content(journal) == kept


def test_a_missing_directory_is_named(journal: Path, tmp_path: Path) -> None:
    kept = content(journal)
    result = at(journal, 200, tmp_path / "none" / "old.db")
    assert result.exit_code == 1
    assert "old.db: its directory is not there; make it, or name another file" in result.stderr
    assert content(journal) == kept


def test_a_journal_in_use_is_refused(journal: Path, tmp_path: Path) -> None:
    with Journal.open(str(journal)):
        result = at(journal, 200, tmp_path / "old.db")
    assert result.exit_code == 1
    assert "in use by a running emperor" in result.stderr
    assert not (tmp_path / "old.db").exists()


def test_the_journal_of_a_keeper_that_waits_is_refused(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    ((identity,),) = sql(journal, "SELECT hex(hash) FROM event WHERE seq = 1")
    with open(tmp_path / f"{identity[:16].lower()}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = at(journal, 200, tmp_path / "old.db")
    assert result.exit_code == 1
    assert "an emperor has its identity" in result.stderr
    assert at(journal, 200, tmp_path / "old.db").exit_code == 0


def test_a_damaged_journal_is_not_cut(journal: Path, tmp_path: Path) -> None:
    sql(journal, "UPDATE event SET at = at + 1 WHERE seq = 100")
    kept = content(journal)
    result = at(journal, 200, tmp_path / "old.db")
    assert result.exit_code == 1
    assert "event 100 is not what was written" in result.stderr
    assert content(journal) == kept
    assert [each.name for each in tmp_path.glob("old*")] == []


def test_a_lost_text_is_not_moved(journal: Path, tmp_path: Path) -> None:
    ((digest,),) = sql(
        journal, "SELECT json_extract(body, '$.spec.config') FROM event WHERE seq = 3"
    )
    sql(journal, "DELETE FROM config WHERE digest = ?", digest)
    kept = content(journal)
    result = at(journal, 200, tmp_path / "old.db")
    assert result.exit_code == 1
    assert f"the archive would not verify: config {digest}: the text is missing" in result.stderr
    assert content(journal) == kept
    assert [each.name for each in tmp_path.glob("old*")] == []


def test_an_event_that_gives_a_copy_its_identity_stays(journal: Path, tmp_path: Path) -> None:
    with building(str(journal)) as builder:
        fork = builder.event("journal_forked", identity="a" * 64, path="x", device=1, inode=2)
        busy_fleet(builder, EVENTS + 200, 4)
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    assert at(journal, fork + 50, tmp_path / "old.db").exit_code == 0
    assert sql(journal, "SELECT min(seq) FROM event") == [(fork,)]
    result = at(journal, fork + 50, tmp_path / "more.db")
    assert f"nothing to archive: event {fork} stays" in result.stdout


# Reading the cut journal


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("state --seq 30", "event 30 is not in this file"),
        ("undo 20", "event 20 is not in this file"),
        ("state --at 2026-11-24T06:00:30Z", "that was before event 201"),
    ],
)
def test_it_names_the_archive(command: str, said: str, journal: Path, tmp_path: Path) -> None:
    cut(journal, 200, tmp_path / "old.db")
    result = joined(journal, command=command)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "look in the archive old.db: give it by another --journal" in result.stderr


def test_undo_names_both(journal: Path, tmp_path: Path) -> None:
    cut(journal, 200, tmp_path / "old.db")
    result = joined(tmp_path / "old.db", journal, command="undo 20")
    assert f"--journal {tmp_path / 'old.db'} --journal {journal} show" in result.stdout


def test_another_fleet_at_the_beginning_is_found(journal: Path, tmp_path: Path) -> None:
    cut(journal, 200, tmp_path / "old.db")
    ((packed,),) = sql(journal, "SELECT fleet FROM snapshot WHERE seq = 200")
    fleet = from_json(zlib.decompress(packed))
    fleet.vassals["app001.ini"].deaths += 1
    packed = zlib.compress(to_json(fleet))
    sql(
        journal,
        "UPDATE snapshot SET fleet = ?, check_sum = ? WHERE seq = 200",
        packed,
        chain.digest(packed),
    )
    verdict = verify(str(journal))
    assert verdict.exit_code == 3
    assert "another fleet than the archive ends with" in str(verdict.audit.findings)
    result = joined(tmp_path / "old.db", journal, command="verify")
    assert result.exit_code == 3
    assert "it begins with another fleet than its archive ends with" in result.stderr


# Crashes


@pytest.mark.parametrize("step", ["publish", "shorten", "_compact"])
def test_a_run_that_was_ended_is_gone_on_with(
    step: str, journal: Path, pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, kept = tmp_path / "old.db", content(journal)["event"]

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(archive_file, step, end)
        with pytest.raises(KeyboardInterrupt):
            archiving.archive(str(journal), EventNumber(201), str(file), lambda *_: None)
    # Some time has passed, so later events are old by now.
    if step != "_compact":
        cut(journal, 250, file)
    events = [seq for (seq,) in sql(file, "SELECT seq FROM event")]
    events += [seq for (seq,) in sql(journal, "SELECT seq FROM event")]
    assert events == list(range(1, len(kept) + 2))
    assert joined(file, journal, command="verify").exit_code == 0
    assert joined(pristine, command="history --json").stdout == (
        joined(file, journal, command="history --json").stdout
    )


def started(journal: Path, file: Path, limit: int | None = None) -> subprocess.Popen[str]:
    """Archive up to event 200 in a process that can write files of ``limit`` bytes at most."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", "emperord.replay.main", "--journal", str(journal)]
    return subprocess.Popen(
        [*command, "archive", "--before", "@201", "-o", str(file)],
        preexec_fn=limited, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def check_nothing_is_lost(journal: Path, file: Path, kept: dict[str, list[Any]]) -> None:
    """Archive again, after a run that may have ended anywhere."""
    if not file.exists() or len(content(journal)["event"]) == len(kept["event"]):
        assert content(journal) == kept
        cut(journal, 200, file)
    assert not file.with_name("old.db.unfinished").exists()
    old, new = content(file), content(journal)
    assert old["event"] + new["event"][:-1] == kept["event"]
    assert {**dict(old["config"]), **dict(new["config"])} == dict(kept["config"])
    assert joined(file, journal, command="verify").exit_code == 0


@pytest.mark.parametrize("limit", [0, 40_000, 80_000])
def test_no_room_on_the_disk_loses_nothing(limit: int, journal: Path, tmp_path: Path) -> None:
    file, kept = tmp_path / "old.db", content(journal)
    with started(journal, file, limit) as process:
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 1
    assert "cannot be" in said
    assert len(said.splitlines()) == 1
    assert content(journal) == kept
    check_nothing_is_lost(journal, file, kept)


def test_the_second_name_of_a_run_that_was_killed_goes(journal: Path, tmp_path: Path) -> None:
    file, kept = tmp_path / "old.db", content(journal)
    other = Path(shutil.copy(journal, tmp_path / "other.db"))
    cut(other, 200, file)
    file.with_name("old.db.unfinished").hardlink_to(file)
    cut(journal, 200, file)
    check_nothing_is_lost(journal, file, kept)


@pytest.mark.slow
def test_kill_at_any_moment_loses_and_doubles_nothing(pristine: Path, tmp_path: Path) -> None:
    ended = 0
    for number in range(1, 200):
        folder = tmp_path / str(number)
        folder.mkdir()
        journal, file = Path(shutil.copy(pristine, folder / "journal.db")), folder / "old.db"
        kept = content(journal)
        with started(journal, file) as process:
            try:
                process.wait(number * 0.01)
            except subprocess.TimeoutExpired:
                process.kill()
        ended += process.returncode == 0
        check_nothing_is_lost(journal, file, kept)
        shutil.rmtree(folder)
        if ended == 3:
            return
    pytest.fail("no run came to its end")
