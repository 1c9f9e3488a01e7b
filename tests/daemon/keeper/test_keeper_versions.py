"""Keeper and daemon of two releases: neither says what the other does not understand."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from emperord.replay.verify import verify
from support import processes
from support.daemon import MARK
from support.former import Installation
from support.kept import Emperor
from support.vassals import SLEEPER, speaker_path
from support.waiting import until

from ..conftest import QUICK, MakeEmperor

pytestmark = pytest.mark.usefixtures("cold")

ACCEPTS = "[uwsgi]\nsay 1 5 17\n"


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    """The release before, to be upgraded."""
    return Installation(tmp_path)


@pytest.fixture
def emperor(make_emperor: MakeEmperor, installed: Installation) -> Emperor:
    """An emperor of what is installed, with a speaker and a program; not started yet."""
    emperor = make_emperor(speakers=True, environ=installed.environ)
    (emperor.vassals / "a.ini").write_text(ACCEPTS)
    (emperor.vassals / "plain.ini").write_text(SLEEPER)
    return emperor


def rules(emperor: Emperor) -> object:
    """Which release the last daemon is of: the former one's gave no rules."""
    return emperor.events("daemon_started")[-1].body.get("rules")


def add(emperor: Emperor, name: str) -> None:
    (emperor.vassals / name).write_text(ACCEPTS)
    emperor.phase(name, "accepting")


def is_understood(emperor: Emperor) -> None:
    assert "makes no sense" not in emperor.log()
    assert "Traceback" not in emperor.log()


def goes_on_without_its_journal(emperor: Emperor, *names: str) -> None:
    """The keeper knows that it is lost, and the vassals are taken over."""
    before = emperor.environments()
    (pid,) = emperor.daemons()
    for path in emperor.state.glob("journal.db*"):
        if path.is_file() and path.suffix != ".lock":
            path.unlink()
    os.kill(pid, signal.SIGKILL)
    emperor.until(lambda: "emperor: estranged: " in emperor.log(), "it is estranged")
    assert emperor.environments() == before
    assert emperor.ctl("adopt").returncode == 0
    for name in ("a.ini", *names):
        emperor.phase(name, "accepting")
    emperor.phase("plain.ini", "ready")
    assert emperor.environments() == before
    is_understood(emperor)
    assert verify(str(emperor.journal)).exit_code == 0
    emperor.stop()


def test_a_daemon_of_this_release_under_a_keeper_of_the_one_before(
    emperor: Emperor, installed: Installation
) -> None:
    emperor.start()
    emperor.phase("a.ini", "accepting")
    emperor.up("plain.ini")
    before = emperor.environments()
    installed.upgrade()
    emperor.restart()
    assert rules(emperor) is not None
    emperor.restart()
    assert emperor.environments() == before
    is_understood(emperor)
    add(emperor, "b.ini")
    goes_on_without_its_journal(emperor, "b.ini")


class NewKeeper(Emperor):
    """A keeper of this release, whose daemon is of what is installed."""

    @property
    def argv(self) -> list[str]:
        """The command: the keeper itself does not look where PYTHONPATH says."""
        executable, *others = super().argv
        return [executable, "-E", *others]


def test_a_daemon_of_the_release_before_under_a_keeper_of_this_one(
    installed: Installation, tmp_path: Path
) -> None:
    options = ("--freq", "0.2", "--throttle", "100", "--uwsgi", speaker_path(tmp_path))
    with NewKeeper(tmp_path, *options, environ=installed.environ) as emperor:
        (emperor.vassals / "a.ini").write_text(ACCEPTS)
        (emperor.vassals / "plain.ini").write_text(SLEEPER)
        emperor.start()
        emperor.phase("a.ini", "accepting")
        emperor.up("plain.ini")
        before = emperor.environments()
        for _ in range(2):
            emperor.restart()
            assert rules(emperor) is None
        assert emperor.environments() == before
        assert {event.body["control"] for event in emperor.events("adopted")} == {True}
        is_understood(emperor)
        installed.upgrade()
        emperor.restart()
        assert rules(emperor) is not None
        add(emperor, "b.ini")
        goes_on_without_its_journal(emperor, "b.ini")


@pytest.fixture
def neighbour(tmp_path: Path) -> Iterator[Emperor]:
    """Another emperor of the release before. Its attempts have the same numbers and vassals."""
    folder = tmp_path / "neighbour"
    folder.mkdir()
    options = (*QUICK, "--uwsgi", speaker_path(folder))
    with Emperor(folder, *options, environ=Installation(folder).environ) as emperor:
        (emperor.vassals / "a.ini").write_text(ACCEPTS)
        (emperor.vassals / "plain.ini").write_text(SLEEPER)
        emperor.start()
        emperor.phase("a.ini", "accepting")
        emperor.up("plain.ini")
        yield emperor
        emperor.stop()


def marks(emperor: Emperor) -> set[str]:
    """The marks of the vassals' processes, without the times in them."""
    given = [environment[MARK].split(".", 2) for environment in emperor.environments().values()]
    return {f"{number}.{vassal}" for number, _, vassal in given}


def test_an_upgrade_of_both_brings_the_knowledge(
    emperor: Emperor, neighbour: Emperor, installed: Installation
) -> None:
    emperor.start()
    emperor.phase("a.ini", "accepting")
    emperor.up("plain.ini")
    assert marks(emperor) == marks(neighbour)
    others = neighbour.environments()
    keeper, before = emperor.pid, emperor.environments()
    installed.upgrade()
    seq = emperor.last_seq()
    assert emperor.ctl("upgrade").returncode == 0
    emperor.next_ready(seq)
    assert processes.alive(keeper)
    assert emperor.environments() == before
    until(lambda: emperor.ctl("status").returncode == 0, "all is well")
    goes_on_without_its_journal(emperor)
    assert neighbour.environments() == others
