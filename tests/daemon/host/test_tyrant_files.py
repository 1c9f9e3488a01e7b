"""Tyrant mode: no link makes root read or run what is another's."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support.tyrant import ALICE, ALICES, BOB, BOBS, TyrantDaemon, status_of
from support.vassals import SLEEPER

MakeTyrant = Callable[..., TyrantDaemon]
BOBS_CONFIG = "[uwsgi]\nsecret = of-bob\n"


def folder_of(tyrant: TyrantDaemon, name: str, uid: int, mode: int = 0o755) -> Path:
    """A directory of a user's."""
    path = tyrant.folder / name
    path.mkdir()
    path.chmod(mode)
    os.chown(path, uid, uid)
    return path


def file_of(path: Path, uid: int, text: str = BOBS_CONFIG) -> Path:
    """A file that only its user may read."""
    path.write_text(text)
    path.chmod(0o600)
    os.chown(path, uid, uid + 1000)
    return path


def kept_of_bobs(tyrant: TyrantDaemon) -> list[str]:
    """The configs in the journal that are what bob's file says."""
    contents = [content for (content,) in tyrant.query("SELECT content FROM config")]
    return [text for content in contents if "of-bob" in (text := content.decode())]


def is_alices(pid: int) -> bool:
    """Whether it has come to run as alice, or is gone: it is started anew again and again."""
    try:
        return status_of(pid)["Uid"] == [str(ALICE)] * 4
    except OSError:
        return True


def runs_as(tyrant: TyrantDaemon, name: str, uid: int) -> None:
    """Wait until its process has become the user's: it is root's until then."""
    pid = tyrant.pid_of(name)
    tyrant.until(lambda: status_of(pid)["Uid"] == [str(uid)] * 4, f"{name} runs as uid {uid}")


