"""A run of ``archive`` that is killed, or has no room, loses and doubles nothing."""

import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from emperord.journal import archive_file
from emperord.journal.times import EventNumber
from emperord.replay import archiving
from support.archives import check_nothing_is_lost, content, cut, joined, sql


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
