"""The identity of a journal is used once; a daemon knows whether its journal is the right one."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from emperord.daemon.host import procfs
from emperord.daemon.keeper import protocol as keeping
from emperord.daemon.keeper.link import KeeperLink
from emperord.daemon.startup import identity, in_use
from emperord.daemon.startup.identity import Holder, estrangement
from emperord.daemon.startup.in_use import IdentityInUse
from emperord.journal import chain
from emperord.journal.places import runtime_directory
from emperord.journal.store import Head, Journal, Snapshot
from journal_builder import START
from support.root import need_root
from support.waiting import until

# Two identities, or hashes. Each test has its own.
I = b""  # noqa: E741
H = b""


@pytest.fixture(autouse=True)
def own_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process of a test before, or of another run of the tests, has a lock of it."""
    monkeypatch.setitem(globals(), "I", os.urandom(32))
    monkeypatch.setitem(globals(), "H", os.urandom(32))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"RUNTIME_DIRECTORY": "/run/a:/run/b", "XDG_RUNTIME_DIR": "/x"}, "/run/a"),
        ({"RUNTIME_DIRECTORY": "not absolute"}, "/run/emperord"),
        ({}, "/run/emperord"),
    ],
    ids=["the unit's", "not a path", "root's"],
)
def test_where_the_locks_are(environ: dict[str, str], expected: str) -> None:
    need_root("have locks in /run")
    assert runtime_directory(environ) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_RUNTIME_DIR": "/run/user/5"}, "/run/user/5/emperord"),
        ({"XDG_RUNTIME_DIR": "", "XDG_STATE_HOME": "/home/x/s"}, "/home/x/s/emperord/run"),
        ({"XDG_STATE_HOME": "s"}, "/home/x/.local/state/emperord/run"),
    ],
    ids=["the session's", "the user's state", "the usual one"],
)
def test_where_the_locks_of_a_user_are(
    environ: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_root("become another user")
    monkeypatch.setenv("HOME", "/home/x")
    os.seteuid(65534)
    try:
        assert runtime_directory(environ) == expected
    finally:
        os.seteuid(0)


@pytest.fixture
def keeper() -> Iterator[tuple[socket.socket, KeeperLink]]:
    """The keeper's end, and the daemon's link."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(10)
    ours.send(keeping.encode({"say": "all", "version": 2}))
    link = KeeperLink(theirs)
    link.receive_all()
    with ours:
        yield ours, link
        link.close()


def holder(tmp_path: Path, link: KeeperLink, name: str = "a.db") -> Holder:
    return Holder(link, str(tmp_path / name), str(tmp_path / "run"))


def test_an_identity_is_locked_once(tmp_path: Path) -> None:
    first, second = (holder(tmp_path, KeeperLink(None), name) for name in ("a.db", "b.db"))
    first.take(I)
    first.tell(Head(I, 5, H, START))
    first.take(I)
    with pytest.raises(IdentityInUse) as refused:
        second.take(I)
    said = str(refused.value)
    assert said.startswith(f"{tmp_path}/b.db: a copy of a journal that is in use ({tmp_path}/a.db,")
    assert "--restore" in said
    second.take(H)
    first.take(b"x" * 32)  # it lets go of the one before
    second.take(I)


@contextlib.contextmanager
def locked_by_another(path: Path, uid: int | None = None) -> Iterator[int]:
    """A process that locks a file for itself and writes what an emperor writes there; its pid."""
    script = f"""import fcntl, json, os, sys, time
    os.setuid({os.getuid() if uid is None else uid})
    file = open({str(path)!r}, "w")
    fcntl.flock(file, fcntl.LOCK_EX)
    print(json.dumps({{"journal": "a.db", "pid": os.getpid()}}), file=file, flush=True)
    print("locked", flush=True)
    time.sleep(1000)"""
    command = [sys.executable, "-c", script.replace("\n    ", "\n")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        try:
            yield other.pid
        finally:
            other.kill()


@pytest.mark.parametrize(
    ("directory", "removed"),
    [("other", False), ("run", True), ("run/blocked", False)],
    ids=["another RUNTIME_DIRECTORY", "the file was removed", "no lock can be made"],
)
def test_a_lock_counts_wherever_it_is(tmp_path: Path, directory: str, removed: bool) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "blocked").touch()
    path = tmp_path / "run" / f"{identity.short(I)}.lock"
    second = Holder(KeeperLink(None), str(tmp_path / "b.db"), str(tmp_path / directory))
    with locked_by_another(path) as pid:
        if removed:
            path.unlink()
        with pytest.raises(IdentityInUse, match=rf"\(a\.db, emperor {pid}\)"):
            second.take(I)
        second.take(H)
    second.take(I)


@pytest.mark.parametrize("any_user", [False, True], ids=["tenants", "no tenants"])
def test_a_lock_of_another_user_counts_where_there_are_no_tenants(
    tmp_path: Path, any_user: bool
) -> None:
    """Root on a copy would else take hold of what runs below a user's emperor."""
    need_root("run as another user")
    with tempfile.TemporaryDirectory() as theirs:  # tmp_path is root's alone
        os.chown(theirs, 65534, 65534)
        with locked_by_another(Path(theirs, f"{identity.short(I)}.lock"), 65534) as pid:
            if any_user:
                with pytest.raises(IdentityInUse, match=f"emperor {pid}"):
                    holder(tmp_path, KeeperLink(None)).take(I, any_user=True)
            else:
                holder(tmp_path, KeeperLink(None)).take(I)


def test_a_lock_whose_file_was_removed_is_made_anew(tmp_path: Path) -> None:
    first = holder(tmp_path, KeeperLink(None))
    first.take(I)
    first.forget()
    assert list((tmp_path / "run").iterdir()) == []
    holder(tmp_path, KeeperLink(None)).take(I)


def test_without_a_directory_it_goes_on_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run").write_text("no directory")
    one = holder(tmp_path, KeeperLink(None))
    one.take(I)
    one.tell(Head(I, 5, H, START))
    assert "no lock can be made there" in caplog.text
    links = [target for _, target in procfs.open_files(os.getpid())]
    assert any(f":{identity.short(I)}.lock" in link for link in links)


def test_the_keeper_gets_the_lock_once_and_then_what_is_durable(
    tmp_path: Path, keeper: tuple[socket.socket, KeeperLink]
) -> None:
    ours, link = keeper
    memory = keeping.Memory(os.close)
    one = holder(tmp_path, link)
    one.take(I)
    for number in (5, 6, 7):
        one.tell(Head(I, number, bytes([number]) * 32, START))
        data, descriptors, _, _ = socket.recv_fds(ours, keeping.LONGEST, 4)
        assert len(descriptors) == (number == 5)
        for packet in memory.heard(data, descriptors, cut=False):
            memory.told(packet, descriptors)
    one.take(H)  # it has another journal now
    one.tell(Head(H, 1, H, START))
    data, descriptors, _, _ = socket.recv_fds(ours, keeping.LONGEST, 4)
    for packet in memory.heard(data, descriptors, cut=False):
        memory.told(packet, descriptors)
    about, (lock,) = memory.kept[keeping.JOURNAL]
    assert about == {"identity": H.hex(), "seq": 1, "hash": H.hex(), "at": START}
    link.close()  # the daemon dies, and the keeper holds the lock
    del one
    with pytest.raises(IdentityInUse):
        holder(tmp_path, KeeperLink(None), "b.db").take(H)
    os.close(lock)


def test_the_next_daemon_gets_lock_and_knowledge(
    tmp_path: Path, keeper: tuple[socket.socket, KeeperLink]
) -> None:
    _, link = keeper
    known = Head(I, 5, H, START)
    one = holder(tmp_path, link)
    one.take(I)
    one.tell(known)
    link.kept[keeping.JOURNAL] = link.entrusted.pop(keeping.JOURNAL)
    two = holder(tmp_path, link)
    assert two.inherit() == known
    two.take(I)  # no lock is asked for that is held already


@contextlib.contextmanager
def a_vassal() -> Iterator[None]:
    """A process of a vassal of this identity. Amid its execve it has no environment yet."""
    environ = {**os.environ, "EMPERORD_IDENTITY": identity.short(I)}
    with subprocess.Popen(["sleep", "100"], env=environ) as vassal:
        try:
            until(lambda: list(procfs.of_journal(identity.short(I))), "it is known by its mark")
            yield
        finally:
            vassal.kill()


@pytest.mark.parametrize(
    ("name", "which", "expected"),
    [("a.db", "", True), ("b.db", "I", True), ("b.db", "", False), ("b.db", "H", False)],
    ids=["the same path", "a copy", "another path", "another journal"],
)
def test_a_new_keeper_learns_of_what_still_runs(
    tmp_path: Path, name: str, which: str, expected: bool
) -> None:
    known, identity_ = Head(I, 5, H, START), {"I": I, "H": H}.get(which)
    said = {"identity": I.hex(), "seq": 5, "hash": H.hex(), "at": START}
    said = {"journal": str(tmp_path / "a.db"), "pid": 1, **said}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / f"{identity.short(I)}.lock").write_text(json.dumps(said))
    two = holder(tmp_path, KeeperLink(None), name)
    assert two.recall(identity_) is None  # nothing runs
    with a_vassal():
        assert (two.recall(identity_) == known) == expected