def says(module: str, *words: object) -> subprocess.CompletedProcess[str]:
    """The result of one of the commands, with its output."""
    argv = [sys.executable, "-m", f"emperord.{module}", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def never_read(tyrant: TyrantDaemon, name: str) -> str:
    """It is barred, nothing of it runs, and root kept nothing of what is in it."""
    reason = tyrant.phase(name, "barred").reason or ""
    assert tyrant.running() == []
    assert kept_of_bobs(tyrant) == []
    assert "of-bob" not in tyrant.log()
    tyrant.stop()
    return reason


def test_a_users_symlink_to_anothers_file(tyrant: TyrantDaemon) -> None:
    """In a directory that users may write to."""
    tyrant.vassals.chmod(0o1777)
    secret = file_of(folder_of(tyrant, "bob", BOB, 0o700) / "x.ini", BOB)
    link = tyrant.vassals / "a.ini"
    link.symlink_to(secret)
    os.lchown(link, ALICE, ALICES)
    tyrant.start()
    assert never_read(tyrant, "a.ini") == f"tyrant mode: uid {ALICE} may not read {link}"


def test_a_hard_link_to_anothers_file(tyrant: TyrantDaemon) -> None:
    tyrant.vassals.chmod(0o1777)
    secret = file_of(folder_of(tyrant, "bob", BOB, 0o700) / "x.ini", BOB)
    (tyrant.vassals / "a.ini").hardlink_to(secret)
    tyrant.start()
    assert never_read(tyrant, "a.ini") == (
        "tyrant mode: it has 2 hard links, and not only root could make one there;"
        " copy the file instead"
    )


def test_a_users_own_directory_of_vassals(make_tyrant: MakeTyrant) -> None:
    """A config there is the user's, or it does not run."""
    tyrant = make_tyrant(monitors=["home/*/vassals/*.ini"])
    (tyrant.folder / "home").mkdir()
    for name, uid in (("alice", ALICE), ("bob", BOB)):
        home = folder_of(tyrant, f"home/{name}", uid)
        os.chown(folder_of(tyrant, f"home/{name}/vassals", uid), uid, uid)
        file_of(home / "vassals" / "own.ini", uid, SLEEPER)
    file_of(tyrant.folder / "home/alice/vassals/theirs.ini", BOB)  # moved there, say
    tyrant.start()
    for name, uid in (("alice", ALICE), ("bob", BOB)):
        vassal = f"home/{name}/vassals/own.ini"
        tyrant.phase(vassal, "ready")
        runs_as(tyrant, vassal, uid)
    reason = tyrant.phase("home/alice/vassals/theirs.ini", "barred").reason
    assert reason == (
        f"tyrant mode: it is a file of uid {BOB} in a directory of uid {ALICE};"
        " the directory must be root's or the file owner's"
    )
    tyrant.stop()


def test_a_directory_that_is_a_link_to_anothers(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant(monitors=["home/*/vassals/*.ini"])
    (tyrant.folder / "home").mkdir()
    bobs = folder_of(tyrant, "bobs", BOB)
    file_of(bobs / "x.ini", BOB)
    alice = folder_of(tyrant, "home/alice", ALICE)
    (alice / "vassals").symlink_to(bobs)
    os.lchown(alice / "vassals", ALICE, ALICES)
    tyrant.start()
    reason = never_read(tyrant, "home/alice/vassals/x.ini")
    assert f"leads over {alice}, which belongs to uid {ALICE}" in reason


def test_roots_symlink_to_a_users_file(tyrant: TyrantDaemon) -> None:
    """How admins do it: the link is root's, the file the user's, who may edit it."""
    own = file_of(folder_of(tyrant, "alice", ALICE) / "x.ini", ALICE, SLEEPER)
    (tyrant.vassals / "a.ini").symlink_to(own)
    tyrant.start()
    tyrant.phase("a.ini", "ready")
    runs_as(tyrant, "a.ini", ALICE)
    own.write_text(SLEEPER + "# edited\n")
    tyrant.event("vassal_changed", "a.ini")
    tyrant.stop()


def test_a_file_that_the_user_bends_to_anothers(tyrant: TyrantDaemon) -> None:
    """Root's link leads to the user's directory, and from there to a file of another user."""
    secret = file_of(folder_of(tyrant, "bob", BOB, 0o700) / "x.ini", BOB)
    home = folder_of(tyrant, "alice", ALICE)
    own = file_of(home / "x.ini", ALICE, SLEEPER)
    (tyrant.vassals / "a.ini").symlink_to(own)
    tyrant.start()
    tyrant.phase("a.ini", "ready")
    own.unlink()
    own.symlink_to(secret)
    os.lchown(own, ALICE, ALICES)
    tyrant.event("exited", "a.ini")
    assert never_read(tyrant, "a.ini") == (
        f"tyrant mode: uid {ALICE} may not read {tyrant.vassals}/a.ini"
    )


def test_a_hard_link_behind_roots_symlink(tyrant: TyrantDaemon) -> None:
    secret = file_of(folder_of(tyrant, "bob", BOB, 0o700) / "x.ini", BOB)
    home = folder_of(tyrant, "alice", ALICE)
    (home / "x.ini").hardlink_to(secret)
    (tyrant.vassals / "a.ini").symlink_to(home / "x.ini")
    tyrant.start()
    assert f"leads over {home}, which belongs to uid {ALICE}" in never_read(tyrant, "a.ini")


def test_hard_links_that_root_made(tyrant: TyrantDaemon) -> None:
    """Where only root can write, deploys may link as they like."""
    (tyrant.folder / "deploy").mkdir()
    made = file_of(tyrant.folder / "deploy" / "x.ini", ALICE, SLEEPER)
    (tyrant.vassals / "a.ini").hardlink_to(made)
    tyrant.start()
    tyrant.phase("a.ini", "ready")
    tyrant.stop()


def test_the_symlinks_own_owner(make_tyrant: MakeTyrant) -> None:
    """--tyrant-nofollow: one template, many users."""
    tyrant = make_tyrant("--tyrant-nofollow")
    template = tyrant.folder / "template.ini"
    template.write_text(SLEEPER)
    for name, uid in (("a.ini", ALICE), ("b.ini", BOB)):
        (tyrant.vassals / name).symlink_to(template)
        os.lchown(tyrant.vassals / name, uid, uid)
    tyrant.start()
    for name, uid in (("a.ini", ALICE), ("b.ini", BOB)):
        tyrant.phase(name, "ready")
        runs_as(tyrant, name, uid)
    tyrant.stop()


def test_a_users_symlink_with_nofollow(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant("--tyrant-nofollow")
    tyrant.vassals.chmod(0o1777)
    secret = file_of(folder_of(tyrant, "bob", BOB, 0o700) / "x.ini", BOB)
    (tyrant.vassals / "a.ini").symlink_to(secret)
    os.lchown(tyrant.vassals / "a.ini", ALICE, ALICES)
    tyrant.start()
    assert never_read(tyrant, "a.ini") == (
        f"tyrant mode: uid {ALICE} may not read {tyrant.vassals}/a.ini"
    )


def test_a_root_only_file_behind_a_users_symlink(make_tyrant: MakeTyrant) -> None:
    """--tyrant-nofollow: it is read as alice or not at all, and no command prints its text."""
    tyrant = make_tyrant("--tyrant-nofollow", environ={"ROOTS": "of-root"})
    secret = file_of(tyrant.folder / "secret.ini", 0, "[uwsgi]\nsecret = of-root\n")
    link = tyrant.vassals / "a.ini"
    link.symlink_to(secret)
    os.lchown(link, ALICE, ALICES)
    tyrant.start()
    reason = f"tyrant mode: uid {ALICE} may not read {link}"
    assert tyrant.phase("a.ini", "barred").reason == reason
    show = ("replay.main", "--journal", tyrant.journal, "show", "a.ini")
    control = f"{tyrant.journal}.sock"
    explained = says("daemon.ctl", "--control", control, "explain", "a.ini").stdout
    assert reason in explained
    assert "of-root" not in explained  # nor in the daemon's environment, which it would not get
    shown = says(*show)
    assert (shown.stdout, shown.returncode) == ("", 1)
    assert shown.stderr == f"emperor-replay: the config of a.ini was not read: {reason}\n"
    assert tyrant.query("SELECT content FROM config") == []
    secret.chmod(0o644)
    tyrant.event("vassal_changed", "a.ini")
    assert "of-root" in says(*show).stdout
    tyrant.stop()


def test_a_program_that_only_root_can_reach(tyrant: TyrantDaemon) -> None:
    """Whether it is there is not told: both are what alice would be told by the kernel."""
    closed = folder_of(tyrant, "closed", 0, 0o700)
    (closed / "there").write_text("#!/bin/sh\n")
    (closed / "there").chmod(0o755)
    for name in ("there", "missing"):
        tyrant.put(f"{name}.ini", f"[emperor]\ncommand = {closed}/{name}\n")
    tyrant.start()
    for name in ("there", "missing"):
        reason = tyrant.phase(f"{name}.ini", "barred").reason
        assert reason == f"cannot be executed: {closed}/{name}: Permission denied"
    tyrant.stop()


@pytest.mark.parametrize("way", ["direct", "over alice's symlink"])
def test_roots_symlink_does_not_make_anothers_file_the_users(
    make_tyrant: MakeTyrant, way: str
) -> None:
    """--tyrant-nofollow: the link is alice's, by root's word. Bob can write what it leads to."""
    tyrant = make_tyrant("--tyrant-nofollow")
    bobs = folder_of(tyrant, "bob", BOB)
    file_of(bobs / "x.ini", BOB).chmod(0o644)
    target = bobs / "x.ini"
    if way != "direct":
        target = folder_of(tyrant, "alice", ALICE) / "x.ini"
        target.symlink_to(bobs / "x.ini")
        os.lchown(target, ALICE, ALICES)
    (tyrant.vassals / "a.ini").symlink_to(target)
    os.lchown(tyrant.vassals / "a.ini", ALICE, ALICES)
    tyrant.start()
    assert never_read(tyrant, "a.ini") == (
        f"tyrant mode: the symlink of uid {ALICE} leads to a file of uid {BOB};"
        " the file must be root's or that user's"
    )


def test_a_users_file_below_anothers_directory(make_tyrant: MakeTyrant) -> None:
    """The owner of a directory above can replace it, once the file was looked at."""
    tyrant = make_tyrant(monitors=["srv/*/app/*.ini"])
    (tyrant.folder / "srv").mkdir()
    bobs = folder_of(tyrant, "srv/bob", BOB)
    file_of(folder_of(tyrant, "srv/bob/app", ALICE) / "x.ini", ALICE)
    tyrant.start()
    assert never_read(tyrant, "srv/bob/app/x.ini") == (
        f"tyrant mode: the way to this file of uid {ALICE} leads over {bobs}, which belongs to uid"
        f" {BOB}"
    )


def test_a_directory_in_which_everybody_may_move_things(tyrant: TyrantDaemon) -> None:
    tyrant.vassals.chmod(0o777)
    tyrant.put("a.ini", BOBS_CONFIG)
    tyrant.start()
    assert never_read(tyrant, "a.ini") == (
        f"tyrant mode: the way to this file of uid {ALICE} leads over {tyrant.vassals}, where"
        " everybody may move things; chmod o-w or +t"
    )


def test_what_is_swapped_all_the_time_is_never_anothers(make_tyrant: MakeTyrant) -> None:
    """Between listing and opening, too: file, link and directory take each other's place."""
    tyrant = make_tyrant(monitors=["home/*/vassals/*.ini"])
    (tyrant.folder / "home").mkdir()
    bobs = folder_of(tyrant, "bobs", BOB, 0o700)
    file_of(bobs / "x.ini", BOB)
    home = folder_of(tyrant, "home/alice", ALICE)
    file_of(folder_of(tyrant, "home/alice/vassals", ALICE) / "x.ini", ALICE, SLEEPER)
    (home / "link").symlink_to(bobs)
    tyrant.start()
    swaps = (
        "mv vassals v; mv link vassals; mv vassals link; mv v vassals; "
        "mv vassals/x.ini x; ln -s ../../../bobs/x.ini vassals/x.ini; mv -f x vassals/x.ini; "
    )
    alice = (f"--reuid={ALICE}", f"--regid={ALICES}", "--clear-groups", "--")
    loop = ("sh", "-c", f"while :; do {swaps} done")
    with subprocess.Popen(["setpriv", *alice, *loop], cwd=home) as swapper:
        try:
            tyrant.event("vassal_%", count=10)
        finally:
            swapper.kill()
    assert kept_of_bobs(tyrant) == []
    for pid in tyrant.running():
        tyrant.until(partial(is_alices, pid), "it runs as alice")
    tyrant.stop()


def test_nofollow_alone_does_not_change_whose_it_is(make_tyrant: MakeTyrant) -> None:
    """--nofollow is about times; the owner is still the file's."""
    tyrant = make_tyrant("--nofollow")
    own = file_of(folder_of(tyrant, "alice", ALICE) / "x.ini", ALICE, SLEEPER)
    (tyrant.vassals / "a.ini").symlink_to(own)
    tyrant.start()
    tyrant.phase("a.ini", "ready")
    runs_as(tyrant, "a.ini", ALICE)
    tyrant.stop()


@pytest.mark.parametrize("name", ["$(touch x).ini", "a;touch x;.ini", "`touch x`.ini", "-x y'.ini"])
def test_a_file_name_meets_no_shell(tyrant: TyrantDaemon, name: str) -> None:
    tyrant.vassals.chmod(0o1777)
    tyrant.put(name, "[uwsgi]\n")
    tyrant.options += ["--uwsgi", "/bin/echo"]
    tyrant.start()
    said = partial(tyrant.vassal_log, name.replace("$", "%24").replace(";", "%3B"))
    tyrant.event("exited", name)
    logs = "".join(path.read_text() for path in tyrant.logs.iterdir())
    assert logs.startswith(f"--ini {name}\n"), said()
    assert not list(tyrant.vassals.glob("x*"))
    tyrant.stop()


def test_the_file_beside_must_be_the_users(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant("--on-demand-extension", ".socket")
    tyrant.vassals.chmod(0o1777)
    tyrant.put("a.ini")
    tyrant.put("a.ini.socket", ":1", BOB, BOBS)
    tyrant.put("b.ini")
    (tyrant.vassals / "b.ini.socket").symlink_to("/etc/shadow")
    tyrant.start()
    said = tyrant.phase("a.ini", "barred").reason
    assert said == f"a.ini.socket belongs to uid {BOB}, not to uid {ALICE}"
    assert tyrant.phase("b.ini", "barred").reason == "b.ini.socket is a symlink"
    tyrant.stop()
