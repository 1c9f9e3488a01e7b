"""Tyrant mode and on demand: root makes no socket where the vassal's user could not."""

import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support import clients
from support.dead_mount import dead_mount
from support.ports import free_root_port
from support.tyrant import ALICE, ALICES, BOB, TyrantDaemon
from support.vassals import SLEEPER

MakeTyrant = Callable[..., TyrantDaemon]


@pytest.fixture
def tyrant(make_tyrant: MakeTyrant) -> TyrantDaemon:
    return make_tyrant("--on-demand-extension", ".socket")


def folder_of(tyrant: TyrantDaemon, name: str, uid: int) -> Path:
    path = tyrant.folder / name
    path.mkdir()
    os.chown(path, uid, uid)
    return path


def test_in_the_users_own_directory(tyrant: TyrantDaemon) -> None:
    path = folder_of(tyrant, "alice", ALICE) / "x.sock"
    tyrant.put("a.ini.socket", str(path))
    tyrant.put("a.ini", SLEEPER)
    tyrant.start()
    tyrant.until(lambda: clients.listened_at(str(path)), "it is listened for")
    status = path.lstat()
    assert stat.S_ISSOCK(status.st_mode)
    assert (status.st_uid, status.st_gid) == (ALICE, ALICES)
    assert stat.S_IMODE(status.st_mode) == 0o666
    clients.dial(str(path)).close()
    tyrant.phase("a.ini", "ready")
    assert os.readlink(f"/proc/{tyrant.pid_of('a.ini')}/fd/0").startswith("socket:")
    tyrant.stop()
    assert not path.exists()


@pytest.mark.parametrize(("owner", "whose"), [(BOB, "another user's"), (0, "root's")])
def test_in_a_directory_of(tyrant: TyrantDaemon, owner: int, whose: str) -> None:
    folder = folder_of(tyrant, "theirs", owner)
    tyrant.put("a.ini.socket", str(folder / "x.sock"))
    tyrant.put("a.ini", SLEEPER)
    tyrant.start()
    assert tyrant.phase("a.ini", "barred").reason == (
        f"{folder} does not belong to uid {ALICE}; a socket on demand must be in a directory of"
        " its vassal's user"
    ), whose
    assert list(folder.iterdir()) == []
    tyrant.stop()


def test_in_a_directory_that_the_user_cannot_see(tyrant: TyrantDaemon) -> None:
    """Whether it is there is not told."""
    closed = folder_of(tyrant, "closed", 0)
    closed.chmod(0o700)
    (closed / "there").mkdir()
    for name in ("there", "missing"):
        tyrant.put(f"{name}.ini.socket", f"{closed}/{name}/x.sock")
        tyrant.put(f"{name}.ini", SLEEPER)
    tyrant.start()
    for name in ("there", "missing"):
        reason = tyrant.phase(f"{name}.ini", "barred").reason
        assert reason == f"cannot listen at {closed}/{name}/x.sock: Permission denied"
    tyrant.stop()


def test_over_a_symlink_to_anothers_directory(tyrant: TyrantDaemon) -> None:
    theirs = folder_of(tyrant, "bob", BOB)
    link = folder_of(tyrant, "alice", ALICE) / "link"
    link.symlink_to(theirs)
    os.lchown(link, ALICE, ALICES)
    tyrant.put("a.ini.socket", str(link / "x.sock"))
    tyrant.put("a.ini", SLEEPER)
    tyrant.start()
    assert "does not belong to uid" in (tyrant.phase("a.ini", "barred").reason or "")
    assert list(theirs.iterdir()) == []
    tyrant.stop()


def test_a_link_in_place_of_the_socket_leads_nowhere(tyrant: TyrantDaemon) -> None:
    """Neither is what it leads to removed, nor does it get another mode or owner."""
    folder = folder_of(tyrant, "alice", ALICE)
    precious = tyrant.folder / "precious"
    precious.write_text("precious")
    precious.chmod(0o600)
    (folder / "x.sock").symlink_to(precious)
    tyrant.put("a.ini.socket", str(folder / "x.sock"))
    tyrant.put("a.ini", SLEEPER)
    tyrant.start()
    assert "is in the way and is no socket" in (tyrant.phase("a.ini", "barred").reason or "")
    status = precious.stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o600)
    tyrant.stop()