def test_what_another_emperor_has_locked_is_nothing_to_learn_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_use, "LAST_CHILD", 0.05)
    one = holder(tmp_path, KeeperLink(None))
    one.take(I)
    one.tell(Head(I, 5, H, START))
    with a_vassal():
        assert holder(tmp_path, KeeperLink(None), "b.db").recall(I) is None


def test_a_keeper_of_the_release_before_knows_nothing(tmp_path: Path) -> None:
    assert holder(tmp_path, KeeperLink(None)).inherit() is None


def row(seq: int, at: int = START) -> chain.Columns:
    return (seq, at + seq, "daemon_ready", None, None, None, "{}", "[]")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(str(tmp_path / "journal.db")) as journal:
        journal.append([row(number) for number in (1, 2, 3)])
        yield journal


def known(journal: Journal, seq: int) -> Head:
    head, hash_ = journal.head, journal.hash_of(seq)
    assert head is not None
    return Head(head.identity, seq, hash_ or H)


@pytest.mark.parametrize(("seq", "strange"), [(1, None), (2, None), (3, None), (4, "ends with")])
def test_a_journal_may_be_longer_than_is_known_but_not_shorter(
    journal: Journal, seq: int, strange: str | None
) -> None:
    reason = estrangement(journal, known(journal, seq))
    assert (reason is None) == (strange is None)
    assert (strange or "") in (reason or "")


