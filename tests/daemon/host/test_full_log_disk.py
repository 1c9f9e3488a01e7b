"""A log that is cut on a full disk, or where no part can be made, keeps as much as it can."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from crash.ground import Disk, mounted
from emperord.daemon.host.older_parts import LinesLost
from emperord.daemon.host.vassal_log import LogDirectory, LogRoom
from support.daemon import Daemon
from support.hostile_descendants import ask
from support.root import need_root
from support.tyrant import ALICE, ALICES
from support.vassals import program

from ..conftest import MakeDaemon

KIB = 1024
MIB = 1024 * KIB
LIMIT = 64 * KIB


def _fill(folder: Path) -> None:
    Disk(folder).fill()


def _no_part(folder: Path) -> None:
    """A part cannot be made, and that has nothing to do with room."""
    (folder / "a.ini.log.1.new").mkdir()


@pytest.mark.parametrize(
    ("disk", "limit", "size", "trouble", "part", "log", "lost"),
    [
        pytest.param("256k", LIMIT, LIMIT + 9, _fill, LIMIT + 9, 0, 0, id="all in the new room"),
        pytest.param(
            "4m", MIB, 2 * MIB + 9, _fill, MIB, 0, MIB + 9, id="so much as fits in memory"
        ),
        pytest.param(
            "256k", LIMIT, LIMIT + 9, _no_part, 0, LIMIT // 2, LIMIT // 2 + 9, id="back in the log"
        ),
    ],
)
def test_the_end_of_a_log_is_kept(
    tmp_path: Path,
    disk: str,
    limit: int,
    size: int,
    trouble: Callable[[Path], None],
    part: int,
    log: int,
    lost: int,
) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", f"size={disk}", "tmpfs"):
        logs = LogDirectory(str(tmp_path), limit, keep=2)
        path, older = tmp_path / "a.ini.log", tmp_path / "a.ini.log.1"
        content = os.urandom(size)
        path.write_bytes(content)
        trouble(tmp_path)
        if lost:
            with pytest.raises(LinesLost, match=f"'{path}'") as caught:
                logs.bound("a.ini")
            assert caught.value.lost == lost
        else:
            assert logs.bound("a.ini")
        assert path.read_bytes() == content[size - log :]
        assert (older.read_bytes() if older.exists() else b"") == content[size - part :]


def test_of_a_hole_nothing_is_kept_and_the_log_shrinks(tmp_path: Path) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=64k", "tmpfs") as disk:
        logs = LogDirectory(str(tmp_path), 4 * KIB)
        path = tmp_path / "a.ini.log"
        path.touch()
        os.truncate(path, MIB)
        disk.fill()
        with pytest.raises(LinesLost, match="No space left") as caught:
            logs.bound("a.ini")
        assert caught.value.lost == MIB
        assert sorted(each.name for each in tmp_path.iterdir()) == ["a.ini.log", "ballast"]
        assert path.stat().st_size == 0


@pytest.mark.parametrize(
    ("size", "kept"),
    [
        pytest.param(12 * KIB, 8 * KIB, id="in the room that it gives"),
        pytest.param(0, 0, id="a hole"),
    ],
)
def test_an_older_part_of_another_user_is_replaced(tmp_path: Path, size: int, kept: int) -> None:
    need_root("give files away")
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=64k,mode=0755", "tmpfs") as disk:
        logs = LogDirectory(str(tmp_path), 4 * KIB)
        logs.give_away()
        part = tmp_path / "a.ini.log.1"
        part.write_bytes(content := os.urandom(size))
        if not size:
            os.truncate(part, MIB)
        os.chown(part, ALICE, ALICES)
        disk.fill()
        _, failed = logs.bound_others()
        if kept:
            assert failed is None
            assert part.read_bytes() == content[-kept:]
            assert part.stat().st_uid == 0
        else:
            assert isinstance(failed, LinesLost)
            assert failed.lost == MIB
            assert not part.exists()


def test_the_room_for_logs(tmp_path: Path) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=64k", "tmpfs") as disk:
        room = LogRoom(str(tmp_path))
        seen = [(room.look(), room.full)]
        disk.fill()
        seen += [(room.look(), room.full), (room.look(), room.full)]
        disk.free()
        seen += [(room.look(), room.full)]
    assert seen == [(False, False), (True, True), (False, True), (False, False)]
    assert not LogRoom(str(tmp_path / "removed")).look()


WRITES = program("sh", "-c", f"head -c {LIMIT} /dev/zero | tr '\\0' x; echo; exec sleep 1000")


def kinds(daemon: Daemon) -> list[str]:
    return [each["what"] for each in ask(daemon, "status")["status"]["attention"]]


def test_the_operator_is_told(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=512k", "tmpfs") as disk:
        daemon = make_daemon("--log-size", f"{LIMIT}", "--log-directory", str(disk.path))
        _no_part(disk.path)
        (daemon.vassals / "a.ini").write_text(WRITES)
        daemon.start()
        said = f"a.ini: its log was cut, and its first {LIMIT // 2 + 1} bytes could not be kept: ["
        daemon.until(lambda: said in daemon.log(), "the cut is told")
        assert "cannot be cut" not in daemon.log()
        disk.fill()
        daemon.until(lambda: kinds(daemon) == ["logs full"], "it wants attention")
        assert daemon.log().count("the file system is full") == 1
        disk.free()
        daemon.until(lambda: kinds(daemon) == [], "there is room again")
        daemon.stop()
