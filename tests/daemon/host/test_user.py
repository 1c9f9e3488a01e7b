"""``--user``: all vassals run as one user; and what is said where they are root unasked."""

import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import click
import pytest
from emperord.daemon.host.users import root_warning, user_of
from emperord.daemon.options import policy
from emperord.journal.events import Spec
from emperord.journal.policy import Policy
from support import clients, processes
from support.tyrant import (
    ALICE,
    ALICES,
    BOB,
    BOBS,
    TyrantDaemon,
    common_ground,
    executes,
    status_of,
    uwsgi_for_all,
)
from support.vassals import APP, SLEEPER

from ..conftest import QUICK

MakeRoot = Callable[..., TyrantDaemon]
USER = ("--user", f"{ALICE}:{ALICES}")
WARNING = "all vassals run as root: give --user USER"


@pytest.fixture
def make_root() -> Iterator[MakeRoot]:
    """Make a daemon of root's that is told nothing of users, on a folder that all can reach."""
    with ExitStack() as stack:

        def make(*options: str, **more: Any) -> TyrantDaemon:
            folder = stack.enter_context(common_ground())
            made = stack.enter_context(TyrantDaemon(folder, *QUICK, *options, **more))
            del made.environ["EMPEROR_AS_ROOT"]
            return made

        yield make


def up(daemon: TyrantDaemon, name: str, after: int = 0) -> int:
    """The pid of a sleeper, as soon as it is that."""
    daemon.event("spawned", name, after=after)
    pid = daemon.phase(name, "ready").pid or 0
    daemon.until(partial(executes, pid, "sleep"), "it is executed")
    return pid


def test_vassals_run_as_the_account_with_its_groups(
    make_root: MakeRoot, account: pwd.struct_passwd
) -> None:
    environ = {"HOME": "/root", "USER": "root", "DEPLOYED_BY": "somebody"}
    daemon = make_root("--user", account.pw_name, environ=environ)
    daemon.put("a.ini", SLEEPER, 0, 0)
    daemon.start()
    pid = up(daemon, "a.ini")
    status = status_of(pid)
    assert status["Uid"] == [str(account.pw_uid)] * 4
    assert status["Gid"] == [str(account.pw_gid)] * 4
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    assert len(groups) == 2
    assert set(map(int, status["Groups"])) == set(groups)
    assert status["NoNewPrivs"] == ["1"]
    passed = processes.environment_of(pid)
    assert (passed["USER"], passed["HOME"]) == (account.pw_name, account.pw_dir)
    assert passed["DEPLOYED_BY"] == "somebody"
    log = (daemon.logs / "a.ini.log").stat()
    assert (log.st_uid, log.st_gid) == (account.pw_uid, account.pw_gid)
    assert WARNING not in daemon.log()
    daemon.stop()


def test_uwsgi_on_demand(make_root: MakeRoot) -> None:
    daemon = make_root(*USER)
    daemon.options += ["--uwsgi", uwsgi_for_all(daemon.folder)]
    sockets = daemon.folder / "run"
    sockets.mkdir()
    daemon.options += ["--on-demand-directory", str(sockets)]
    app = daemon.folder / "app.py"
    app.write_text(APP.replace('"parent": os.getppid()', '"parent": os.getuid()'))
    options = f"protocol = http\nwsgi-file = {app}\nmaster = true\nneed-app = true\n"
    daemon.put("a.ini", f"[uwsgi]\n{options}", 0, 0)
    daemon.start()
    address = sockets / "a.socket"
    daemon.until(lambda: clients.listened_at(str(address)), "it is listened for")
    assert (address.stat().st_uid, address.stat().st_gid) == (ALICE, ALICES)
    assert clients.ask(str(address))["parent"] == ALICE
    daemon.stop()


def test_another_user_over_a_restart(make_root: MakeRoot) -> None:
    daemon = make_root()
    daemon.put("a.ini", SLEEPER, 0, 0)
    daemon.start()
    assert status_of(up(daemon, "a.ini"))["Uid"][0] == "0"
    for told, uid, reason in (
        (USER, ALICE, f"restarts as uid {ALICE} gid {ALICES}: --user was changed"),
        (("--user", f"{BOB}:{BOBS}"), BOB, f"restarts as uid {BOB} gid {BOBS}: --user was changed"),
        ((), 0, "restarts as the daemon's user: --user was changed"),
    ):
        daemon.kill()
        after = daemon.last_seq()
        daemon.start(*told)
        assert status_of(up(daemon, "a.ini", after))["Uid"][0] == str(uid)
        assert reason in daemon.log()
    assert len(daemon.running()) == 1
    # The same user as before: nothing restarts.
    daemon.kill()
    pids = daemon.running()
    after = daemon.last_seq()
    daemon.start()
    assert daemon.running() == pids
    assert "spawned" not in daemon.kinds(after=after)
    daemon.stop()
    verify = [
        sys.executable,
        "-m",
        "emperord.replay.main",
        "--journal",
        str(daemon.journal),
        "verify",
    ]
    subprocess.run(verify, check=True, capture_output=True)