def test_a_journal_that_went_another_way_is_known(journal: Journal) -> None:
    reason = estrangement(journal, Head(known(journal, 2).identity, 2, b"x" * 32))
    assert reason is not None
    assert "has another event 2" in reason


def test_another_journal_is_known(journal: Journal) -> None:
    reason = estrangement(journal, Head(I, 2, known(journal, 2).hash))
    assert reason is not None
    assert "is another journal" in reason


def test_a_journal_without_events_is_known(tmp_path: Path) -> None:
    with Journal.open(str(tmp_path / "new.db")) as journal:
        reason = estrangement(journal, Head(I, 2, H))
    assert reason is not None
    assert "has no events" in reason


@pytest.mark.parametrize(("seq", "fits"), [(30, True), (41, True), (42, True), (43, False)])
def test_archived_events_count_as_there(tmp_path: Path, seq: int, fits: bool) -> None:
    with Journal.open(str(tmp_path / "new.db")) as journal:
        journal.number_on(Head(I, 41, H, START), Snapshot(41, b"{}"), row(42))
        told = Head(I, seq, journal.hash_of(seq) or H)
        assert (estrangement(journal, told) is None) == fits


def test_an_identity_is_short_in_names() -> None:
    assert identity.short(bytes(range(32))) == "0001020304050607"
