"""Tyrant mode: a vassal runs as its file's owner, and as no other user."""

import fcntl
import os
import pty
import pwd
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support import clients, processes
from support.leases import lease
from support.pushing import Pusher
from support.tyrant import (
    ALICE,
    ALICES,
    BOB,
    BOBS,
    TyrantDaemon,
    executes,
    status_of,
    uwsgi_for_all,
)
from support.vassals import APP, SLEEPER, shell

MakeTyrant = Callable[..., TyrantDaemon]


def test_user_group_groups_session_and_privileges(tyrant: TyrantDaemon) -> None:
    tyrant.put("a.ini")
    tyrant.put("b.ini", shell("exec sleep 1000"), BOB, BOBS)
    tyrant.start()
    for name, uid, gid in (("a.ini", ALICE, ALICES), ("b.ini", BOB, BOBS)):
        tyrant.phase(name, "ready")
        pid = tyrant.pid_of(name)
        tyrant.until(partial(executes, pid, "sleep"), "it is executed")
        status = status_of(pid)
        assert status["Uid"] == [str(uid)] * 4
        assert status["Gid"] == [str(gid)] * 4
        assert status["Groups"] == [str(gid)]
        assert status["NoNewPrivs"] == ["1"]
        assert {status[caps][0].strip("0") for caps in ("CapPrm", "CapEff", "CapInh")} == {""}
        assert os.getsid(pid) == os.getpgid(pid) == pid
    tyrant.stop()


def test_the_environment_is_what_the_page_lists(make_tyrant: MakeTyrant) -> None:
    secret = {"ROOTS_SECRET": "x", "HOME": "/root", "LD_PRELOAD_": "x", "PYTHONPATH": "/root"}
    meant = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    tyrant = make_tyrant(environ={**secret, **meant, "UWSGI_VASSAL_FOR_IT": "yes"})
    tyrant.put("a.ini")
    tyrant.start()
    tyrant.phase("a.ini", "ready")
    pid = tyrant.pid_of("a.ini")
    tyrant.until(partial(executes, pid, "sleep"), "it is executed")
    passed = processes.environment_of(pid)
    ours = {
        "EMPERORD_ATTEMPT",
        "EMPERORD_IDENTITY",
        "EMPERORD_VASSAL",
        "UWSGI_EMPEROR_FD",
        "UWSGI_STARTED_BY_TEST",
    }
    assert {key: passed[key] for key in meant} == meant
    assert passed["UWSGI_FOR_IT"] == "yes"
    others = {key for key in os.environ if key.startswith("LC_")}
    assert passed.keys() - others == meant.keys() - others | ours | {"UWSGI_FOR_IT"}
    tyrant.stop()