def test_the_daemon_restarts(tyrant: TyrantDaemon) -> None:
    path = folder_of(tyrant, "alice", ALICE) / "x.sock"
    tyrant.put("a.ini.socket", str(path))
    tyrant.put("a.ini", SLEEPER)
    tyrant.start()
    for _ in range(2):
        tyrant.until(lambda: clients.listened_at(str(path)), "it is listened for")
        tyrant.kill()
        tyrant.start()
        tyrant.phase("a.ini", "listening")
    tyrant.until(lambda: clients.listened_at(str(path)), "it is listened for")
    tyrant.stop()


@pytest.mark.parametrize("address", ["127.0.0.1:81", "[::1]:81", ":1023", "localhost:0001"])
def test_roots_ports_are_roots(tyrant: TyrantDaemon, address: str) -> None:
    """Root listens for a user only where that user could listen."""
    beside = tyrant.put("a.ini.socket", address)
    tyrant.put("a.ini", SLEEPER)
    tyrant.start()
    assert tyrant.phase("a.ini", "barred").reason == (
        f"uid {ALICE} may not listen at {address}, ports below 1024 are root's; let the file with"
        " the address be root's if that is meant"
    )
    tyrant.put(beside.name, f"127.0.0.1:{free_root_port()}", 0, 0)  # so it is meant
    tyrant.phase("a.ini", "listening")
    tyrant.stop()


def test_a_hard_link_for_the_file_beside(tyrant: TyrantDaemon) -> None:
    secret = tyrant.folder / "secret"
    secret.write_text("@of-root")
    (tyrant.vassals / "a.ini.socket").hardlink_to(secret)
    tyrant.put("a.ini", SLEEPER)
    tyrant.start()
    reason = tyrant.phase("a.ini", "barred").reason
    assert reason == "a.ini.socket has 2 hard links; copy the file instead"
    tyrant.stop()


def test_one_directory_for_all(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant()
    sockets = tyrant.folder / "sockets"
    sockets.mkdir()
    tyrant.options += ["--on-demand-directory", str(sockets)]
    for name, uid in (("a.ini", ALICE), ("b.ini", BOB)):
        tyrant.put(name, SLEEPER, uid, uid)
    tyrant.start()
    for name, uid in (("a", ALICE), ("b", BOB)):
        path = sockets / f"{name}.socket"
        tyrant.until(partial(clients.listened_at, str(path)), "it is listened for")
        assert path.lstat().st_uid == uid
        clients.dial(str(path)).close()
        tyrant.phase(f"{name}.ini", "ready")
    tyrant.stop()
    assert list(sockets.iterdir()) == []


@pytest.mark.parametrize(("uid", "mode"), [(BOB, 0o755), (0, 0o1777), (0, 0o775)])
def test_one_directory_that_others_can_write_to(
    make_tyrant: MakeTyrant, uid: int, mode: int
) -> None:
    tyrant = make_tyrant()
    sockets = folder_of(tyrant, "sockets", uid)
    sockets.chmod(mode)
    tyrant.options += ["--on-demand-directory", str(sockets)]
    tyrant.put("a.ini", SLEEPER)
    tyrant.start()
    reason = tyrant.phase("a.ini", "barred").reason
    assert reason == f"others than root can write to {sockets}; chown or chmod it"
    assert list(sockets.iterdir()) == []
    tyrant.stop()


def test_on_a_file_system_that_does_not_answer(tyrant: TyrantDaemon) -> None:
    """It is alice's choice, so alice's vassals wait for it, and the daemon does not."""
    dead = folder_of(tyrant, "dead", ALICE)
    for number in range(3):
        tyrant.put(f"a{number}.ini.socket", str(dead / f"{number}.sock"))
        tyrant.put(f"a{number}.ini")
    alive = folder_of(tyrant, "bob", BOB) / "x.sock"
    tyrant.put("b.ini.socket", str(alive), BOB)
    tyrant.put("b.ini", SLEEPER, BOB)
    with dead_mount(dead):
        tyrant.start()
        tyrant.until(lambda: clients.listened_at(str(alive)), "bob's is listened for")
        clients.dial(str(alive)).close()
        tyrant.phase("b.ini", "ready")
        for number in range(3):
            failed = tyrant.event("listen_failed", f"a{number}.ini")
            assert failed.body["reason"] == (
                f"cannot listen at {dead}/{number}.sock: its file system gives no answer within 5 s"
            )
            assert failed.body["fault"] == "busy"
    for number in range(3):
        tyrant.phase(f"a{number}.ini", "listening", patience=60)
        tyrant.until((dead / f"{number}.sock").exists, "it is listened for")
    tyrant.stop()
    assert list(dead.iterdir()) == []
