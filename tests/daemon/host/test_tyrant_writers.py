"""Tyrant mode: no user writes another one's config, or puts one in its place."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.daemon.core.fleet import Vassal
from support.accounts import private_account, run
from support.ports import free_port
from support.pushing import Pusher
from support.tyrant import ALICE, ALICES, BOB, BOBS, TyrantDaemon
from support.vassals import SLEEPER

from .test_tyrant_files import file_of, folder_of, says

MakeTyrant = Callable[..., TyrantDaemon]
STAFF = 62_009


def set_mode(path: Path, mode: int, gid: int = STAFF) -> None:
    os.chown(path, -1, gid)
    path.chmod(mode)


def barred(tyrant: TyrantDaemon, name: str) -> str:
    """It is barred, without a process: the reason."""

    def without_process() -> Vassal | None:
        vassal = tyrant.vassal(name)
        is_barred = vassal is not None and vassal.phase == "barred"
        return vassal if is_barred and not tyrant.running_for(name) else None

    return (tyrant.until(without_process, f"{name}: barred").reason or "").removeprefix(
        "tyrant mode: "
    )


def test_a_config_for_the_group(tyrant: TyrantDaemon) -> None:
    """It never runs, every command says why, and a chmod starts it."""
    path = tyrant.put("a.ini")
    set_mode(path, 0o664)
    reason = f"tyrant mode: group {STAFF} may write to {path}; chmod g-w"
    tyrant.launch("--check")
    assert tyrant.wait() == 1
    assert f"  a.ini: barred: {reason}\n" in tyrant.log()
    tyrant.start()
    assert tyrant.phase("a.ini", "barred").reason == reason
    assert tyrant.events("spawned") == []
    control = ("daemon.ctl", "--control", f"{tyrant.journal}.sock")
    assert f"barred: {reason}" in says(*control, "explain", "a.ini").stdout
    path.chmod(0o644)
    tyrant.phase("a.ini", "ready")
    path.chmod(0o646)
    assert barred(tyrant, "a.ini") == f"everybody may write to {path}; chmod o-w"
    tyrant.stop()


@pytest.mark.parametrize("kind", ["dir", "glob"])
@pytest.mark.parametrize("above", ["its directory", "one above"])
def test_a_directory_for_the_group_while_it_runs(
    make_tyrant: MakeTyrant, kind: str, above: str
) -> None:
    """A rescan notices, and so does one when it is mended, though no file is touched."""
    folder = "srv/deep/app"
    tyrant = make_tyrant(monitors=[folder if kind == "dir" else f"{folder}/*.ini"])
    (tyrant.folder / "srv/deep/app").mkdir(parents=True)
    name = "a.ini" if kind == "dir" else f"{folder}/a.ini"
    file_of(tyrant.folder / folder / "a.ini", ALICE, SLEEPER).chmod(0o644)
    loose = tyrant.folder / (folder if above == "its directory" else "srv")
    tyrant.start()
    tyrant.phase(name, "ready")
    set_mode(loose, 0o775)
    assert barred(tyrant, name) == (
        f"the way to this file of uid {ALICE} leads over {loose}, where group {STAFF} may move"
        " things; chmod g-w or +t"
    )
    loose.chmod(0o755)
    tyrant.phase(name, "ready")
    tyrant.stop()


def test_a_directory_behind_roots_symlink(tyrant: TyrantDaemon) -> None:
    """The link's file is looked at by its target's times, which do not tell of the directory."""
    shared = folder_of(tyrant, "shared", 0)
    (tyrant.vassals / "a.ini").symlink_to(file_of(shared / "x.ini", ALICE, SLEEPER))
    tyrant.start()
    tyrant.phase("a.ini", "ready")
    set_mode(shared, 0o2775)
    assert f"leads over {shared}, where group {STAFF} may move things" in barred(tyrant, "a.ini")
    set_mode(shared, 0o755)
    tyrant.phase("a.ini", "ready")
    tyrant.stop()


def test_roots_symlink_into_a_directory_of_others(make_tyrant: MakeTyrant) -> None:
    """--tyrant-nofollow: root says that it is alice's, and not that others may write it."""
    tyrant = make_tyrant("--tyrant-nofollow")
    sticky = folder_of(tyrant, "sticky", 0, 0o1777)
    shared = folder_of(tyrant, "shared", 0)
    set_mode(shared, 0o775)
    files = {
        "bobs.ini": file_of(sticky / "b.ini", BOB, SLEEPER),
        "roots.ini": file_of(sticky / "r.ini", 0, SLEEPER),
        "shared.ini": file_of(shared / "s.ini", ALICE, SLEEPER),
        "own.ini": file_of(sticky / "o.ini", ALICE, SLEEPER),
        "both.ini": file_of(folder_of(tyrant, "closed", 0) / "g.ini", ALICE, SLEEPER),
    }
    set_mode(files["both.ini"], 0o664)
    for name, target in files.items():
        target.chmod(target.stat().st_mode | 0o044)
        (tyrant.vassals / name).symlink_to(target)
        os.lchown(tyrant.vassals / name, ALICE, ALICES)
    tyrant.start()
    tyrant.phase("own.ini", "ready")
    assert f"leads to a file of uid {BOB}" in barred(tyrant, "bobs.ini")
    assert f"{sticky}/r.ini, which is root's in a sticky directory" in barred(tyrant, "roots.ini")
    assert f"leads over {shared}, where group {STAFF} may" in barred(tyrant, "shared.ini")
    assert f"group {STAFF} may write to {files['both.ini']}" in barred(tyrant, "both.ini")
    files["both.ini"].chmod(0o644)
    shared.chmod(0o755)
    os.chown(files["roots.ini"], ALICE, ALICES)
    for name in ("both.ini", "shared.ini", "roots.ini"):
        tyrant.phase(name, "ready")
    tyrant.stop()


