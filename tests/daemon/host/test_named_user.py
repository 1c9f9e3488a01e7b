"""``user`` and ``group`` of a config: outside of tyrant mode, if the daemon is root."""

import os
import pwd
from collections.abc import Callable
from functools import partial

import pytest
from emperord.daemon.core.starts import bar_reason
from emperord.daemon.host.users import NoAccount, user_of
from emperord.journal.events import Spec
from emperord.journal.policy import Policy
from support.tyrant import ALICE, ALICES, BOB, BOBS, TyrantDaemon, executes, status_of
from support.vassals import program

MakeTyrant = Callable[..., TyrantDaemon]


def spec(**settings: str) -> Spec:
    return Spec(ts=1, uid=ALICE, gid=ALICES, settings={"command": "x", **settings})


@pytest.fixture
def roots(make_tyrant: MakeTyrant) -> TyrantDaemon:
    """A daemon of root's, on a folder that all users can reach."""
    daemon = make_tyrant()
    daemon.options.remove("--tyrant")
    return daemon


def test_a_vassal_runs_as_its_user(roots: TyrantDaemon) -> None:
    sleeps = partial(program, "sleep", "1000")
    path = roots.put("a.ini", sleeps(user=str(ALICE), group=str(ALICES)), 0, 0)
    roots.start()
    roots.phase("a.ini", "ready")
    pid = roots.pid_of("a.ini")
    roots.until(partial(executes, pid, "sleep"), "it is executed")
    status = status_of(pid)
    assert (status["Uid"], status["Gid"]) == ([str(ALICE)] * 4, [str(ALICES)] * 4)
    assert (status["Groups"], status["NoNewPrivs"]) == ([str(ALICES)], ["1"])
    path.write_text(sleeps(user=str(BOB), group=str(BOBS)))  # another process
    roots.event("spawned", "a.ini", count=2)
    other = roots.phase("a.ini", "ready").pid or 0
    roots.until(partial(executes, other, "sleep"), "it is executed")
    assert status_of(other)["Uid"] == [str(BOB)] * 4
    roots.kill()
    roots.start()
    assert roots.phase("a.ini", "ready").pid == other  # it is adopted
    path.unlink()
    roots.gone("a.ini")
    roots.stop()


OURS = f"emperor:\n  command: sleep 1000\n  user: {ALICE}\n  group: {ALICES}\n"
NO_YAML = {
    "%d": OURS + "uwsgi:\n  chdir: %d\n",
    "a colon": OURS + "uwsgi:\n  env: TITLE=shop: the good one\n",
    "Latin-1": "# caf\udce9\n" + OURS,
    "two documents": "uwsgi:\n  master: true\n---\n" + OURS,
}


@pytest.mark.parametrize("text", NO_YAML.values(), ids=NO_YAML)
def test_a_config_that_only_uwsgi_reads_runs_as_its_user(roots: TyrantDaemon, text: str) -> None:
    path = roots.put("a.yaml", OURS, 0, 0)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    roots.start()
    roots.phase("a.yaml", "ready")
    pid = roots.pid_of("a.yaml")
    roots.until(partial(executes, pid, "sleep"), "it is executed")
    assert status_of(pid)["Uid"] == [str(ALICE)] * 4
    path.write_text("emperor:\n\tuser: nobody\n" + text.partition(OURS)[2])
    assert "[emperor] cannot be read: line 2: " in (roots.phase("a.yaml", "barred").reason or "")
    assert len(roots.events("spawned", "a.yaml")) == 1
    roots.stop()


def test_an_account_has_its_groups_and_home(
    roots: TyrantDaemon, account: pwd.struct_passwd
) -> None:
    user = user_of(spec(user=account.pw_name), Policy())
    assert user is not None
    assert (user.uid, user.gid, user.tenant) == (account.pw_uid, account.pw_gid, False)
    assert len(user.groups) == 2
    assert user.account["HOME"] == account.pw_dir


UNKNOWN = {
    "an account": (
        {"user": "no-such-account"},
        "[emperor] user = no-such-account: there is no such account",
    ),
    "a group": (
        {"user": "61001", "group": "no-such-group"},
        "[emperor] group = no-such-group: there is no such group",
    ),
    "root": ({"user": "root"}, "[emperor] user = root: uid 0 gid 0 is root's, or no id"),
    "minus one": (
        {"user": "4294967295"},
        "[emperor] user = 4294967295: uid 4294967295 gid 4294967295 is root's, or no id",
    ),
}


@pytest.mark.parametrize(("settings", "reason"), UNKNOWN.values(), ids=UNKNOWN)
def test_such_users_cannot_be(roots: TyrantDaemon, settings: dict[str, str], reason: str) -> None:
    with pytest.raises(NoAccount) as caught:
        user_of(spec(**settings), Policy())
    assert str(caught.value) == reason
    roots.put("a.ini", program("sleep", "1000", **settings), 0, 0)
    roots.start()
    assert roots.phase("a.ini", "barred").reason == reason
    roots.stop()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        pytest.param({"user": str(ALICE), "group": str(ALICES)}, "its own", id="itself"),
        pytest.param({"user": str(BOB), "group": str(BOBS)}, "only root can run it", id="another"),
        pytest.param({"user": str(ALICE), "group": str(BOBS)}, "only root can", id="another group"),
    ],
)
def test_a_daemon_without_root_takes_its_own_user_alone(
    settings: dict[str, str], says: str
) -> None:
    parent, child = os.pipe()
    pid = os.fork()
    if pid == 0:  # it has ids of its own, which the process of the tests cannot take back
        os.setgroups([])
        os.setresgid(ALICES, ALICES, ALICES)
        os.setresuid(ALICE, ALICE, ALICE)
        try:
            told = "its own" if user_of(spec(**settings), Policy()) is None else "another"
        except NoAccount as error:
            told = str(error)
        finally:
            os.write(child, told.encode())
            os._exit(0)
    os.close(child)
    with open(parent, encoding="utf-8") as words:
        assert says in words.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


POLICIES = {
    "tyrant mode": (
        Policy(tyrant=True),
        "[emperor] user: in tyrant mode its source says whom it runs as; remove user and group",
    ),
    "--user": (
        Policy(user=(ALICE, ALICES)),
        "[emperor] user: --user says whom it runs as; remove user and group",
    ),
    "neither": (Policy(), None),
}


@pytest.mark.parametrize(("policy", "reason"), POLICIES.values(), ids=POLICIES)
def test_the_policy_may_bar_it(policy: Policy, reason: str | None) -> None:
    assert bar_reason(spec(user="61002"), policy, "dir:///v") == reason


def test_in_tyrant_mode_it_is_barred(tyrant: TyrantDaemon) -> None:
    tyrant.put("a.ini", program("id", user="root"))
    tyrant.start()
    assert "in tyrant mode its source says whom" in (tyrant.phase("a.ini", "barred").reason or "")
    tyrant.stop()
