"""Vassals' own logs: names, bounds, last lines."""

import fcntl
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.daemon.host.log_cuts import LogFile
from emperord.daemon.host.spawn import error_text
from emperord.daemon.host.vassal_log import (
    ELSEWHERE,
    LOGROTATE,
    REMOVED,
    LogDirectory,
    NoLog,
    keep_former,
    log_name,
)
from hypothesis import given
from hypothesis import strategies as st
from inotify_simple import INotify, flags  # type: ignore[import-untyped]
from support.leases import lease
from support.root import need_root


@pytest.mark.parametrize(
    ("vassal", "name"),
    [
        pytest.param("a.ini", "a.ini.log", id="plain"),
        pytest.param("/etc/v/a.ini", "%2Fetc%2Fv%2Fa.ini.log", id="path"),
        pytest.param("../../x.ini", "..%2F..%2Fx.ini.log", id="dots"),
        pytest.param("a b:c@(d).ini", "a b:c@(d).ini.log", id="readable"),
        pytest.param("100%.ini", "100%25.ini.log", id="percent"),
        pytest.param("ü.ini", "%C3%BC.ini.log", id="unicode"),
        pytest.param("-x.ini", "-x.ini.log", id="dash"),
    ],
)
def test_name(vassal: str, name: str) -> None:
    assert log_name(vassal) == name


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=254)


@given(NAMES)
def test_a_name_is_never_a_path_and_fits_the_file_system(vassal: str) -> None:
    name = log_name(vassal)
    assert os.path.basename(name) == name
    assert name not in (".", "..")
    assert len(os.fsencode(name + ".1")) <= 255


@given(NAMES, NAMES)
def test_two_vassals_never_share_a_log(one: str, other: str) -> None:
    assert (log_name(one) == log_name(other)) == (one == other)


def test_a_directory_that_cannot_be_written_to_is_said_at_once(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)]
    subprocess.run(mount, check=True)
    try:
        with pytest.raises(OSError, match=f"^{tmp_path}: .* may not write there; give another"):
            LogDirectory(str(tmp_path), 4096)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_two_long_names_with_one_beginning_differ() -> None:
    assert log_name("x" * 300 + "1.ini") != log_name("x" * 300 + "2.ini")


def write(logs: LogDirectory, vassal: str, text: bytes) -> None:
    fd = logs.open(vassal)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


def test_is_appended_to_and_private(tmp_path: Path) -> None:
    logs = LogDirectory(str(tmp_path / "logs"), 4096)
    for text in (b"one\n", b"two\n"):
        write(logs, "a.ini", text)
    path = tmp_path / "logs" / "a.ini.log"
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0
    assert logs.end_of("a.ini") == 8
    assert logs.end_of("b.ini") == 0


def put_link(directory: Path) -> None:
    (directory / "a.ini.log").symlink_to(directory / "elsewhere")


def put_directory(directory: Path) -> None:
    (directory / "a.ini.log").mkdir()


def put_file(directory: Path) -> None:
    directory.rmdir()
    directory.touch()


