"""``--pidfile``: whose pid it has, and which files and symlinks are left alone."""

import os
import signal
from pathlib import Path

import pytest
from emperord.daemon.startup import pid_file
from support import processes
from support.root import need_root
from support.vassals import SLEEPER
from support.waiting import until

from .conftest import MakeDaemon, MakeEmperor


def test_the_pid_is_the_keepers_through_deaths_and_upgrades(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    file, other = tmp_path / "emperor.pid", tmp_path / "other.pid"
    emperor = make_emperor("--pidfile", str(file), "--emperor-pidfile", "other.pid")
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    assert file.read_text() == other.read_text() == f"{emperor.pid}\n"
    assert file.stat().st_mode & 0o777 == 0o644 & ~_umask()
    file.unlink()
    after = emperor.last_seq()
    emperor.kill_daemon()
    emperor.event("daemon_ready", after=after)
    assert file.read_text() == f"{emperor.pid}\n"
    after = emperor.last_seq()
    os.kill(int(file.read_text()), signal.SIGUSR2)
    emperor.event("daemon_ready", after=after)
    assert file.read_text() == f"{emperor.pid}\n"
    other.write_text("1\n")  # another process's by now
    os.kill(int(file.read_text()), signal.SIGTERM)
    assert emperor.wait() == 0
    assert not file.exists()
    assert other.read_text() == "1\n"


def _umask() -> int:
    mask = os.umask(0o22)
    os.umask(mask)
    return mask


def test_the_daemon_writes_its_own_pid_when_the_keeper_dies(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    file = tmp_path / "emperor.pid"
    emperor = make_emperor("--pidfile", str(file)).start()
    daemon = emperor.daemon_pid()
    os.kill(emperor.pid, signal.SIGKILL)
    until(lambda: file.read_text() == f"{daemon}\n", "the file has the daemon's pid")
    os.kill(daemon, signal.SIGTERM)
    until(lambda: not processes.alive(daemon), "the daemon is gone")
    assert not file.exists()


def test_a_file_that_cannot_be_written_ends_nothing(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    daemon = make_daemon("--pidfile", str(tmp_path / "none" / "x.pid")).start()
    reason = f"--pidfile {tmp_path}/none/x.pid cannot be written: No such file or directory"
    assert reason in daemon.log()
    daemon.stop()
    checked = make_daemon("--pidfile", str(tmp_path / "none" / "x.pid"), "--check").launch()
    assert checked.wait() == 1
    assert checked.log().splitlines().count(reason) == 1


def test_a_symlink_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target, file = tmp_path / "target", tmp_path / "x.pid"
    target.write_text("kept")
    file.symlink_to(target)
    pid_file.write(str(file), 7)
    assert (target.read_text(), file.read_text(), file.is_symlink()) == ("kept", "7\n", False)
    file.unlink()
    file.symlink_to(target)
    pid_file.remove(str(file), 7)
    assert file.is_symlink()


def test_own_symlinks_on_the_way_are_followed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("./run/../run")
    (tmp_path / "again").symlink_to(tmp_path / "link")
    pid_file.write(str(tmp_path / "again" / "x.pid"), 7)
    assert (tmp_path / "run" / "x.pid").read_text() == "7\n"
    assert os.listdir(tmp_path / "run") == ["x.pid"]
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        pid_file.write(str(tmp_path / "loop" / "x.pid"), 7)


@pytest.mark.parametrize("whose", ["link", "directory"])
def test_a_symlink_of_another_user_leads_nowhere(whose: str, tmp_path: Path) -> None:
    need_root("give a file to another user")
    home, private = tmp_path / "home", tmp_path / "private"
    home.mkdir()
    private.mkdir()
    (home / "run").symlink_to(private)
    os.chown(home / "run" if whose == "link" else home, 1234, 1234, follow_symlinks=False)
    path = str(home / "run" / "x.pid")
    with pytest.raises(OSError, match="a symlink of another user is on the way"):
        pid_file.write(path, 7)
    assert "a symlink of another user" in (pid_file.flaw([path]) or "")
    assert os.listdir(private) == []


@pytest.mark.parametrize("kind", ["pipe", "directory", "device"])
def test_no_other_file_is_replaced(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path = Path("/dev/null")
    with pytest.raises(OSError, match="no regular file"):
        pid_file.write(str(path), 7)
    pid_file.remove(str(path), 7)
    assert path.exists()