def test_it_is_refused_without_root(make_root: MakeRoot) -> None:
    before = ("setpriv", f"--reuid={ALICE}", f"--regid={ALICES}", "--clear-groups",
              "--inh-caps=+dac_override", "--ambient-caps=+dac_override")  # fmt: skip
    daemon = make_root("--user", f"{BOB}:{BOBS}", before=before)
    daemon.launch()
    assert daemon.wait() == 3
    assert daemon.log() == (
        f"emperor: --user needs root, to run vassals as other users; this is uid {ALICE}:"
        " start it as root, or without --user\n"
    )


@pytest.mark.parametrize("other", ["tyrant", "as_root"])
def test_what_contradicts_it(other: str) -> None:
    with pytest.raises(click.UsageError, match=f"--user and --{other.replace('_', '-')} contra"):
        policy({"user": (7, 8), other: True})


def test_an_account_is_not_needed() -> None:
    user = user_of(Spec(ts=0), Policy(user=(ALICE, ALICES)))
    assert user is not None
    assert (user.uid, user.gid, user.groups, user.account) == (ALICE, ALICES, (ALICES,), {})
    assert user.environment({"HOME": "/root", "LOGNAME": "root", "X": "y"}) == {"X": "y"}


# Where no option says that root is meant


@pytest.mark.parametrize(
    ("euid", "decided", "meant", "warned"),
    [
        pytest.param(0, Policy(), False, True, id="root"),
        pytest.param(0, Policy(), True, False, id="root is meant"),
        pytest.param(0, Policy(tyrant=True), False, False, id="tyrant mode"),
        pytest.param(0, Policy(user=(7, 8)), False, False, id="a user"),
        pytest.param(1000, Policy(), False, False, id="not root"),
    ],
)
def test_who_is_warned(
    monkeypatch: pytest.MonkeyPatch, euid: int, decided: Policy, meant: bool, warned: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    assert (root_warning(decided, meant=meant) is not None) == warned


def test_root_is_warned_of_at_each_start_and_by_check(make_root: MakeRoot) -> None:
    daemon = make_root()
    daemon.put("a.ini", SLEEPER, 0, 0)
    for count in (1, 2):
        daemon.start()
        assert daemon.log().count(f"emperor: {WARNING}") == count
        daemon.stop()
    daemon.launch("--check")
    assert daemon.wait() == 0
    assert f"\nwarning: {WARNING}" in daemon.log()
    seen = daemon.log().count(WARNING)
    daemon.start("--as-root")
    daemon.stop()
    daemon.launch("--as-root", "--check")
    assert daemon.wait() == 0
    assert daemon.log().count(WARNING) == seen


@pytest.mark.parametrize(
    ("mode", "flaw"),
    [
        pytest.param(0o600, "barred: uid 61001 with gid 62001 may not read this config", id="0600"),
        pytest.param(0o644, None, id="0644"),
    ],
)
def test_check_reads_configs_as_the_user(make_root: MakeRoot, mode: int, flaw: str | None) -> None:
    daemon = make_root(*USER)
    daemon.options += ["--uwsgi", uwsgi_for_all(daemon.folder)]
    daemon.put("a.ini", "[uwsgi]\nmaster = true\n", 0, 0).chmod(mode)
    daemon.put("b.ini", SLEEPER, 0, 0).chmod(0o600)  # a program does not read it
    daemon.launch("--check")
    assert daemon.wait() == (0 if flaw is None else 1)
    assert (f"  a.ini: {flaw}" in daemon.log()) == (flaw is not None)
    assert "  b.ini: sleep 1000" in daemon.log()


@pytest.mark.parametrize("option", ["--user", "--tyrant"])
def test_check_says_that_a_start_needs_root(make_root: MakeRoot, option: str) -> None:
    before = ("setpriv", f"--reuid={ALICE}", f"--regid={ALICES}", "--clear-groups",
              "--inh-caps=+dac_override", "--ambient-caps=+dac_override")  # fmt: skip
    words = ["--user", f"{BOB}:{BOBS}"] if option == "--user" else [option]
    daemon = make_root(*words, before=before)
    daemon.put("a.ini", SLEEPER, BOB, BOBS)
    daemon.launch("--check")
    assert daemon.wait() == 1
    assert f"cannot start: {option} needs root, to run vassals as other" in daemon.log()
    if option == "--user":
        assert "  a.ini: sleep 1000" in daemon.log()
