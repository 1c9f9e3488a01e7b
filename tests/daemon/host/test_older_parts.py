"""Older parts of logs are the daemon's, and no tenant gives a file in the directory any size."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from emperord.daemon.host.vassal_log import LogDirectory
from support.root import need_root
from support.tyrant import ALICE, ALICES, TyrantDaemon, common_ground
from support.vassals import program

LIMIT = 4096
AS_ALICE = ("setpriv", f"--reuid={ALICE}", f"--regid={ALICES}", "--clear-groups")


@pytest.fixture
def logs(tmp_path: Path) -> LogDirectory:
    """A directory for logs of other users."""
    need_root("give files away")
    tmp_path.chmod(0o755)
    made = LogDirectory(str(tmp_path), LIMIT, keep=2)
    made.give_away()
    return made


def log_of_alice(folder: Path, logs: LogDirectory, size: int, mode: int = 0o640) -> Path:
    os.close(logs.open("a.ini", (ALICE, ALICES)))
    path = folder / "a.ini.log"
    path.write_bytes(b"x" * size)
    path.chmod(mode)
    return path


def whose(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


@pytest.mark.parametrize("mode", [0o640, 0o666, 0o777, 0o4755])
def test_a_part_is_the_daemons_and_its_group_reads_it(
    tmp_path: Path, logs: LogDirectory, mode: int
) -> None:
    log_of_alice(tmp_path, logs, LIMIT + 1, mode)
    assert logs.bound("a.ini")
    assert whose(tmp_path / "a.ini.log.1") == (0, ALICES, 0o640)
    assert whose(tmp_path / "a.ini.log")[0] == ALICE


def test_a_log_that_its_group_may_not_read_has_parts_of_the_same_kind(
    tmp_path: Path, logs: LogDirectory
) -> None:
    log_of_alice(tmp_path, logs, LIMIT + 1, 0o600)
    assert logs.bound("a.ini")
    assert whose(tmp_path / "a.ini.log.1") == (0, ALICES, 0o600)


def test_a_log_whose_vassal_does_not_run_is_cut(tmp_path: Path, logs: LogDirectory) -> None:
    log = log_of_alice(tmp_path, logs, LIMIT * 100)
    logs.bound_others()
    assert log.stat().st_size == 0
    assert (tmp_path / "a.ini.log.1").stat().st_size == 2 * LIMIT


def test_room_that_is_allocated_and_not_written_is_given_back(
    tmp_path: Path, logs: LogDirectory
) -> None:
    log = log_of_alice(tmp_path, logs, 10)
    subprocess.run(["fallocate", "--keep-size", "--length", "4M", str(log)], check=True)
    logs.bound_others()
    assert log.stat().st_blocks == 0


@pytest.mark.parametrize("number", [1, 2, 1000])
def test_a_part_of_another_user_becomes_the_daemons_and_is_cut(
    tmp_path: Path, logs: LogDirectory, number: int
) -> None:
    part = tmp_path / f"a.ini.log.{number}"
    part.write_bytes(b"a" * 3 * LIMIT + b"end")
    os.chown(part, ALICE, ALICES)
    with part.open("ab") as held:  # by the user
        logs.bound_others()
        held.write(b"more")
    assert whose(part) == (0, ALICES, 0o640)
    assert part.read_bytes() == b"a" * (2 * LIMIT - 3) + b"end"


def test_what_is_no_part_is_left_alone(tmp_path: Path, logs: LogDirectory) -> None:
    for name in ("a.ini.log.20261126", "a.ini.log-1.gz", "a.ini.log.1001", "notes"):
        path = tmp_path / name
        path.write_bytes(b"x" * 3 * LIMIT)
        os.chown(path, ALICE, ALICES)
    (tmp_path / "b.ini.log").symlink_to(tmp_path / "notes")
    os.chown(tmp_path / "b.ini.log", ALICE, ALICES, follow_symlinks=False)
    logs.bound_others()
    for name in ("a.ini.log.20261126", "a.ini.log-1.gz", "a.ini.log.1001", "notes"):
        assert (tmp_path / name).stat().st_size == 3 * LIMIT
        assert (tmp_path / name).stat().st_uid == ALICE


def test_a_tenant_cannot_write_to_the_part_of_its_log() -> None:
    with common_ground() as folder, TyrantDaemon(folder, "--tyrant", "--log-size", "4K") as daemon:
        daemon.put("a.ini", program("sh", "-c", "head -c 9000 /dev/zero; exec sleep 10000"))
        daemon.options += ["--log-directory", str(folder / "logs")]
        daemon.start()
        part = folder / "logs" / "a.ini.log.1"
        daemon.until(lambda: part.exists() and part.stat().st_mode & 0o040, "the log is cut")
        words = ["sh", "-c", f"wc -c < {part}; echo more >> {part}"]
        tried = subprocess.run([*AS_ALICE, *words], capture_output=True, text=True, check=False)
        assert tried.stdout == "8192\n"
        assert "Permission denied" in tried.stderr
        daemon.stop()