@pytest.mark.parametrize("put", [put_link, put_directory, put_file])
def test_a_log_that_cannot_be_opened_is_named_and_bars_nobody(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    path = tmp_path / "logs"
    logs = LogDirectory(str(path), 4096)
    put(path)
    with pytest.raises(NoLog) as error:
        logs.open("a.ini")
    reason, fault = error_text(error.value)
    assert reason.startswith(f"cannot start it now: its log cannot be opened: {path}")
    assert fault == "resources"


@pytest.mark.parametrize(
    ("text", "since", "last"),
    [
        pytest.param(b"", 0, "", id="nothing"),
        pytest.param(b"one\ntwo\n", 0, "one\ntwo", id="all"),
        pytest.param(b"old\nnew\n", 4, "new", id="this attempt's only"),
        pytest.param(b"new\n", 400, "new", id="cut meanwhile"),
        pytest.param(b"half a line", 0, "half a line", id="no newline"),
        pytest.param(b"\xff\n", 0, "\\xff", id="not UTF-8"),
        pytest.param(
            b"".join(b"%d\n" % n for n in range(50)),
            0,
            "\n".join(map(str, range(40, 50))),
            id="ten lines",
        ),
    ],
)
def test_last_lines(tmp_path: Path, text: bytes, since: int, last: str) -> None:
    logs = LogDirectory(str(tmp_path), 4096)
    write(logs, "a.ini", text)
    assert logs.last_lines("a.ini", since) == last


def test_last_lines_of_a_flood_are_few(tmp_path: Path) -> None:
    logs = LogDirectory(str(tmp_path), 4096)
    write(logs, "a.ini", b"x" * 100_000)
    assert logs.last_lines("a.ini", 0) == "x" * 2048
    assert logs.last_lines("b.ini", 0) == ""


def test_is_cut_when_it_is_too_long(tmp_path: Path) -> None:
    logs = LogDirectory(str(tmp_path), 4096)
    fd = logs.open("a.ini")
    os.write(fd, b"o" * 4096)
    assert not logs.bound("a.ini")
    os.write(fd, b"1")
    assert logs.bound("a.ini")
    os.write(fd, b"new")  # a process that has it open goes on at its new end
    os.close(fd)
    assert (tmp_path / "a.ini.log").read_bytes() == b"new"
    assert (tmp_path / "a.ini.log.1").read_bytes() == b"o" * 4096 + b"1"


def cut_thrice(folder: Path, keep: int) -> dict[str, bytes]:
    """The files, by name, after a log was cut three times."""
    logs = LogDirectory(str(folder), 4096, keep)
    for letter in b"abc":
        write(logs, "a.ini", bytes([letter]) * 5000)
        assert logs.bound("a.ini")
    return {path.name: path.read_bytes()[:1] for path in folder.iterdir()}


@pytest.mark.parametrize("keep", [0, 1, 2, 3, 9])
def test_so_many_parts_are_kept(tmp_path: Path, keep: int) -> None:
    parts = {1: b"c", 2: b"b", 3: b"a"}
    kept = {f"a.ini.log.{number}": parts[number] for number in parts if number <= keep}
    assert cut_thrice(tmp_path, keep) == {"a.ini.log": b"", **kept}


def test_a_part_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    """A reader finds the former part or the new one, and each with its mode and all its bytes."""
    cut_thrice(tmp_path, 1)
    with INotify(nonblocking=True) as inotify:
        inotify.add_watch(tmp_path, flags.CREATE | flags.DELETE | flags.MOVED_TO | flags.MODIFY)
        cut_thrice(tmp_path, 1)
        seen = [(flags.from_mask(each.mask)[0], each.name) for each in inotify.read(timeout=0)]
    assert {flag for flag, name in seen if name == "a.ini.log.1"} == {flags.MOVED_TO}


def test_on_a_full_disk_the_oldest_part_gives_its_room(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    subprocess.run(mount, check=True)
    try:
        cut_thrice(tmp_path, 3)
        logs = LogDirectory(str(tmp_path), 4096, 3)
        write(logs, "a.ini", b"d" * 5000)
        with (tmp_path / "fill").open("wb", 0) as full, pytest.raises(OSError, match="No space"):
            full.writelines(b"x" * 4096 for _ in range(17))
        assert logs.bound("a.ini")
        (tmp_path / "fill").unlink()
        found = {path.name: path.read_bytes()[:1] for path in tmp_path.iterdir()}
        kept = {f"a.ini.log.{1 + number}": letter for number, letter in enumerate([b"d", b"c"])}
        assert found == {"a.ini.log": b"", **kept, "a.ini.log.3": b"b"}
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("keep", [1, 3])
def test_what_has_nothing_to_do_with_room_costs_no_part(tmp_path: Path, keep: int) -> None:
    before = cut_thrice(tmp_path, keep)
    logs = LogDirectory(str(tmp_path), 4096, keep)
    write(logs, "a.ini", b"d" * 5000)
    (tmp_path / "a.ini.log.1.new").mkdir()  # by accident
    with pytest.raises(OSError, match="Is a directory"):
        logs.bound("a.ini")
    (tmp_path / "a.ini.log.1.new").rmdir()
    after = {path.name: path.read_bytes()[:1] for path in tmp_path.iterdir()}
    assert after == before | {"a.ini.log": b"d"}


def test_an_empty_log_of_another_owner_takes_no_older_part_away(tmp_path: Path) -> None:
    need_root("give files away")
    logs = LogDirectory(str(tmp_path), 4096)
    (tmp_path / "a.ini.log.1").write_text("older")
    (tmp_path / "a.ini.log").touch()  # root's, as logrotate's "create" makes it
    os.close(logs.open("a.ini", (61_001, 62_001)))
    assert (tmp_path / "a.ini.log").stat().st_uid == 61_001
    assert (tmp_path / "a.ini.log.1").read_text() == "older"


def test_a_log_begins_anew_with_each_owner(tmp_path: Path) -> None:
    need_root("give files away")
    logs, (log, older) = LogDirectory(str(tmp_path), 4096), _log_and_older(tmp_path)
    for owner, uid in (((61_001, 62_001), 61_001), (None, 0), ((61_002, 62_002), 61_002)):
        before = log.read_text() if log.exists() else None
        descriptor = logs.open("a.ini", owner)
        os.write(descriptor, b"words of %d\n" % uid)
        os.close(descriptor)
        assert (log.stat().st_uid, log.read_text()) == (uid, f"words of {uid}\n")
        assert before is None or older.read_text() == before
        assert before is None or (older.stat().st_uid, older.stat().st_mode & 0o777) == (0, 0o640)
    os.chown(log, 0, 62_003)  # the group of the daemon's own logs is the operator's choice
    os.close(logs.open("a.ini"))
    assert log.stat().st_gid == 62_003


def _log_and_older(folder: Path) -> tuple[Path, Path]:
    return folder / "a.ini.log", folder / "a.ini.log.1"


def test_a_log_of_uwsgis_own_is_not_the_vassals(tmp_path: Path) -> None:
    """uWSGI with ``logto = LOGS/%n.log`` makes that its output."""
    logs = LogDirectory(str(tmp_path), 4096)
    own = os.open(tmp_path / "a.log", os.O_WRONLY | os.O_CREAT)
    with subprocess.Popen(["sleep", "60"], stdout=own, stderr=own) as child:
        os.close(own)
        assert logs.written_by(child.pid, "a.ini") is None
        child.kill()


def test_parts_beyond_those_kept_are_removed_at_a_cut(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4, 999, 20261126):
        (tmp_path / f"a.ini.log.{number}").write_text(str(number))
    (tmp_path / "a.ini.log-20261126-1").touch()
    logs = LogDirectory(str(tmp_path), 4096, 2)
    write(logs, "a.ini", b"x" * 5000)
    assert logs.bound("a.ini")
    names = {".1", ".2", ".20261126", "-20261126-1", ""}
    assert {path.name for path in tmp_path.iterdir()} == {f"a.ini.log{each}" for each in names}
    assert (tmp_path / "a.ini.log.2").read_text() == "1"


def test_the_file_for_logrotate_is_installed() -> None:
    assert "copytruncate" in Path(LOGROTATE).read_text()


# The owner of the directory


def test_the_logs_of_0_1_0_are_gone_on_with_once(tmp_path: Path) -> None:
    journal, path, former = tmp_path / "j.db", tmp_path / "j.db.logs", tmp_path / "logs"
    words = (str(path), str(journal), ["a.ini"])
    assert keep_former(*words) is None
    former.mkdir()
    (former / "other.log").touch()
    assert keep_former(*words) is None, "it is another program's"
    assert not path.exists()
    (former / "a.ini.log").touch()
    assert keep_former(*words) == str(former)
    assert path.readlink() == former
    assert keep_former(*words) is None
    logs = LogDirectory(str(path), 4096)
    with subprocess.Popen(["sleep", "60"], stdout=(out := logs.open("a.ini"))) as child:
        os.close(out)
        assert logs.written_by(child.pid, "a.ini") is not None
        child.kill()


def test_only_a_directory_of_its_own_has_its_mode_changed(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(0o700)
    LogDirectory(str(theirs), 4096).give_away()
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o700
    LogDirectory(str(tmp_path / "ours"), 4096).give_away()
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == 0o751


@pytest.mark.parametrize(("gives", "mode"), [(False, 0o750), (True, 0o751)], ids=["own", "tenants"])
def test_a_removed_directory_is_made_anew_as_it_was(tmp_path: Path, gives: bool, mode: int) -> None:
    path = tmp_path / "journal.logs" / "logs"
    logs, other = LogDirectory(str(path), 4096), LogDirectory(str(path), 4096)
    if gives:
        logs.give_away()
    assert not logs.look_for_others()
    shutil.rmtree(path.parent)
    logs.bound_others()
    os.close(logs.open("a.ini"))
    assert (path / "a.ini.log").exists()
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert not logs.look_for_others()
    assert other.look_for_others(), "the new one is locked"
    logs.close()


def test_a_link_to_a_removed_directory_leads_to_a_new_one(tmp_path: Path) -> None:
    """As a journal that 0.1.0 began has one."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "journal.logs").symlink_to("logs")
    logs = LogDirectory(str(tmp_path / "journal.logs"), 4096)
    (tmp_path / "logs").rmdir()
    os.close(logs.open("a.ini"))
    assert (tmp_path / "logs" / "a.ini.log").exists()


def test_two_daemons_with_one_directory_of_logs_notice(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "link").symlink_to("logs")
    one, two = (
        LogDirectory(str(tmp_path / "logs"), 4096),
        LogDirectory(str(tmp_path / "link"), 4096),
    )
    assert [one.look_for_others(), one.others] == [False, False]
    assert [two.look_for_others(), two.others] == [True, True]
    assert [two.look_for_others(), two.others] == [False, True], "it is said once"
    one.close()
    assert [two.look_for_others(), two.others] == [False, False]
    two.close()


def test_where_a_renamed_log_is(tmp_path: Path) -> None:
    logs = LogDirectory(str(tmp_path), 4096)
    descriptor = logs.open("a.ini")
    file, log = LogFile.of(os.fstat(descriptor)), tmp_path / "a.ini.log"
    assert logs.renamed_to("a.ini", file) is None
    os.write(descriptor, b"words\n")
    log.rename(tmp_path / "a.ini.log.2")
    assert logs.renamed_to("a.ini", file) == str(tmp_path / "a.ini.log.2")
    log.write_text("others\n")
    assert logs.renamed_to("a.ini", file) == str(tmp_path / "a.ini.log.2")
    assert logs.last_lines("a.ini", 0, file) == "words"
    (tmp_path / "a.ini.log.2").rename(tmp_path.parent / "gone.log")  # as logrotate's olddir does
    gone = str(tmp_path.parent / "gone.log")
    with subprocess.Popen(["sleep", "60"], stdout=descriptor) as child:
        assert logs.renamed_to("a.ini", file, child.pid) == gone
        os.unlink(gone)
        assert logs.renamed_to("a.ini", file, child.pid) == REMOVED
        child.kill()
    with subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL) as child:
        assert logs.renamed_to("a.ini", file, child.pid) is None, "it has another output"
        child.kill()
    assert logs.renamed_to("a.ini", file, child.pid) == ELSEWHERE
    assert logs.last_lines("a.ini", 0, file) == ""
    os.close(descriptor)


def test_what_a_process_writes_to(tmp_path: Path) -> None:
    logs = LogDirectory(str(tmp_path / "x" / ".." / "logs"), 4096)
    descriptor = logs.open("a.ini")
    with subprocess.Popen(["sleep", "60"], stdout=descriptor, stderr=subprocess.DEVNULL) as child:
        assert logs.written_by(child.pid, "a.ini") == LogFile.of(os.fstat(descriptor))
        os.close(descriptor)
        child.kill()
    assert logs.written_by(child.pid, "a.ini") is None
    assert logs.written_by(os.getpid(), "a.ini") is None


def test_of_a_flood_the_end_is_kept(tmp_path: Path) -> None:
    """A log that is all hole must not fill the disk."""
    logs = LogDirectory(str(tmp_path), 4096)
    os.close(logs.open("a.ini"))
    os.truncate(tmp_path / "a.ini.log", 1 << 40)
    write(logs, "a.ini", b"end")
    assert logs.bound("a.ini")
    assert (tmp_path / "a.ini.log.1").read_bytes() == bytes(8189) + b"end"
    assert (tmp_path / "a.ini.log").read_bytes() == b""


def test_nobody_waits_for_who_has_a_lease_on_it(tmp_path: Path) -> None:
    """Its owner may take one; the kernel breaks it after 45 seconds."""
    logs = LogDirectory(str(tmp_path), 4096)
    write(logs, "a.ini", b"x" * 5000)
    path = tmp_path / "a.ini.log"
    with lease(path, fcntl.F_RDLCK), pytest.raises(NoLog, match="unavailable"):
        logs.open("a.ini")
    with lease(path, fcntl.F_RDLCK), pytest.raises(BlockingIOError):
        logs.bound("a.ini")
    with lease(path, fcntl.F_WRLCK):
        assert logs.last_lines("a.ini", 0) == ""
    descriptor = logs.open("a.ini")
    assert os.get_blocking(descriptor)
    os.close(descriptor)