def test_real_uwsgi(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant("--on-demand-extension", ".socket")
    tyrant.options += ["--uwsgi", uwsgi_for_all(tyrant.folder)]
    home = tyrant.folder / "alice"
    home.mkdir(mode=0o755)
    os.chown(home, ALICE, ALICES)
    app = home / "app.py"
    app.write_text(APP.replace('"parent": os.getppid()', '"parent": os.getuid()'))
    options = f"protocol = http\nwsgi-file = {app}\nmaster = true\nneed-app = true\n"
    beside = tyrant.put("a.ini.socket", str(home / "x.sock"))
    tyrant.put("a.ini", f"[uwsgi]\n{options}")
    tyrant.start()
    tyrant.until(lambda: clients.listened_at(beside.read_text()), "it is listened for")
    assert clients.ask(beside.read_text())["parent"] == ALICE
    os.kill(tyrant.phase("a.ini", "accepting").pid or 0, signal.SIGKILL)  # root can, of course
    tyrant.event("exited", "a.ini")  # until then, a worker of the killed master may take the client
    assert clients.ask(beside.read_text())["parent"] == ALICE
    tyrant.stop()


@pytest.mark.parametrize("initgroups", [False, True])
def test_an_account(make_tyrant: MakeTyrant, account: pwd.struct_passwd, initgroups: bool) -> None:
    tyrant = make_tyrant(*(["--tyrant-initgroups"] if initgroups else []))
    tyrant.put("a.ini", SLEEPER, account.pw_uid, account.pw_gid)
    tyrant.start()
    tyrant.phase("a.ini", "ready")
    pid = tyrant.pid_of("a.ini")
    tyrant.until(partial(executes, pid, "sleep"), "it is executed")
    groups = set(map(int, status_of(pid)["Groups"]))
    all_of_them = set(os.getgrouplist(account.pw_name, account.pw_gid))
    assert len(all_of_them) == 2
    assert groups == (all_of_them if initgroups else {account.pw_gid})
    passed = processes.environment_of(pid)
    assert (passed["USER"], passed["HOME"]) == (account.pw_name, account.pw_dir)
    tyrant.stop()


def test_groups_need_an_account(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant("--tyrant-initgroups")
    tyrant.put("a.ini")
    tyrant.start()
    reason = tyrant.phase("a.ini", "barred").reason
    assert reason == (
        f"uid {ALICE} has no account, so --tyrant-initgroups cannot tell its groups; make one"
    )
    tyrant.stop()


@pytest.mark.parametrize(
    ("uid", "gid", "gives"), [(0, ALICES, "uid 0"), (ALICE, 0, "gid 0"), (0, 0, "uid 0")]
)
def test_root_runs_no_vassal(tyrant: TyrantDaemon, uid: int, gid: int, gives: str) -> None:
    path = tyrant.put("a.ini", SLEEPER, uid, gid)
    tyrant.start()
    reason = tyrant.phase("a.ini", "barred").reason
    assert reason == (
        f"tyrant mode: dir://{tyrant.vassals} gives {gives};"
        " to run, it needs a uid and a gid that are not root's"
    )
    assert tyrant.running() == []
    os.chown(path, ALICE, ALICES)  # the reason tells the operator what to mend
    tyrant.phase("a.ini", "ready")
    tyrant.stop()


WHOSE = {
    "as.ini": (str(ALICE), str(ALICES), None),
    "none.ini": ("", "", "no uid"),
    "no-gid.ini": (str(ALICE), "", "no gid"),
    "root.ini": ("0", str(ALICES), "uid 0"),
    "roots.ini": (str(ALICE), "0", "gid 0"),
}


def test_a_source_that_says_whose_each_is(make_tyrant: MakeTyrant, tmp_path: Path) -> None:
    url = f"zmq://ipc://{tmp_path}/zmq"
    tyrant = make_tyrant(monitors=[url])
    tyrant.start()
    with Pusher(f"ipc://{tmp_path}/zmq") as pusher:
        for name, (uid, gid, _) in WHOSE.items():
            pusher.touch(name, SLEEPER, uid, gid)
        pusher.touch("below.ini", SLEEPER, "-1", str(ALICES))
        pusher.touch("beyond.ini", SLEEPER, str(2**32 + ALICE), str(ALICES))
        tyrant.event("observation_rejected", count=2)
    for name, (_, _, gives) in WHOSE.items():
        if gives is None:
            pid = tyrant.executed(name)
            assert status_of(pid)["Uid"] == [str(ALICE)] * 4
            assert status_of(pid)["Gid"] == [str(ALICES)] * 4
        else:
            assert tyrant.phase(name, "barred").reason == (
                f"tyrant mode: {url} gives {gives};"
                " to run, it needs a uid and a gid that are not root's"
            )
    assert tyrant.fleet().vassals.keys() == WHOSE.keys()
    tyrant.stop()


def test_another_owner_gets_a_process_of_its_own(tyrant: TyrantDaemon) -> None:
    path = tyrant.put("a.ini")
    tyrant.start()
    tyrant.phase("a.ini", "ready")
    first = tyrant.pid_of("a.ini")
    os.chown(path, BOB, BOBS)
    changed = tyrant.event("vassal_changed", "a.ini")
    assert changed.body["change"] == f"owner {ALICE}:{ALICES} to {BOB}:{BOBS}"
    tyrant.event("spawned", "a.ini", count=2)
    kinds = tyrant.kinds("a.ini", after=changed.seq)
    assert kinds[:2] == ["exited", "spawned"]
    second = tyrant.pid_of("a.ini")
    assert second != first
    tyrant.until(lambda: status_of(second)["Uid"] == [str(BOB)] * 4, "it has become bob's")
    said = f"restarts as uid {BOB} gid {BOBS}; it was uid {ALICE} gid {ALICES}"
    tyrant.until(lambda: said in tyrant.log(), "the log says both")
    tyrant.stop()


def test_it_is_refused_without_root(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant(
        before=("setpriv", f"--reuid={ALICE}", f"--regid={ALICES}", "--clear-groups",
                "--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
    )  # fmt: skip
    tyrant.launch()
    assert tyrant.wait() == 3
    assert tyrant.log() == (
        f"emperor: --tyrant needs root, to run vassals as other users; this is uid {ALICE}:"
        " start it as root, or without --tyrant\n"
    )
    assert not tyrant.journal.exists()


@pytest.mark.parametrize("option", ["--tyrant-nofollow", "--tyrant-initgroups"])
def test_what_says_how_needs_tyrant(make_tyrant: MakeTyrant, option: str) -> None:
    tyrant = make_tyrant(option)
    tyrant.options.remove("--tyrant")
    tyrant.launch()
    assert tyrant.wait() == 2
    assert f"{option} says how --tyrant is meant" in tyrant.log()


def test_turned_on_it_ends_what_runs_as_somebody_else(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant()
    tyrant.options.remove("--tyrant")
    tyrant.put("a.ini")
    tyrant.put("roots.ini", SLEEPER, 0, 0)
    tyrant.start()
    for name in ("a.ini", "roots.ini"):
        tyrant.phase(name, "ready")
        assert status_of(tyrant.pid_of(name))["Uid"][0] == "0"
    tyrant.kill()
    after = tyrant.last_seq()
    tyrant.start("--tyrant")
    tyrant.event("spawned", "a.ini", after=after)
    assert status_of(tyrant.executed("a.ini"))["Uid"][0] == str(ALICE)
    tyrant.phase("roots.ini", "barred")
    assert len(tyrant.running()) == 1
    tyrant.kill()
    after = tyrant.last_seq()
    tyrant.start()
    tyrant.event("spawned", "a.ini", after=after)
    assert status_of(tyrant.pid_of("a.ini"))["Uid"][0] == "0"
    tyrant.stop()


def test_the_log_belongs_to_the_vassals_user(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant("--log-size", "4096")
    tyrant.put("a.ini", shell("head -c 9000 /dev/zero | tr '\\\\0' x; echo END; exec sleep 1000"))
    tyrant.start()
    tyrant.phase("a.ini", "ready")
    logs = tyrant.logs
    status = (logs / "a.ini.log").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (ALICE, ALICES, 0o640)
    tyrant.until((logs / "a.ini.log.1").exists, "the log is cut")

    def older() -> tuple[int, int, int]:
        status = (logs / "a.ini.log.1").stat()
        return status.st_uid, status.st_gid, status.st_mode & 0o777

    # The daemon's, and its group may read it. It is made for the daemon alone.
    tyrant.until(lambda: older() == (0, ALICES, 0o640), "its group may read it")
    assert logs.stat().st_uid == 0
    tyrant.stop()


def test_a_log_is_never_another_users(make_tyrant: MakeTyrant) -> None:
    """A former reader has it open still, and must not read on; nor may the next read back."""
    tyrant = make_tyrant("--log-size", "4096")
    path = tyrant.put("a.ini", shell("echo of-alice; exec sleep 1000"))
    tyrant.start()
    tyrant.until(lambda: tyrant.vassal_log("a.ini"), "alice's has written")
    older = tyrant.logs / "a.ini.log.1"
    with (tyrant.logs / "a.ini.log").open() as alices:
        path.write_text(shell("head -c 9000 /dev/zero | tr '\\0' x; exec sleep 1000"))
        os.chown(path, BOB, BOBS)
        tyrant.until(older.exists, "hers is set aside")
        assert older.stat().st_gid == ALICES
        tyrant.until(lambda: older.stat().st_gid == BOBS, "bob's is cut")
        assert older.read_text() == "x" * 8192
        assert alices.read() == "of-alice\n"
    tyrant.stop()


@pytest.mark.parametrize(("uid", "mode"), [(ALICE, 0o755), (0, 0o777), (0, 0o775)])
def test_logs_in_a_directory_of_others_are_refused(
    make_tyrant: MakeTyrant, uid: int, mode: int
) -> None:
    tyrant = make_tyrant()
    logs = tyrant.folder / "logs"
    logs.mkdir()
    logs.chmod(mode)
    os.chown(logs, uid, 0)
    tyrant.launch("--log-directory", str(logs))
    assert tyrant.wait() == 3
    assert "must be in a directory that only root can write to" in tyrant.log()


def test_no_terminal_is_given_away(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant("--log", "inherit")
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            tyrant.argv, cwd=tyrant.folder, stdout=theirs, stderr=subprocess.PIPE, text=True,
            timeout=20, check=False,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 3
    assert done.stderr == (
        "emperor: --tyrant with --log inherit would give this terminal to every vassal, to read"
        " from as well: let it have log files, or send output elsewhere\n"
    )


def test_a_link_in_place_of_a_log_is_not_followed(tyrant: TyrantDaemon, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    tyrant.logs.mkdir(parents=True)
    (tyrant.logs / "a.ini.log").symlink_to(precious)
    tyrant.put("a.ini", shell("echo x; exec sleep 1000"))
    tyrant.start()
    failed = tyrant.event("spawn_failed", "a.ini")
    assert failed.body["fault"] == "resources"
    assert "its log cannot be opened" in failed.body["reason"]
    assert precious.read_text() == "precious"
    assert precious.stat().st_uid == 0
    tyrant.stop()


def test_a_lease_on_a_log_holds_up_nobody_else(tyrant: TyrantDaemon) -> None:
    """It is the user's file, so the user may have one; the next start opens it."""
    path = tyrant.put("a.ini", shell("exit 1"))
    tyrant.start()
    tyrant.event("exited", "a.ini")
    after = tyrant.last_seq()
    with lease(tyrant.logs / "a.ini.log", fcntl.F_RDLCK):
        path.write_text(SLEEPER)
        failed = tyrant.event("spawn_failed", "a.ini", after=after)
        assert failed.body["fault"] == "resources"
        tyrant.put("b.ini", SLEEPER, BOB, BOBS)
        tyrant.phase("b.ini", "ready")
    tyrant.phase("a.ini", "ready")
    tyrant.stop()
