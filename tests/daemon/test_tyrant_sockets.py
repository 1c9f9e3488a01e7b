"""Tyrant mode and on demand: root makes no socket where the vassal's user could not."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from support import clients
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