def test_a_private_group_is_its_user_until_another_joins(tyrant: TyrantDaemon) -> None:
    """umask 002. No file is touched when a group gets another member."""
    with private_account() as alice, private_account() as bob:
        path = tyrant.put("a.ini", SLEEPER, alice.pw_uid, alice.pw_gid)
        path.chmod(0o664)
        tyrant.start()
        tyrant.phase("a.ini", "ready")
        run("usermod", "-a", "-G", alice.pw_name, bob.pw_name)
        said = f"group {alice.pw_gid} may write to {path}; chmod g-w"
        assert barred(tyrant, "a.ini") == said
        run("usermod", "-G", "", bob.pw_name)
        tyrant.phase("a.ini", "ready")
        tyrant.stop()


def test_a_config_that_a_message_named_is_judged_again_before_each_start(
    make_tyrant: MakeTyrant,
) -> None:
    """Its monitor reads it once; uWSGI reads it at each start."""
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    tyrant = make_tyrant(monitors=[f"zmq://{endpoint}"])
    uwsgi = tyrant.folder / "uwsgi"
    uwsgi.write_text("#!/bin/sh\nexec sleep 1000\n")
    uwsgi.chmod(0o755)
    tyrant.options += ["--uwsgi", str(uwsgi)]
    path = file_of(tyrant.folder / "a.ini", ALICE, "[uwsgi]\n")
    tyrant.start()
    with Pusher(endpoint) as pusher:
        pusher.touch("a.ini", "", str(ALICE), str(ALICES))
        first = tyrant.event("spawned", "a.ini")
        set_mode(path, 0o664)
        os.kill(tyrant.pid_of("a.ini"), signal.SIGKILL)
        failed = tyrant.event("spawn_failed", "a.ini", after=first.seq)
        reason = f"tyrant mode: group {STAFF} may write to {path}; chmod g-w"
        assert failed.body["reason"] == reason
        control = ("daemon.ctl", "--control", f"{tyrant.journal}.sock")
        assert f"cannot be started now: {reason}" in says(*control, "explain", "a.ini").stdout
        assert tyrant.running_for("a.ini") == []
        path.chmod(0o644)
        tyrant.event("spawned", "a.ini", after=failed.seq)
    tyrant.stop()


def test_the_file_beside_for_the_group(make_tyrant: MakeTyrant) -> None:
    """It says where the user's vassal listens."""
    tyrant = make_tyrant("--on-demand-extension", ".socket")
    tyrant.put("a.ini")
    set_mode(tyrant.put("a.ini.socket", "@emperord-a"), 0o664)
    tyrant.start()
    assert barred(tyrant, "a.ini") == f"group {STAFF} may write to a.ini.socket; chmod g-w"
    tyrant.stop()


def test_files_that_others_swap_all_the_time_never_run(make_tyrant: MakeTyrant) -> None:
    """Bob's group may write to a directory above; alice's file and bob's change places there."""
    tyrant = make_tyrant("--tyrant-nofollow", environ={"BOBS": "of-bob"})
    shared = folder_of(tyrant, "shared", 0)
    set_mode(shared, 0o775, BOBS)
    for name, uid in (("good", ALICE), ("bad", BOB)):
        own = folder_of(tyrant, f"shared/{name}", uid)
        file_of(own / "x.ini", uid, SLEEPER).chmod(0o644)
    (tyrant.vassals / "a.ini").symlink_to(shared / "good" / "x.ini")
    os.lchown(tyrant.vassals / "a.ini", ALICE, ALICES)
    loop = (
        "import ctypes, os\n"
        "swap = ctypes.CDLL(None).renameat2\n"
        "while True:\n"
        "    swap(-100, b'good', -100, b'bad', 2)\n"  # RENAME_EXCHANGE
    )
    bob = (f"--reuid={BOB}", f"--regid={BOBS}", "--clear-groups", "--")
    argv = ["setpriv", *bob, sys.executable, "-ISc", loop]
    with subprocess.Popen(argv, cwd=shared) as swapper:
        try:
            tyrant.start()
            tyrant.event("vassal_%", "a.ini", count=5)
        finally:
            swapper.kill()
    assert tyrant.events("spawned") == []
    tyrant.stop()
