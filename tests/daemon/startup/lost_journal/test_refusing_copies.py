"""A daemon refuses a copy of a journal whose original is in use."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from support import processes
from support.daemon import Daemon
from support.estranged import backup, verified
from support.kept import Emperor
from support.vassals import SLEEPER, Application
from support.waiting import until

from ...conftest import MakeEmperor

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
